/* Captions as tokens that show what fires, and what is told of the token that is pointed at. */
(function (Live) {
  "use strict";
  const { $, element, isolated } = Live;
  const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

  Live.Captions = class {
    /** page: { study, state }; choose: called where another token is chosen. */
    constructor(page, choose) {
      Object.assign(this, { page, choose, chosen: null, tokens: [] });
      for (const place of ["#plain", "#edited", "#tokens", "#patches"]) {
        const container = $(place);
        Live.walk(container, "[data-token]", () => (place === "#patches" ? this.side : 1));
        const pointed = ({ target }) => target.dataset.token && this.tell(this.of(target));
        container.addEventListener("pointerover", pointed);
        container.addEventListener("focusin", pointed);
        container.addEventListener("pointerleave", () => this.tell(this.chosen));
        container.addEventListener("click", ({ target }) => target.dataset.token && this.pin(target));
        container.addEventListener("keydown", (event) => {
          if (!["Enter", " "].includes(event.key) || !event.target.dataset.token) return;
          event.preventDefault();
          this.pin(event.target);
        });
      }
    }

    get feature() {
      return this.page.state.feature;
    }

    of({ dataset }) {
      return { run: dataset.run, index: Number(dataset.token) };
    }

    pin(target) {
      const found = this.of(target);
      const same = this.chosen && found.run === this.chosen.run && found.index === this.chosen.index;
      this.chosen = same ? null : found;
      this.choose();
    }

    /** The token that is chosen or pointed at, { run, index }, in the results. */
    token(at) {
      return at && this.results?.[at.run]?.tokens[at.index];
    }

    firing(token) {
      return this.feature === null ? 0 : (token.codes?.get(this.feature) ?? 0);
    }

    show(results) {
      this.results = results;
      const shown = results.edited ? "edited" : "plain";
      const { tokens } = results[shown];
      const { language } = this.page.state;
      const { direction } = this.page.study.languages[language];
      this.most = Math.max(1e-9, ...["plain", "edited"].flatMap((run) => (results[run]?.tokens ?? []).map((token) => this.firing(token))));
      const fresh = results.edited ? Live.newTokens(results.plain.tokens, results.edited.tokens) : new Set();
      for (const run of ["plain", "edited"]) {
        const place = Object.assign($(`#${run}`), { lang: language, dir: direction });
        const own = results[run]?.tokens ?? [];
        this.replace(place, own.flatMap((token, i) => {
          if (!Live.isCaption(token.role)) return [];
          const span = this.span(token, i, run);
          span.classList.toggle("given", token.role === "caption");
          span.classList.toggle("new", run === "edited" && fresh.has(i));
          return [span];
        }));
      }
      $("#changed").hidden = !results.edited;
      this.replace($("#tokens"), tokens.map((token, i) => this.span(token, i, shown)));
      const image = tokens.flatMap((token, i) => (token.role === "image" ? [this.cell(token, i, shown)] : []));
      this.side = Math.sqrt(image.length);
      $("#patches").style.setProperty("--side", this.side);
      this.replace($("#patches"), image);
      $("figcaption").textContent =
        this.feature === null
          ? "Choose a feature to see where it fires."
          : `Feature ${this.feature}: at most ${this.most < 1e-6 ? 0 : this.most.toFixed(1)}.`;
      if (!this.token(this.chosen)) this.chosen = null;
      this.tell(this.chosen);
    }

    /** Other elements in their place, the focus on what stands where it was. */
    replace(place, made) {
      const focused = place.contains(document.activeElement) ? document.activeElement.dataset.token : null;
      place.replaceChildren(...made);
      Live.reachable(place, "[data-token]");
      if (focused !== null) place.querySelector(`[data-token="${focused}"]`)?.focus();
    }

    span(token, i, run) {
      const span = element("span", { className: "t", textContent: Live.visible(token.text), role: "button", tabIndex: -1 });
      return this.marked(span, token, i, run);
    }

    cell(token, i, run) {
      const cell = element("i", { role: "button", tabIndex: -1, ariaLabel: `picture token ${i}` });
      return this.marked(cell, token, i, run);
    }

    marked(made, token, i, run) {
      Object.assign(made.dataset, { token: i, run });
      made.style.setProperty("--heat", this.firing(token) / this.most);
      const chosen = this.chosen?.run === run && this.chosen.index === i;
      made.classList.toggle("chosen", chosen);
      made.ariaPressed = String(chosen);
      return made;
    }

    /** What is known of a token: what fires there, and what else could have stood there. */
    tell(at) {
      const token = this.token(at);
      const place = $("#token");
      if (!token) {
        place.textContent = "Point at a token, or choose one, to see what fires there and what else could have stood there.";
        return;
      }
      const { language } = this.page.state;
      const strongest = [...(token.codes ?? [])].slice(0, 5).map(([feature, value]) => `#${feature} ${value.toFixed(1)}`);
      const own = this.feature === null ? [] : [`#${this.feature} fires ${this.firing(token).toFixed(1)}. `];
      const words = (token.alternatives ?? []).flatMap(([text, share], i) => [
        i ? ", " : " Could be: ", isolated(text.trim(), language), ` ${percent(share)}`,
      ]);
      const name = token.role === "image" ? "A token of the picture" : isolated(token.text, language);
      place.replaceChildren(name, ": ", ...own, `Strongest here: ${strongest.join(", ") || "none"}.`, ...words);
    }
  };
})(globalThis.Live);
