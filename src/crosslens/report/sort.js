// A heading sorts its table: up, down, and as the study has it. Without this script the tables are as written.
"use strict";

const words = new Intl.Collator(document.documentElement.lang, { numeric: true });

/** What a cell is sorted by: the exact number in its markup, else its words; null where nothing was measured. */
function sortedBy(cell) {
  const exact = Number(cell.querySelector("data")?.value ?? NaN);
  if (!Number.isNaN(exact)) return exact;
  return cell.querySelector(".missing") ? null : cell.textContent.trim() || null;
}

function compare(a, b) {
  if (typeof a === typeof b) return typeof a === "number" ? a - b : words.compare(a, b);
  return typeof a === "number" ? -1 : 1;
}

for (const table of document.querySelectorAll("table:has(thead)")) {
  const body = table.tBodies[0];
  const asWritten = [...body.rows];
  if (asWritten.length < 2) continue;
  for (const heading of table.tHead.rows[0].cells) {
    heading.abbr = heading.textContent; // what is read out before each cell: without the button
    const button = document.createElement("button");
    button.type = "button";
    button.ariaLabel = `sort by ${heading.abbr}`;
    heading.append(button);
    // Anywhere in the heading but on a link to the glossary; the button is for the keyboard and for those who listen.
    heading.addEventListener("click", (event) => {
      if (event.target.closest("a")) return;
      const order = { none: "ascending", ascending: "descending", descending: "none" }[heading.ariaSort ?? "none"];
      for (const each of table.tHead.rows[0].cells) each.ariaSort = null;
      if (order !== "none") heading.ariaSort = order;
      const keyed = asWritten.map((row) => [sortedBy(row.cells[heading.cellIndex]), row]);
      const measured = keyed.filter(([key]) => key !== null);
      if (order !== "none") measured.sort(([a], [b]) => (order === "ascending" ? compare(a, b) : compare(b, a)));
      const last = keyed.filter(([key]) => key === null);
      body.append(...(order === "none" ? keyed : [...measured, ...last]).map(([, row]) => row));
    });
  }
}
