/* What the page's own code makes of requests: run by node or by a browser, without a document (see live_scripts.py). */
(function (Live) {
  "use strict";
  const plain = (values) => Array.from(values, (v) => Number(v.toPrecision(8)));

  /** Captions, states and outcomes of a packed page. */
  class Packed {
    constructor() {
      this.study = Live.take("study");
      for (const picture of this.study.pictures) picture.rgb = Live.decodeBase64(picture.rgb);
      this.model = new Live.Model(this.study, Live.decodeBase64(Live.take("model")));
      const { weights, cfg, ...rest } = Live.take("sae_0");
      this.own = { ...rest, site: Live.siteOf(rest.site), sae: new Live.SparseAutoencoder(cfg, Live.readSafetensors(Live.decodeBase64(weights))) };
    }

    picture(id) {
      return this.study.pictures.find((picture) => picture.id === id);
    }

    taps({ language, off = [], push = {} }) {
      const { sae, site, roles, limits, levels } = this.own;
      return (tokens) => {
        const where = { tokens, roles: Live.editedRoles(roles), limit: limits[language] };
        const taps = [Live.readCodes(sae, site, tokens)];
        if (off.length) taps.push(Live.suppress(sae, site, off, where));
        const strengths = Object.entries(push).map(([feature, strength]) => [Number(feature), strength]);
        if (strengths.length) taps.push(Live.steer(sae, site, new Map(strengths), levels[language], where));
        return taps;
      };
    }

    tokens({ picture, language, typed = "" }) {
      return this.model.tokens(this.picture(picture), language, typed);
    }

    /** Ids and roles, logits of every position, the caption that is written, and what fires on each of its tokens. */
    caption(request) {
      const tokens = this.tokens(request);
      const pass = this.model.pass(this.picture(request.picture), tokens);
      const taps = this.taps(request);
      const { x } = this.model.run(pass, taps(tokens.map((token) => ({ ...token }))));
      const logits = request.logits ? tokens.map((_, row) => plain(this.model.text.logits(x, row))) : [];
      let last;
      for (last of this.model.write(pass, { taps, maxNew: request.max_new }));
      return {
        ids: tokens.map(({ id }) => id),
        roles: tokens.map(({ role }) => role),
        logits,
        written: last.tokens.slice(tokens.length).map(({ id }) => id),
        codes: last.tokens.map(({ codes }) => Object.fromEntries(codes)),
      };
    }

    /** log-odds of two words, as it is and under changes. */
    odds(request) {
      const { picture, language, prefix, forms } = request;
      const question = new Live.Question(this.model, this.picture(picture), language, prefix, forms);
      return [() => [], this.taps(request)].map((taps) => question.logP(taps)).map(([one, other]) => one - other);
    }

    /** The columns of two runs, and of every block and of those columns that are asked for the log-odds under that patch: whole, and from its first position. */
    patches({ here, there, prefix, forms, columns: asked }) {
      const [own, other] = [here, there].map((run) => this.tokens(run));
      const columns = Live.columns(own, other, this.model);
      const pass = this.model.pass(this.picture(there.picture), other);
      const question = new Live.Question(this.model, this.picture(here.picture), here.language, prefix, forms);
      const found = {};
      for (let block = 0; block < this.model.text.blocks.length; block++) {
        for (const { name, pairs } of columns.filter((column) => asked.includes(column.name))) {
          const taps = () => [Live.patch(block, pairs, pass, this.model.text.width)];
          const from = Math.min(...pairs.map(([position]) => position));
          found[`${block}.${name}`] = [0, from].map((first) => question.logP(taps, first)).map(([one, two]) => one - two);
        }
      }
      return { begins: question.beginsWith(own), columns: Object.fromEntries(columns.map(({ name, pairs }) => [name, pairs])), found };
    }

    word({ text, language }) {
      return Live.personWord(text, this.study.languages[language]);
    }

    /** What becomes of a typed text whose last word may be half: its ids. */
    begin({ picture, language, typed }) {
      const tokens = Live.begin(this.model, this.picture(picture), language, typed);
      return { ids: tokens.map(({ id }) => id), text: tokens.text };
    }

    decode({ ids }) {
      return this.model.tokenizer.decode(ids);
    }

    encode({ text }) {
      return this.model.tokenizer.encode({ markup: text }).map(({ id }) => id);
    }
  }

  /** Logits of every position of a model, prefilled and step by step. */
  function bare({ config, tensors, ids, rgb, pixels, prefilled }) {
    const read = Live.readSafetensors(Live.decodeBase64(tensors));
    const text = new Live.Gemma3Text(config, read);
    const vectors = new Live.VisionTower(config, read, pixels).encode(Live.decodeBase64(rgb));
    const x = text.embed(ids.slice(0, prefilled));
    const first = ids.indexOf(config.image_token_index);
    x.set(vectors, first * text.width);
    const last = first + vectors.length / text.width - 1;
    const reach = Int32Array.from(x.length ? ids.slice(0, prefilled) : [], (_, i) => (i >= first && i <= last ? last : i));
    const cache = text.newCache();
    text.run(x, 0, cache, { reach });
    const logits = Array.from({ length: prefilled }, (_, row) => plain(text.logits(x, row)));
    ids.slice(prefilled).forEach((id, i) => {
      const row = text.embed([id]);
      text.run(row, prefilled + i, cache);
      logits.push(plain(text.logits(row, 0)));
    });
    return { vectors: plain(vectors), logits };
  }

  const state = ({ hash, study }) => Live.toHash(Live.fromHash(hash, study), study);

  globalThis.answer = (requests) => {
    let packed = null;
    return requests.map(({ what, ...request }) => {
      if (what === "bare") return bare(request);
      if (what === "state") return state(request);
      packed ??= new Packed();
      return packed[what](request);
    });
  };
})(globalThis.Live);
