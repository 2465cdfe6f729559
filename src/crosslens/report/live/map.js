/* The word for the person under the changes, and the map of patches: block by position. */
(function (Live) {
  "use strict";
  const { $, element, isolated } = Live;
  const sigmoid = (v) => 1 / (1 + Math.exp(-v));
  const ENOUGH = 0.5; // nats that are shown in full colour at least

  Live.PatchMap = class {
    constructor(page, update) {
      Object.assign(this, { page, update });
      const map = $("#map");
      Live.walk(map, "button", () => this.results.columns.length);
      const pointed = ({ target }) => target.dataset.cell && this.tell(target.dataset.cell);
      map.addEventListener("pointerover", pointed);
      map.addEventListener("focusin", pointed);
      map.addEventListener("pointerleave", () => this.tell(null));
      map.addEventListener("click", ({ target }) => {
        if (!target.dataset.cell) return;
        const { patch } = page.state;
        patch.has(target.dataset.cell) ? patch.delete(target.dataset.cell) : patch.add(target.dataset.cell);
        update();
      });
    }

    show(results) {
      this.results = results;
      this.person();
      const { state, study } = this.page;
      const { short, direction } = study.languages[state.other];
      Object.assign($("#otherCaption"), { lang: state.other, dir: direction });
      const shown = Live.otherPicture(state, study);
      Live.paint($("#otherShown"), shown.rgb, study.pixels.size).ariaLabel = shown.label;
      $("#otherCaption").textContent = Live.visible((results.other?.tokens ?? []).filter(({ role }) => Live.isCaption(role)).map(({ text }) => text).join(""));
      const { word, columns, effects } = results;
      const told = effects && word
        ? ["The number is what a patch of that cell alone does to the log-odds of ", isolated(word.female, word.language), " against ",
           isolated(word.male, word.language), ", in nats: orange towards the first, blue towards the second."]
        : ["No effect is told: ", word ? "the caption is tokenised otherwise than what was typed." : "the study has no gendered words."];
      $("#explained").replaceChildren(
        `A click puts the state of that run (${short}) behind a block, at a position, in the place of this run’s, before anything is `,
        "written. ", ...told,
        " Positions are paired where both runs have them; those before the picture are the same in both.",
      );
      const most = Math.max(ENOUGH, ...[...(effects?.values() ?? [])].map(Math.abs));
      const focused = document.activeElement?.dataset?.cell;
      const blocks = study.config.text_config.num_hidden_layers;
      const titles = columns.map(({ label }) => element("th", { scope: "col" }, isolated(label)));
      const head = element("tr", {}, element("th", { scope: "col", textContent: "block" }), ...titles);
      const rows = Array.from({ length: blocks }, (_, block) =>
        element("tr", {}, element("th", { scope: "row", textContent: block }), ...columns.map((column) => this.cell(block, column, most))),
      );
      $("#map").replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
      Live.reachable($("#map"), "button");
      if (focused) $(`#map [data-cell="${focused}"]`)?.focus({ preventScroll: true });
    }

    cell(block, { name, label }, most) {
      const key = `${block}.${name}`;
      const effect = this.results.effects?.get(key);
      const on = this.page.state.patch.has(key);
      const said = effect === undefined ? "" : Live.signed(effect, 1);
      const cell = element("button", { type: "button", textContent: said, ariaPressed: String(on), tabIndex: -1 });
      cell.ariaLabel = `block ${block}, ${label}${said && `: ${said} nats`}`;
      cell.dataset.cell = key;
      cell.style.setProperty("--heat", Math.abs(effect ?? 0) / most);
      cell.className = (effect ?? 0) < 0 ? "less" : "more";
      return element("td", {}, cell);
    }

    tell(key) {
      const place = $("#cell");
      const [block, name] = (key ?? ".").split(".");
      const column = this.results.columns.find((own) => own.name === name);
      if (!column) return place.replaceChildren();
      const effect = this.results.effects?.get(key);
      const on = this.page.state.patch.has(key);
      const told = effect === undefined ? "" : `: ${Live.signed(effect)} nats by itself`;
      place.replaceChildren(`Block ${block}, `, isolated(column.label), told, on ? ". Patched; click to take it back." : ". Click to patch.");
    }

    /** The two words for the person, as it is and under the changes. */
    person() {
      const { word, logP } = this.results;
      const place = $("#person");
      if (!word || !logP.plain) return place.replaceChildren();
      const language = word.language;
      const where = word.start === null
        ? ["The caption names no person that the study’s lexicon pairs. As the next word behind what was typed:"]
        : ["Where the caption says ", isolated(word[word.said], language), ", the model could say:"];
      const cells = (values) => values.map((text) => element("td", { textContent: text }));
      const both = [logP.plain, logP.edited].filter(Boolean);
      const odds = both.map(([female, male]) => female - male);
      /** A row of a number as it is, changed, and the difference. */
      const row = (title, values, told) => {
        const change = values.length > 1 ? [Live.signed(values[1] - values[0])] : [];
        return element("tr", {}, element("th", { scope: "row" }, ...title), ...cells([...values.map((v) => told(v)), ...change]));
      };
      const share = row(["P(", isolated(word.female, language), ") of the two"], odds.map(sigmoid), Live.decimal);
      const ratio = row(["log-odds"], odds, Live.signed);
      const rows = word.forms.map((form, i) => row([isolated(form, language)], both.map((own) => own[i]), Live.decimal));
      const titles = ["log P of", "as it is", ...(logP.edited ? ["changed", "change"] : [])];
      const head = element("tr", {}, ...titles.map((text) => element("th", { scope: "col", textContent: text })));
      place.replaceChildren(element("p", {}, ...where), element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows, ratio, share)));
    }
  };
})(globalThis.Live);
