/* The word for the person: where a caption says it, and how likely either gender's is there (crosslens.interventions.outcomes). */
(function (Live) {
  "use strict";
  const WORD = /[\p{L}\p{M}\p{N}]+(?:[-'’][\p{L}\p{M}\p{N}]+)*/gu;
  const ALIKE = { أ: "ا", إ: "ا", آ: "ا", ى: "ي", ئ: "ي", ؤ: "و" };
  const normalised = (word) =>
    word.normalize("NFKC").toLowerCase().replace(/[أإآ]/g, (c) => ALIKE[c]).normalize("NFD").replace(/[\p{M}\u0640]/gu, "")
      .normalize("NFC").replace(/[ىئؤ]/g, (c) => ALIKE[c]);

  /** What is left of a word without some of the proclitics in front: [stem, how many were taken off]. */
  const stems = (word, proclitics, off = 0) => [
    [word, off],
    ...proclitics
      .filter((prefix) => word.length > prefix.length && word.startsWith(prefix))
      .flatMap((prefix) => stems(word.slice(prefix.length), proclitics, off + 1)),
  ];

  /**
   * The first gendered word of a text from character `from` on, if it is one of a language's pairs behind at most a proclitic:
   * { start, said, female, male }, both forms with the proclitic; else null. language: { pairs: [[female, male]], gendered, proclitics }, gendered: all
   * words of the study's lexicon. Matching is the lexicon's but for clitics that only some of its words may carry.
   */
  Live.personWord = (text, { pairs, gendered, proclitics }, from = 0) => {
    const known = new Set([...gendered, ...pairs.flat()].map(normalised));
    for (const { 0: word, index } of text.matchAll(WORD)) {
      if (index < from) continue;
      const found = stems(word, proclitics).filter(([stem]) => known.has(normalised(stem)));
      if (!found.length) continue;
      for (const [stem, off] of found) {
        const pair = pairs.find((forms) => forms.some((form) => normalised(form) === normalised(stem)));
        if (!pair || off > 1) continue;
        const prefix = word.slice(0, word.length - stem.length);
        const [female, male] = pair.map((form) => prefix + form);
        return { start: index, said: normalised(pair[0]) === normalised(stem) ? "female" : "male", female, male };
      }
      return null;
    }
    return null;
  };

  /**
   * log P of two words that may follow a text: of all their pieces from the first that differs, and of the word's end where the
   * pieces of one begin the other's.
   */
  Live.Question = class {
    constructor(model, picture, language, prefix, forms) {
      Object.assign(this, { model, forms });
      const texts = forms.map((form) => model.tokens(picture, language, prefix + form));
      const shortest = Math.min(...texts.map((tokens) => tokens.length));
      let start = 0;
      while (start < shortest && texts[0][start].id === texts[1][start].id) start++;
      const wordEnd = start === shortest;
      const single = !wordEnd && texts.every((tokens) => tokens.length === start + 1);
      /** Passes, and what is read of them: form, position, ids of which any. */
      this.parts = (single ? [[0, 1]] : [[0], [1]]).map((own) => {
        const reads = own.flatMap((form) => {
          const pieces = texts[form].slice(start).map(({ id }, i) => ({ form, position: start - 1 + i, ids: [id] }));
          const end = { form, position: texts[form].length - 1, ids: model.study.word_ends };
          return wordEnd ? [...pieces, end] : pieces;
        });
        const length = Math.max(...reads.map(({ position }) => position)) + 1;
        return { pass: model.pass(picture, texts[own[0]].slice(0, length)), reads };
      });
    }

    /** Whether these tokens are the beginning of what is read, so that their positions are the same there. */
    beginsWith(tokens) {
      return this.parts.every(({ pass }) => tokens.every(({ id }, i) => pass.tokens[i]?.id === id));
    }

    /** [log P(first word), log P(second word)] in nats. taps: made by a function of the tokens; from: as of `Model.run`. */
    logP(taps = () => [], from = 0) {
      const found = [0, 0];
      for (const { pass, reads } of this.parts) {
        const { x } = this.model.run(pass, taps(pass.tokens), from);
        const told = new Map();
        for (const { form, position, ids } of reads) {
          if (!told.has(position)) told.set(position, Live.logSoftmax(this.model.text.logits(x, position - from)));
          const values = ids.map((id) => told.get(position)[id]);
          const most = Math.max(...values);
          found[form] += most + Math.log(values.reduce((sum, v) => sum + Math.exp(v - most), 0));
        }
      }
      return found;
    }
  };
})(globalThis.Live);
