/* From what is chosen to what the model says: captions as it is and under the changes, the word for the person, the map of patches. */
(function (Live) {
  "use strict";
  const SLICE = 30; // milliseconds of work between two looks at what the reader does

  Live.Asking = class {
    /** show(results, what) is called whenever there is more to show; what: "writing", "mapping", or "done". */
    constructor(study, model, show) {
      Object.assign(this, { study, model, show });
      this.turn = 0;
      this.keys = {};
      /**
       * plain, other, edited: steps of `Model.write`, edited null where nothing is changed. columns: of both runs. word: what of
       * the person is asked, { language, start, said, female, male, forms, prefix }, or null; logP: of its two forms, { plain, edited }.
       * effects: change of the log-odds by a patch, a Map of "block.column"; null where the map cannot be read.
       */
      this.results = { plain: null, other: null, edited: null, columns: [], word: null, logP: {}, effects: new Map() };
    }

    /** Whether the reader has changed anything that reaches the model. */
    changes(state) {
      return state.off.size + [...state.push.values()].filter(Boolean).length + this.patches(state).length > 0;
    }

    /** The patches that are chosen and whose position both runs have: [block, column]. */
    patches({ patch }) {
      return [...patch].flatMap((cell) => {
        const [block, name] = cell.split(".");
        const column = this.results.columns.find((own) => own.name === name);
        return column ? [[Number(block), column]] : [];
      });
    }

    /** The taps of the changes, as a function of the tokens; codes are read before the SAE's own edits. own: the SAE chosen. */
    taps(state, own, { codes }) {
      const { sae, site } = own;
      const roles = new Set([
        ...(state.scope === "picture" ? [] : Live.editedRoles(own.roles)), ...(state.scope === "text" ? [] : ["image"]),
      ]);
      return (tokens) => {
        const where = { tokens, roles, limit: own.limits[state.language] };
        const taps = this.patches(state).map(([block, { pairs }]) => this.patched(block, pairs));
        if (codes) taps.push(Live.readCodes(sae, site, tokens));
        if (state.off.size) taps.push(Live.suppress(sae, site, [...state.off], where));
        const push = new Map([...state.push].filter(([, strength]) => strength));
        if (push.size) taps.push(Live.steer(sae, site, push, own.levels[state.language], where));
        return taps;
      };
    }

    patched(block, pairs) {
      return Live.patch(block, pairs, this.there, this.model.text.width);
    }

    /** Ask anew what has changed; a later call ends an earlier one at its next pause. True where it came to the end. */
    async ask(state, own) {
      const mine = ++this.turn;
      let began = performance.now();
      const goesOn = async (what, rests = false) => {
        if (performance.now() - began < SLICE && !rests) return true;
        this.show(this.results, what);
        await new Promise((resolve) => setTimeout(resolve));
        began = performance.now();
        return mine === this.turn;
      };
      const { results, model, study } = this;
      /** Write into results[name]; false where another turn has begun. */
      const write = async (name, pass, taps) => {
        for (const step of model.write(pass, { taps })) {
          results[name] = step;
          if (!(await goesOn("writing"))) return false;
        }
        return true;
      };

      const picture = study.pictures.find(({ id }) => id === state.picture);
      const here = Live.begin(model, picture, state.language, state.text);
      const reading = (tokens) => [Live.readCodes(own.sae, own.site, tokens)];
      const run = [state.picture, state.language, state.text];
      let key = JSON.stringify([run, own.name]);
      if (this.keys.plain !== key) {
        results.edited = null; // of another run
        if (!(await write("plain", model.pass(picture, here), reading))) return false;
        this.keys.plain = key;
      }
      const otherPicture = Live.otherPicture(state, study);
      const there = Live.begin(model, otherPicture, state.other, state.otherText);
      this.there = model.pass(otherPicture, there);
      results.columns = Live.columns(here, there, model);
      key = JSON.stringify([otherPicture.id, state.other, state.otherText]);
      if (this.keys.other !== key) {
        if (!(await write("other", this.there, () => []))) return false;
        this.keys.other = key;
      }
      const taps = this.taps(state, own, { codes: true });
      if (!this.changes(state)) results.edited = null;
      else if (!(await write("edited", model.pass(picture, here), taps))) return false;

      key = JSON.stringify(run);
      if (this.keys.word !== key) {
        results.word = this.asked(here, state.language);
        this.question = results.word && new Live.Question(model, picture, state.language, results.word.prefix, results.word.forms);
        results.logP = { plain: this.question?.logP() };
        this.keys.word = key;
      }
      const edited = this.taps(state, own, { codes: false });
      results.logP.edited = results.edited ? this.question?.logP(edited) : null;
      key = JSON.stringify([run, this.keys.other]);
      if (this.keys.map !== key) {
        results.effects = this.question?.beginsWith(here) ? new Map() : null;
        this.keys.map = key;
      }
      if (!(await goesOn("done", true))) return false;

      for (const [cell, effect] of this.missing()) {
        results.effects.set(cell, effect());
        if (!(await goesOn("mapping"))) return false;
      }
      return goesOn("done", true);
    }

    /** The cells of the map that are still to be computed, and what computes them. */
    missing() {
      const { effects, columns, logP } = this.results;
      const blocks = [...Array(this.study.config.text_config.num_hidden_layers).keys()];
      const cells = effects ? blocks.flatMap((block) => columns.map((column) => [`${block}.${column.name}`, block, column.pairs])) : [];
      return cells.filter(([cell]) => !effects.has(cell)).map(([cell, block, pairs]) => {
        const from = Math.min(...pairs.map(([position]) => position));
        const effect = () => {
          const [female, male] = this.question.logP(() => [this.patched(block, pairs)], from);
          return female - male - (logP.plain[0] - logP.plain[1]);
        };
        return [cell, effect];
      });
    }

    /**
     * Where the model first names a person in the caption as it is, and the two words for it; else the first pair behind what was
     * typed; null of a study without a lexicon.
     */
    asked(here, language) {
      const own = this.study.languages[language];
      const tokens = this.results.plain.tokens.slice(here.length);
      const text = here.text + tokens.map((token) => token.text).join("");
      const word = Live.personWord(text, own, here.text.length);
      if (word) return { ...word, language, forms: [word.female, word.male], prefix: text.slice(0, word.start) };
      if (!own.pairs.length) return null;
      const [female, male] = own.pairs[0];
      const prefix = here.text && !/\s$/.test(here.text) ? `${here.text} ` : here.text;
      return { start: null, said: null, female, male, forms: [female, male], language, prefix };
    }
  };
})(globalThis.Live);
