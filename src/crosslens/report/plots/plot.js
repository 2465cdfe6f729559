// Shows the rows of one figure: points on a canvas, or cells of a table, by what a reader chooses.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const [choices, names, shown, told, help] = ["choices", "names", "shown", "told", "help"].map((id) =>
  document.getElementById(id),
);
const at = Object.fromEntries(data.columns.map((name, i) => [name, i]));
const SPARE = ["#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#56b4e9", "#882255"];
const PALE = "#949494";
const state = { view: data.views[0], panel: null, colour: data.colours[0] ?? "", hidden: new Set(), near: -1, box: null };

const short = (value) =>
  typeof value !== "number" ? (data.called[value] ?? value) : Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const panelOf = (row) => data.panels.map((name) => row[at[name]]);
const sorted = (values) =>
  [...new Set(values)].sort((a, b) => (typeof a === typeof b && typeof a === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true })));

/** A labelled list to choose from; nothing where there is no choice. */
function choice(label, options, change) {
  if (options.length < 2) return;
  const select = document.createElement("select");
  options.forEach(([words], i) => select.add(new Option(words, i)));
  select.addEventListener("change", () => {
    change(options[select.value][1]);
    state.near = -1;
    tell();
    draw();
  });
  const outer = document.createElement("label");
  outer.append(`${label} `, select);
  choices.append(outer);
}

/** What an axis is called; i: 0 across, 1 up. */
const axis = (i) =>
  (data.axes[i] || state.view[i + 1]).replace(/\{(\w+)\}/g, (_, name) => short(state.panel[data.panels.indexOf(name)]));

