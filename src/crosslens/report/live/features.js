/* The table of features: what fires, how strongly, and the switch and slider of each. */
(function (Live) {
  "use strict";
  const { $, element, isolated } = Live;
  const SHOWN = 12;

  Live.Features = class {
    /** page: { study, state, own }, own the SAE that is chosen; captions: where a token may be chosen; update: called on a change. */
    constructor(page, captions, update) {
      Object.assign(this, { page, captions, update });
      $("#order").onchange = () => this.show(this.results);
      $("#number").onchange = ({ target }) => {
        if (target.value !== "" && target.checkValidity()) this.page.state.feature = Number(target.value);
        target.value = "";
        update();
      };
    }

    show(results) {
      this.results = results;
      const { state, own } = this.page;
      $("#number").max = own.sae.cfg.d_sae - 1;
      $("#unit").textContent =
        "One step of a slider adds a quarter of the 99th percentile of the feature’s activations in the study’s select split, times " +
        "its decoder row, at the text positions that the study edits and at all that is written; sinks are spared. Switched off, a " +
        "feature is set to 0 there, and what the SAE does not explain stays as it is.";
      // A slider that is being moved must not be replaced under the pointer.
      const focused = document.activeElement;
      if ($("#features tbody").contains(focused) && focused.type === "range" && focused.matches(":active")) return;
      const kept = [...new Set([state.feature, ...state.push.keys(), ...state.off].filter((feature) => feature !== null))];
      const rows = this.listed().filter(([feature]) => !kept.includes(feature)).slice(0, Math.max(4, SHOWN - kept.length));
      const all = [...kept.map((feature) => [feature, this.strongest(feature)]), ...rows];
      const most = Math.max(1, ...all.map(([, value]) => value));
      const { label } = focused.dataset ?? {};
      $("#features tbody").replaceChildren(...all.map(([feature, value]) => this.row(feature, value, most)));
      if (label) $(`#features tbody [data-label="${label}"]`)?.focus();
    }

    get tokens() {
      return (this.results.edited ?? this.results.plain).tokens;
    }

    /** The features to list, strongest first: [feature, value]. */
    listed() {
      const order = $("#order").value;
      if (order === "effect") {
        const largest = Object.entries(this.effects).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
        return largest.map(([feature]) => [Number(feature), this.strongest(Number(feature))]);
      }
      const chosen = this.captions.token(this.captions.chosen);
      let tokens = this.tokens.filter(({ role }) => (order === "image" ? role === "image" : Live.isCaption(role)));
      if (order === "token" && chosen) tokens = [chosen];
      const values = new Map();
      for (const { codes } of tokens) for (const [feature, value] of codes ?? []) values.set(feature, Math.max(value, values.get(feature) ?? 0));
      return [...values].sort((a, b) => b[1] - a[1]);
    }

    get effects() {
      return this.page.own.effects[this.page.state.language] ?? {};
    }

    strongest(feature) {
      return Math.max(0, ...this.tokens.map(({ codes }) => codes?.get(feature) ?? 0));
    }

    row(feature, value, most) {
      const { state, own, study } = this.page;
      const effect = this.effects[feature];
      const strength = state.push.get(feature) ?? 0;
      const output = element("output", { textContent: strength ? Live.signed(strength) : "" });
      const { most: furthest, step } = Live.STRENGTHS;
      const slider = element("input", { type: "range", min: -furthest, max: furthest, step, value: strength });
      slider.ariaLabel = `steer along feature ${feature}`;
      slider.dataset.label = `steer${feature}`;
      slider.disabled = !own.levels[state.language][feature];
      if (slider.disabled) slider.title = "It does not fire in the study’s select split of this language.";
      slider.oninput = () => {
        const chosen = Number(slider.value);
        output.textContent = chosen ? Live.signed(chosen) : "";
        chosen ? state.push.set(feature, chosen) : state.push.delete(feature);
        state.feature = feature;
        this.update();
      };
      slider.onchange = () => this.show(this.results);
      const toggle = element("input", { type: "checkbox", checked: !state.off.has(feature), ariaLabel: `feature ${feature} on` });
      toggle.dataset.label = `on${feature}`;
      toggle.onchange = () => {
        toggle.checked ? state.off.delete(feature) : state.off.add(feature);
        this.update();
      };
      const name = element("button", { type: "button", textContent: `#${feature}`, ariaPressed: String(state.feature === feature) });
      name.dataset.label = `name${feature}`;
      name.onclick = () => {
        state.feature = state.feature === feature ? null : feature;
        this.update();
      };
      const words = (own.promoted[feature] ?? []).flatMap((text, i) => [i ? " · " : "", isolated(text)]);
      const [corpus, ...site] = own.name.split(".");
      const place = [site.join("."), corpus, feature].map(encodeURIComponent).join("/");
      const about = element("a", { href: `../features/index.html#/${place}`, textContent: "page", ariaLabel: `page of feature ${feature}` });
      const meter = element("meter", { max: most, value, ariaLabel: `feature ${feature} fires ${value.toFixed(1)}` });
      return element(
        "tr", { className: feature === state.feature ? "chosen" : "" },
        element("td", {}, name, " ", element("span", { className: "promoted", title: "tokens that its decoder row promotes" }, ...words), " ", about),
        element("td", {}, meter, ` ${value ? value.toFixed(1) : "–"}`),
        element("td", { textContent: effect === undefined ? "" : `d ${Live.signed(effect)}` }),
        element("td", {}, toggle),
        element("td", {}, slider, " ", output),
      );
    }
  };
})(globalThis.Live);
