/* What is chosen on the page, and its address: everything that decides what is shown stands in the hash. */
(function (Live) {
  "use strict";
  Live.STRENGTHS = { most: 5, step: 0.25 };
  Live.SCOPES = { text: "the text", picture: "the picture", all: "both" };

  /** The state of a page that was opened without a hash. */
  Live.fresh = ({ pictures, languages, saes }) => {
    const [language, other = language] = Object.keys(languages);
    const otherPicture = other === language && pictures[1] ? pictures[1].id : "";
    return {
      picture: pictures[0].id, language, text: "", sae: saes[0].name, feature: null, scope: "text",
      off: new Set(), push: new Map(), other, otherPicture, otherText: "", patch: new Set(),
    };
  };

  const TEXTS = ["picture", "language", "text", "sae", "feature", "scope", "other", "otherPicture", "otherText"];

  /** The hash of a state: what differs from a fresh page. */
  Live.toHash = (state, study) => {
    const plain = Live.fresh(study);
    const words = new URLSearchParams();
    for (const key of TEXTS) if (state[key] !== plain[key]) words.set(key, state[key]);
    if (state.off.size) words.set("off", [...state.off].join("."));
    if (state.push.size) words.set("push", [...state.push].map((pair) => pair.join("*")).join("_"));
    if (state.patch.size) words.set("patch", [...state.patch].join("_"));
    return `#${words}`;
  };

  /** The state of a hash; what in it is not of this study is left out. */
  Live.fromHash = (hash, study) => {
    const words = new URLSearchParams(hash.slice(1));
    const state = Live.fresh(study);
    const known = {
      picture: study.pictures.map(({ id }) => id), language: Object.keys(study.languages), other: Object.keys(study.languages),
      otherPicture: study.pictures.map(({ id }) => id), sae: study.saes.map(({ name }) => name), scope: Object.keys(Live.SCOPES),
    };
    for (const key of TEXTS) if (words.has(key) && (known[key] ?? [words.get(key)]).includes(words.get(key))) state[key] = words.get(key);
    const { features, languages } = study.saes.find(({ name }) => name === state.sae);
    if (!languages.includes(state.language)) state.sae = Live.saesOf(study, state.language)[0].name;
    const isFeature = (n) => Number.isInteger(n) && n >= 0 && n < features;
    const feature = words.has("feature") ? Number(words.get("feature")) : null;
    state.feature = isFeature(feature) ? feature : null;
    const parts = (key) => (words.get(key) ?? "").split("_").filter(Boolean);
    state.off = new Set((words.get("off") ?? "").split(".").filter(Boolean).map(Number).filter(isFeature));
    for (const [name, strength] of parts("push").map((pair) => pair.split("*").map(Number))) {
      if (isFeature(name) && Math.abs(strength) <= Live.STRENGTHS.most) state.push.set(name, strength);
    }
    const blocks = study.config.text_config.num_hidden_layers;
    state.patch = new Set(parts("patch").filter((cell) => /^\d+\.\w+$/.test(cell) && parseInt(cell, 10) < blocks));
    return state;
  };

  /** The SAEs that are of a language. */
  Live.saesOf = (study, language) => study.saes.filter(({ languages }) => languages.includes(language));
})(globalThis.Live);
