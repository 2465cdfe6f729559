/* Pictures and words in, captions out. A pass without edits is kept whole, so that what an edit cannot change is not run again. */
(function (Live) {
  "use strict";
  const KEPT = 8; // passes

  Live.Model = class {
    /** study: what data/study.js provides; bytes: the model's tensors, as safetensors. */
    constructor(study, bytes) {
      const tensors = Live.readSafetensors(bytes);
      this.study = study;
      this.tokenizer = new Live.Tokenizer(study.tokenizer);
      this.special = new Set(study.special);
      this.ends = new Set(study.ends);
      this.vision = new Live.VisionTower(study.config, tensors, study.pixels);
      this.text = new Live.Gemma3Text(study.config, tensors);
      this.seen = new Map();
      this.passes = new Map();
    }

    /**
     * The tokens { id, start, end, role } of a picture's prompt in a language and of the text behind it: the roles of the
     * study's token tables. The list has the `text` behind the prompt, and where `prompt` and `caption` stand in the whole.
     */
    tokens(picture, language, caption = "") {
      const { head, middle } = this.study.frame;
      const asked = picture.prompts[language];
      const prompt = [head.length, head.length + asked.length];
      const written = [prompt[1] + middle.length, prompt[1] + middle.length + caption.length];
      const inside = (token, [from, to]) => token.start < to && token.end > from;
      const tokens = this.tokenizer.encode({ markup: head }, asked, { markup: middle }, caption);
      tokens.forEach((token, i) => {
        token.role = "prompt";
        if (inside(token, written)) token.role = "caption";
        if (this.special.has(token.id)) token.role = i === 0 ? "bos" : "special";
        if (token.id === this.study.image) token.role = "image";
      });
      return Object.assign(tokens, { text: caption, prompt, caption: written });
    }

    /** The vectors of a picture { id, rgb }; every picture goes through the tower once. */
    look(picture) {
      if (!this.seen.has(picture.id)) this.seen.set(picture.id, this.vision.encode(picture.rgb));
      return this.seen.get(picture.id);
    }

    /**
     * The pass over a picture and tokens without edits: { tokens, into, reach, cache }. into[b] is what goes into block b, the
     * last of them what leaves the last block; reach is as `Gemma3Text.run` takes it. The latest are kept.
     */
    pass(picture, tokens) {
      const key = [picture.id, ...tokens.map(({ id }) => id)].join();
      const kept = this.passes.get(key) ?? this.read(picture, tokens);
      this.passes.delete(key);
      this.passes.set(key, kept);
      if (this.passes.size > KEPT) this.passes.delete(this.passes.keys().next().value);
      return { ...kept, tokens };
    }

    read(picture, tokens) {
      const { text } = this;
      const ids = tokens.map(({ id }) => id);
      const x = text.embed(ids);
      const vectors = this.look(picture);
      const first = ids.indexOf(this.study.image);
      x.set(vectors, first * text.width);
      const last = first + vectors.length / text.width - 1;
      const reach = Int32Array.from(ids, (_, i) => (i >= first && i <= last ? last : i));
      const cache = text.newCache();
      const into = [x.slice()];
      text.run(x, 0, cache, { reach, at: (kind, b, x) => kind === "resid_post" && into.push(x.slice()) });
      return { into, reach, cache };
    }

    /**
     * A pass again, with taps: { x, cache }, the last block's residual and keys and values.
     *
     * A tap is { kind, block, apply(x, start) }: called with the rows of a site from position `start` on, which it may read
     * and change; taps of a site are called in their order. from: the first position to run, where none before it is changed.
     */
    run(pass, taps, from = 0) {
      const { text } = this;
      if (!taps.length) return { x: pass.into.at(-1).subarray(from * text.width), cache: pass.cache };
      const first = Math.min(...taps.map(({ kind, block }) => block + (kind === "resid_post")));
      const x = pass.into[first].slice(from * text.width);
      const cache = pass.cache.clone();
      const at = tapping(taps);
      at("resid_post", first - 1, x, from);
      text.run(x, from, cache, { first, reach: pass.reach.subarray(from), at });
      return { x, cache };
    }

    /**
     * Write a caption behind a pass, greedily: a generator that yields after every token and may be abandoned at any.
     *
     * taps: made by a function of the list of tokens, which grows as they are written. allowed(logits, written) may forbid
     * tokens. Yields { tokens, done }: tokens of the pass and written ones (role generated), each with its text, and of written
     * ones the likeliest `alternatives` [text, probability].
     */
    *write(pass, { taps = () => [], maxNew = this.study.max_new, allowed = (logits) => logits } = {}) {
      const tokens = pass.tokens.map((token) => ({ ...token }));
      const made = taps(tokens);
      const at = tapping(made);
      const run = this.run(pass, made);
      const cache = made.length ? run.cache : run.cache.clone();
      let { x } = run;
      let row = pass.tokens.length - 1;
      for (let step = 0; ; step++) {
        const logits = allowed(this.text.logits(x, row), tokens.slice(pass.tokens.length));
        const id = logits && step < maxNew ? Live.greedy(logits) : null;
        const done = id === null || this.ends.has(id);
        this.spell(tokens);
        yield { tokens, done };
        if (done) return;
        tokens.push({ id, role: "generated", alternatives: this.likeliest(logits) });
        x = this.text.embed([id]);
        row = 0;
        this.text.run(x, tokens.length - 1, cache, { at });
      }
    }

    /** The likeliest tokens: [text, probability]. */
    likeliest(logits, count = 4) {
      const logP = Live.logSoftmax(logits);
      const order = [...logP.keys()].sort((a, b) => logP[b] - logP[a]).slice(0, count);
      return order.map((id) => [this.tokenizer.name(id), Math.exp(logP[id])]);
    }

    /** Give every token its text; a special token's is its name. */
    spell(tokens) {
      const texts = this.tokenizer.decodeEach(tokens.map(({ id }) => id));
      tokens.forEach((token, i) => {
        token.text = this.tokenizer.specialIds.has(token.id) ? this.tokenizer.name(token.id) : texts[i];
      });
    }
  };

  /** Taps as what `Gemma3Text.run` calls at every site. */
  function tapping(taps) {
    return (kind, block, x, start) => {
      for (const tap of taps) if (tap.kind === kind && tap.block === block) tap.apply(x, start);
    };
  }
})(globalThis.Live);
