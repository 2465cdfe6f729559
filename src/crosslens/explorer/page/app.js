// Which page the address asks for, and the values of what lights up.
"use strict";

{
  const main = document.querySelector("#shown");
  const tip = document.querySelector("#tip");
  const { el, number, percent } = Explorer;
  let turn = 0;

  /** Show what the hash names: `#/SITE/CORPUS/ID` a feature, `#/SITE` a layer, `#/layers` all of them, else the table of features. */
  async function show() {
    const own = ++turn;
    tell(null);
    const [path, query = ""] = location.hash.replace(/^#/, "").split("?");
    const [, site, corpus, id] = path.split("/").map(decoded);
    const shown = document.createElement("div");
    try {
      if (!Explorer.study()) throw new Error("data/study.js is not there: the whole folder has to lie beside this page");
      if (site === undefined || site === "") await Explorer.showTable(shown, query);
      else if (site === "layers") await Explorer.showLayers(shown, query, corpus);
      else if (corpus === undefined || corpus === "") await Explorer.showLayer(shown, site);
      else await feature(shown, site, corpus, id);
    } catch (error) {
      shown.replaceChildren(el("h1", {}, "Not there"), el("p", { class: "missing" }, Explorer.visible(error.message)), el("p", {}, el("a", { href: "#/" }, "All features")));
    }
    if (own !== turn) return; // the reader has gone on
    main.replaceChildren(shown);
    main.dataset.shown = location.hash || "#/";
    scrollTo(0, 0);
    shown.dispatchEvent(new Event("shown"));
  }

  function decoded(part) {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  }

  async function feature(shown, site, corpus, id) {
    const saes = Explorer.study().saes;
    const at = saes.findIndex((sae) => sae.site === site && sae.corpus === corpus);
    if (at < 0) throw new Error(`This study has no SAE “${corpus}” at “${site}”.`);
    if (!/^\d+$/.test(id ?? "") || Number(id) >= saes[at].features) throw new Error(`That SAE has features #0 to #${saes[at].features - 1}, and no “${id}”.`);
    await Explorer.showFeature(shown, at, Number(id));
  }

  // values of what lights up: by pointer, focus and tap

  let current = null;

  function tell(span) {
    current = span;
    if (!span) {
      tip.hidden = true;
      return;
    }
    const { value, scale } = span.dataset;
    tip.textContent = `${number(Number(value))} (${percent(value / scale)} of the largest shown)`;
    tip.hidden = false;
    const { left, top, width } = span.getBoundingClientRect();
    const x = Math.max(4, Math.min(left + width / 2 - tip.offsetWidth / 2, document.documentElement.clientWidth - tip.offsetWidth - 4));
    tip.style.setProperty("left", `${x}px`);
    tip.style.setProperty("top", `${Math.max(4, top - tip.offsetHeight - 6)}px`);
    for (const other of main.querySelectorAll("[aria-describedby=tip]")) other.removeAttribute("aria-describedby");
    span.setAttribute("aria-describedby", "tip");
  }

  const lit = (event) => event.target.closest?.(".lit");
  main.addEventListener("pointerover", (event) => tell(lit(event)));
  main.addEventListener("pointerleave", () => tell(null));
  main.addEventListener("focusin", (event) => tell(lit(event)));
  main.addEventListener("focusout", () => tell(null));
  main.addEventListener("click", (event) => lit(event)?.focus());
  main.addEventListener("keydown", (event) => {
    const span = lit(event);
    if (event.key === "Escape") tell(null);
    if (!span || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const reading = span.closest(".reading");
    const all = [...reading.querySelectorAll(".lit")].filter((each) => each.checkVisibility());
    // in the order of reading: to the left is forward in Arabic
    const forward = (event.key === "ArrowRight") === (getComputedStyle(span.closest("[dir]") ?? reading).direction === "ltr");
    const next = all[all.indexOf(span) + (forward ? 1 : -1)];
    if (!next) return;
    event.preventDefault();
    for (const each of all) each.tabIndex = each === next ? 0 : -1;
    next.focus();
  });
  // what is reached by key may first be scrolled into sight
  addEventListener("scroll", () => tell(current), { passive: true });

  addEventListener("hashchange", async () => {
    await show();
    main.focus({ preventScroll: true });
  });
  document.querySelector("#all").addEventListener("click", () => (Explorer.left = undefined));
  show();
}
