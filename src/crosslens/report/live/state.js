/* What is chosen on the page, and its address: everything that decides what is shown stands in the hash. */
(function (Live) {
  "use strict";
  Live.STRENGTHS = { most: 5, step: 0.25 };
  Live.SCOPES = { text: "the text", picture: "the picture", all: "both" };

  /**
   * The state of a page of which nothing is known but a language: the SAE with the most gendered features, and as the run whose
   * states can be had that of another language and of a picture that shows another gender.
   */
  Live.fresh = (study, language = Live.languagesOf(study)[0]) => {
    const other = Object.keys(study.languages).find((id) => id !== language) ?? language;
    const sae = Live.saesOf(study, language).reduce((best, own) => (own.gendered > best.gendered ? own : best));
    return {
      picture: study.pictures[0].id, language, text: "", sae: sae.name, feature: null, scope: "text",
      off: new Set(), push: new Map(), other, otherPicture: "unlike", otherText: "", patch: new Set(),
    };
  };

  Live.OTHER_PICTURES = { same: "the same", unlike: "one that shows another gender" };

  /** The picture of the other run: one of that id, the same, or the first that shows a gender and not the same. */
  Live.otherPicture = ({ picture, otherPicture }, { pictures }) => {
    const own = pictures.find(({ id }) => id === picture);
    if (otherPicture === "same") return own;
    if (otherPicture !== "unlike") return pictures.find(({ id }) => id === otherPicture);
    const unlike = ({ gender }) => gender !== own.gender;
    return pictures.find((one) => one.gender !== "unknown" && unlike(one)) ?? pictures.find((one) => one !== own) ?? own;
  };

  const TEXTS = ["picture", "language", "text", "sae", "feature", "scope", "other", "otherPicture", "otherText"];

  /** The hash of a state: what differs from a fresh page. */
  Live.toHash = (state, study) => {
    const plain = { ...Live.fresh(study, state.language), language: Live.fresh(study).language };
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
    const language = words.get("language");
    const state = Live.fresh(study, Live.languagesOf(study).includes(language) ? language : undefined);
    const known = {
      picture: study.pictures.map(({ id }) => id), language: Live.languagesOf(study), other: Object.keys(study.languages),
      otherPicture: [...Object.keys(Live.OTHER_PICTURES), ...study.pictures.map(({ id }) => id)], sae: study.saes.map(({ name }) => name), scope: Object.keys(Live.SCOPES),
    };
    for (const key of TEXTS) {
      const value = words.get(key);
      if (value !== null && (known[key] ?? [value]).includes(value)) state[key] = value;
    }
    const { features, languages } = study.saes.find(({ name }) => name === state.sae);
    if (!languages.includes(state.language)) return Live.fromHash(`#language=${state.language}`, study);
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

  /** The languages that some SAE is of: those in which the page runs. */
  Live.languagesOf = (study) => Object.keys(study.languages).filter((language) => Live.saesOf(study, language).length);

  /** The SAEs that are of a language. */
  Live.saesOf = (study, language) => study.saes.filter(({ languages }) => languages.includes(language));
})(globalThis.Live);