const panels = [];
for (const row of data.rows) if (!panels.some((panel) => same(panel, panelOf(row)))) panels.push(panelOf(row));
state.panel = panels[0];
choice("of", panels.map((panel) => [panel.map((value) => short(value) || "none").join(", "), panel]), (panel) => {
  state.panel = panel;
  state.box = null;
});
choice("shown", data.views.map((view) => [view[0], view]), (view) => {
  state.view = view;
  state.box = null;
});
choice("colour", data.colours.map((name) => [name, name]), (name) => {
  state.colour = name;
  state.hidden.clear();
});
const save = document.createElement("button");
save.textContent = "These rows as CSV";
save.addEventListener("click", () => {
  const quoted = (value) => (/[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
  const lines = [data.columns, ...rows()].map((row) => row.map(quoted).join(","));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
  link.download = "rows.csv";
  link.click();
});
choices.append(save);

/** The rows of the panel that is chosen. */
function rows() {
  return data.rows.filter((row) => same(panelOf(row), state.panel));
}

const says = (row) =>
  data.columns
    .filter((name) => row[at[name]] !== "")
    .map((name) => `${name} ${short(row[at[name]])}`)
    .join(" · ");

function tell(row) {
  told.replaceChildren(row ? says(row) : "");
  if (row && data.features && "feature" in at) {
    const { page, site, corpus } = data.features;
    const link = document.createElement("a");
    link.href = `${page}#/${encodeURIComponent(site)}/${encodeURIComponent("corpus" in at ? row[at.corpus] : corpus)}/${row[at.feature]}`;
    link.textContent = "its page";
    told.append(" · ", link);
  }
}

// Cells.

/** A number's colour: from paper to blue, or to orange below 0; words on it in ink that can be read. */
function cellStyle(value, most, least) {
  const share = data.zero ? Math.abs(value) / most : (value - least) / (most - least || 1);
  const strength = Math.min(1, Math.max(0, share)) * 0.6;
  const [r, g, b] = value < 0 ? [222, 143, 5] : [86, 180, 233];
  return `rgba(${r}, ${g}, ${b}, ${strength.toFixed(3)})`;
}

function drawCells() {
  const [, across, up] = state.view;
  const own = rows().filter((row) => typeof row[at[data.value]] === "number");
  const every = data.rows.map((row) => row[at[data.value]]).filter((value) => typeof value === "number");
  const [most, least] = [Math.max(...every.map((value) => (data.zero ? Math.abs(value) : value))), Math.min(...every)];
  const columns = sorted(own.map((row) => row[at[across]]));
  const found = new Map(own.map((row) => [JSON.stringify([row[at[up]], row[at[across]]]), row]));
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const words of [`${up} \\ ${across}`, ...columns]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = short(words);
    head.append(cell);
  }
  const body = table.createTBody();
  for (const name of sorted(own.map((row) => row[at[up]]))) {
    const line = body.insertRow();
    const heading = document.createElement("th");
    heading.scope = "row";
    heading.textContent = short(name);
    line.append(heading);
    for (const column of columns) {
      const cell = line.insertCell();
      const row = found.get(JSON.stringify([name, column]));
      if (!row) continue;
      const value = row[at[data.value]];
      cell.textContent = short(Number(value.toFixed(3)));
      cell.style.background = cellStyle(value, most, least);
      cell.addEventListener("pointerenter", () => tell(row));
    }
  }
  const box = document.createElement("div");
  box.className = "wide";
  box.tabIndex = 0;
  box.role = "region";
  box.ariaLabel = `${data.value} by ${up} and ${across}`;
  box.append(table);
  shown.replaceChildren(box);
  help.textContent = `Colour: ${data.value}, ${data.zero ? `from 0 to ${short(most)} either way (orange below 0)` : `from ${short(least)} to ${short(most)}`}, on one scale for all that can be chosen.`;
}

// Points.

const canvas = document.createElement("canvas");
canvas.tabIndex = 0;
canvas.role = "img";
const MARGIN = { left: 58, right: 14, top: 12, bottom: 42 };
let points = [];

function colours(own) {
  if (!state.colour) return new Map();
  const values = sorted(own.map((row) => row[at[state.colour]])).filter((value) => value !== "");
  let spare = 0;
  return new Map(values.map((value) => [value, data.palette[value] ?? SPARE[spare++ % SPARE.length]]));
}

function legend(shades) {
  names.replaceChildren(
    ...[...shades].map(([value, shade]) => {
      const button = document.createElement("button");
      const dot = document.createElement("i");
      dot.style.background = shade;
      button.append(dot, short(value));
      button.ariaPressed = String(!state.hidden.has(value));
      button.addEventListener("click", () => {
        state.hidden.has(value) ? state.hidden.delete(value) : state.hidden.add(value);
        draw();
        [...names.children].find((each) => each.textContent === short(value))?.focus();
      });
      return button;
    }),
  );
}

function drawPoints() {
  const [words, across, up] = state.view;
  const own = rows().filter((row) => typeof row[at[across]] === "number" && typeof row[at[up]] === "number");
  const shades = colours(own);
  legend(shades);
  const seen = own.filter((row) => !state.colour || !state.hidden.has(row[at[state.colour]]));
  if (!canvas.isConnected) shown.replaceChildren(canvas);
  const width = shown.clientWidth || 800;
  const height = Math.min(620, Math.max(320, width * 0.62));
  const scale = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [width * scale, height * scale];
  canvas.style.height = `${height}px`;
  const ends = (column) => {
    const values = own.map((row) => row[at[column]]);
    const [low, high] = [values.reduce((a, b) => Math.min(a, b), Infinity), values.reduce((a, b) => Math.max(a, b), -Infinity)];
    const room = (high - low || 1) * 0.04;
    return [low - room, high + room];
  };
  const box = state.box ?? { x: ends(across), y: ends(up) };
  const toX = (value) => MARGIN.left + ((value - box.x[0]) / (box.x[1] - box.x[0])) * (width - MARGIN.left - MARGIN.right);
  const toY = (value) => height - MARGIN.bottom - ((value - box.y[0]) / (box.y[1] - box.y[0])) * (height - MARGIN.top - MARGIN.bottom);
  points = seen.map((row) => ({ row, x: toX(row[at[across]]), y: toY(row[at[up]]) }));
  points.sort((a, b) => a.x - b.x);
  Object.assign(state, { shownBox: box, size: [width, height] });
  const pen = canvas.getContext("2d");
  const ink = getComputedStyle(document.documentElement);
  pen.scale(scale, scale);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, sans-serif";
  pen.strokeStyle = ink.getPropertyValue("--line");
  pen.fillStyle = ink.getPropertyValue("--soft");
  pen.textAlign = "center";
  for (const tick of ticks(box.x)) {
    line(pen, toX(tick), MARGIN.top, toX(tick), height - MARGIN.bottom);
    pen.fillText(short(tick).replace("-", "−"), toX(tick), height - MARGIN.bottom + 16);
  }
  pen.fillText(axis(0), width / 2, height - 8);
  pen.textAlign = "end";
  for (const tick of ticks(box.y)) {
    line(pen, MARGIN.left, toY(tick), width - MARGIN.right, toY(tick));
    pen.fillText(short(tick).replace("-", "−"), MARGIN.left - 6, toY(tick) + 4);
  }
  pen.save();
  pen.translate(12, height / 2);
  pen.rotate(-Math.PI / 2);
  pen.textAlign = "center";
  pen.fillText(axis(1), 0, 0);
  pen.restore();
  pen.save();
  pen.beginPath();
  pen.rect(MARGIN.left, MARGIN.top, width - MARGIN.left - MARGIN.right, height - MARGIN.top - MARGIN.bottom);
  pen.clip();
  const size = points.length > 3000 ? 1.6 : points.length > 500 ? 2.4 : 3.4;
  for (const point of points) {
    pen.globalAlpha = 0.75;
    pen.fillStyle = shades.get(point.row[at[state.colour]]) ?? PALE;
    pen.beginPath();
    pen.arc(point.x, point.y, size, 0, 2 * Math.PI);
    pen.fill();
  }
  pen.globalAlpha = 1;
  const near = points[state.near];
  if (near) {
    pen.strokeStyle = ink.getPropertyValue("--ink");
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(near.x, near.y, size + 4, 0, 2 * Math.PI);
    pen.stroke();
  }
  pen.restore();
  canvas.ariaLabel = `${words}: ${axis(1)} against ${axis(0)}, ${points.length} points. Arrow keys go from point to point.`;
  help.textContent = `${points.length} of ${own.length} points. Point at one, or use the arrow keys; Enter opens its page where it has one. Drag to enlarge, Escape shows all.`;
}

function ticks([low, high]) {
  const step = 10 ** Math.floor(Math.log10((high - low) / 4));
  const wide = [1, 2, 5, 10].map((of) => of * step).find((of) => (high - low) / of <= 7);
  const found = [];
  for (let i = Math.ceil(low / wide); i * wide <= high; i++) found.push(Number((i * wide).toPrecision(6)));
  return found;
}

function line(pen, x1, y1, x2, y2) {
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.stroke();
}

function choose(i) {
  state.near = i;
  tell(points[i]?.row);
  draw();
}

const place = (event) => {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

let from = null;
canvas.addEventListener("pointerdown", (event) => {
  from = place(event);
});
canvas.addEventListener("pointermove", (event) => {
  const [x, y] = place(event);
  let best = -1;
  let least = 14 ** 2;
  points.forEach((point, i) => {
    const far = (point.x - x) ** 2 + (point.y - y) ** 2;
    if (far < least) [best, least] = [i, far];
  });
  if (best >= 0 && best !== state.near) choose(best);
});
canvas.addEventListener("pointerup", (event) => {
  const to = place(event);
  const start = from;
  from = null;
  if (!start || Math.abs(to[0] - start[0]) < 12 || Math.abs(to[1] - start[1]) < 12) return;
  const [width, height] = state.size;
  const { x, y } = state.shownBox;
  const backX = (of) => x[0] + ((of - MARGIN.left) / (width - MARGIN.left - MARGIN.right)) * (x[1] - x[0]);
  const backY = (of) => y[0] + ((height - MARGIN.bottom - of) / (height - MARGIN.top - MARGIN.bottom)) * (y[1] - y[0]);
  const order = (a, b) => [Math.min(a, b), Math.max(a, b)];
  state.box = { x: order(backX(start[0]), backX(to[0])), y: order(backY(start[1]), backY(to[1])) };
  state.near = -1;
  draw();
});
canvas.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && points.length) {
    event.preventDefault();
    choose((state.near + step + points.length) % points.length);
  } else if (event.key === "Escape") {
    state.box = null;
    choose(-1);
  } else if (event.key === "Enter") {
    told.querySelector("a")?.click();
  }
});

function draw() {
  if (data.value) drawCells();
  else drawPoints();
}

window.addEventListener("resize", draw);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();
