/* The page: controls, the address, and when the model is asked. */
(async function (Live) {
  "use strict";
  const { $, element } = Live;
  const study = Live.take("study");
  if (!study.saes.length) throw new Error("This study has no SAE that writes where it reads: there is nothing to run here.");
  for (const picture of study.pictures) Object.assign(picture, { rgb: Live.decodeBase64(picture.rgb), label: Live.visible(picture.label) });
  const page = { study, state: Live.fresh(study), own: null };
  const saes = new Map(); // name → promise of what data/sae_….js holds, its weights made
  let asking = null;
  let latest = 0;

  const say = (text) => ($("#status [role=status]").textContent = text);
  const failed = (error) => {
    say(error.message);
    throw error;
  };

  /** The SAE of that name, loaded once. */
  function saeOf(name) {
    const { file } = study.saes.find((own) => own.name === name);
    if (!saes.has(name)) {
      saes.set(name, Live.load(file).then(({ weights, cfg, ...rest }) => {
        const sae = new Live.SparseAutoencoder(cfg, Live.readSafetensors(Live.decodeBase64(weights)));
        return { name, sae, ...rest, site: Live.siteOf(rest.site) };
      }));
    }
    return saes.get(name);
  }

  /** From a choice to what it shows. */
  async function update() {
    const mine = ++latest;
    controls();
    const hash = Live.toHash(page.state, study);
    // Not history.replaceState: what it allows at file: addresses differs between browsers.
    if (hash !== (location.hash || "#")) location.replace(hash);
    if (!asking) return;
    say("Writing …");
    const began = performance.now();
    page.own = await saeOf(page.state.sae);
    if (mine !== latest) return;
    if (await asking.ask(page.state, page.own)) say(`Written in ${Math.round(performance.now() - began)} ms.`);
  }
  const changed = () => update().catch(failed);

  const captions = new Live.Captions(page, () => {
    $("#order").value = captions.chosen ? "token" : "caption";
    show(asking.results, "done");
  });
  const features = new Live.Features(page, captions, changed);
  const map = new Live.PatchMap(page, changed);

  /** what: as of `Live.Asking`; while the map is filled nothing else has changed. */
  function show(results, what) {
    if (!results.plain || !page.own) return;
    if (what === "mapping") say(`Patching, ${results.effects.size} of ${results.columns.length * study.config.text_config.num_hidden_layers} …`);
    if (what !== "mapping") captions.show(results);
    if (what === "done") features.show(results);
    if (what !== "writing") map.show(results);
  }

  /** Fetch the weights, which the page does without until they are asked for. */
  async function start() {
    $("#start").disabled = true;
    say("Loading the model …");
    const weights = Live.decodeBase64(await Live.load("model"));
    asking = new Live.Asking(study, new Live.Model(study, weights), show);
    $("#start").hidden = true;
    $("#live").hidden = false;
    await update();
  }

  /** Bring the controls to the state; a field that is being typed in is left alone. */
  function controls() {
    const { state } = page;
    const own = Live.saesOf(study, state.language);
    $("#sae").replaceChildren(...own.map(({ name, label }) => element("option", { value: name, textContent: label })));
    for (const id of ["language", "sae", "text", "scope", "other", "otherPicture", "otherText"]) {
      const control = $(`#${id}`);
      if (control !== document.activeElement || control.tagName === "SELECT") control.value = state[id];
    }
    for (const [id, language] of [["text", state.language], ["otherText", state.other]]) {
      Object.assign($(`#${id}`), { dir: study.languages[language].direction, lang: language });
    }
    for (const button of document.querySelectorAll("#pictures button")) {
      const on = button.dataset.id === state.picture;
      button.ariaChecked = String(on);
      button.tabIndex = on ? 0 : -1;
    }
    const picture = study.pictures.find(({ id }) => id === state.picture);
    Live.paint($("#picture"), picture.rgb, study.pixels.size).ariaLabel = picture.label;
    const { short, direction } = study.languages[state.language];
    $("#about").replaceChildren(
      Live.isolated(picture.label), `. Asked in ${short}: `, Object.assign(Live.isolated(picture.prompts[state.language], state.language), { dir: direction }),
    );
    $("#link").href = Live.toHash(state, study);
  }

  function build() {
    if (study.note) $("#lead").append(" ", Live.isolated(study.note));
    $("#start").textContent = `Run the model here (${(study.bytes / 1e6).toFixed(1)} MB)`;
    const options = (id, pairs) => $(id).append(...pairs.map(([value, textContent]) => element("option", { value, textContent })));
    const named = (ids) => ids.map((id) => [id, study.languages[id].name]);
    options("#language", named(Live.languagesOf(study)));
    options("#other", named(Object.keys(study.languages)));
    options("#otherPicture", [...Object.entries(Live.OTHER_PICTURES), ...study.pictures.map(({ id, label }) => [id, `${label} (${id})`])]);
    options("#scope", Object.entries(Live.SCOPES));
    for (const { id, label, rgb } of study.pictures) {
      const canvas = Live.paint(document.createElement("canvas"), rgb, study.pixels.size);
      const button = element("button", { type: "button", role: "radio", title: `${label} (${id})`, ariaLabel: `${label}, ${id}` }, canvas);
      button.dataset.id = id;
      button.onclick = () => ((page.state.picture = id), changed());
      // the arrow keys of a radio group choose what they reach
      button.onfocus = () => page.state.picture !== id && button.click();
      $("#pictures").append(button);
    }
    Live.walk($("#pictures"), "button");
    const choose = (id, also = () => {}) => {
      const control = $(`#${id}`);
      control[control.tagName === "SELECT" ? "onchange" : "oninput"] = () => {
        page.state[id] = control.value;
        also(page.state);
        changed();
      };
    };
    for (const id of ["text", "scope", "otherPicture", "otherText"]) choose(id);
    const withoutFeatures = { feature: null, off: new Set(), push: new Map() };
    choose("sae", (state) => Object.assign(state, structuredClone(withoutFeatures)));
    choose("other", (state) => Object.assign(state, { otherText: "", patch: new Set() }));
    choose("language", (state) => {
      const { sae, other } = Live.fresh(study, state.language);
      Object.assign(state, { other, text: "", otherText: "", patch: new Set() });
      const stays = Live.saesOf(study, state.language).some(({ name }) => name === state.sae);
      if (!stays) Object.assign(state, { sae }, structuredClone(withoutFeatures));
      captions.chosen = null;
    });
    $("#undo").onclick = () => (Object.assign(page.state, { off: new Set(), push: new Map(), patch: new Set() }), changed());
    $("#start").onclick = () => start().catch(failed);
    window.onhashchange = () => {
      if (location.hash === Live.toHash(page.state, study)) return;
      page.state = Live.fromHash(location.hash, study);
      changed();
    };
  }

  build();
  page.state = Live.fromHash(location.hash, study);
  controls();
  if (location.hash.length > 1) await start();
})(globalThis.Live).catch((error) => {
  document.querySelector("#status [role=status]").textContent = error.message;
  throw error;
});
