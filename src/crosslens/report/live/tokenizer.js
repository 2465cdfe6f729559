/* The tokenizer of tokenizer.json: added tokens first, then byte-pair merges, spaces as ▁, unknown characters as bytes. */
(function (Live) {
  "use strict";
  const SPACE = "▁";
  const escaped = (text) => text.replace(/[^\p{L}\p{N}_]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

  Live.Tokenizer = class {
    /** file: the parsed tokenizer.json of a Gemma tokenizer. */
    constructor({ model, added_tokens: added }) {
      this.idOf = new Map(Object.entries(model.vocab));
      this.pieces = [];
      for (const [piece, id] of this.idOf) this.pieces[id] = piece;
      for (const { content, id } of added) this.pieces[id] = content;
      this.added = new Map(added.map(({ content, id, special }) => [content, { id, special }]));
      this.specialIds = new Set(added.filter(({ special }) => special).map(({ id }) => id));
      // Merges are pairs, or "left right" in files of older libraries. Pieces hold no space, so that is unambiguous.
      this.rank = new Map(model.merges.map((pair, i) => [Array.isArray(pair) ? pair.join(" ") : pair, i]));
      const longestFirst = [...this.added.keys()].sort((a, b) => b.length - a.length);
      this.addedPattern = new RegExp(longestFirst.map(escaped).join("|"), "gu");
    }

    /**
     * Tokens { id, start, end } of a text made of parts, with places in the whole text (UTF-16). A part is a string, plain
     * text whatever it spells, or { markup }, in which special tokens are recognised. Nothing is added in front.
     */
    encode(...parts) {
      const tokens = [];
      let text = "";
      const plain = []; // [from, to) of the plain parts
      for (const part of parts) {
        if (typeof part === "string") plain.push([text.length, text.length + part.length]);
        text += typeof part === "string" ? part : part.markup;
      }
      let done = 0;
      const merge = (to) => tokens.push(...this.merge(text.slice(done, to), done));
      for (const { 0: content, index } of text.matchAll(this.addedPattern)) {
        const { id, special } = this.added.get(content);
        const end = index + content.length;
        if (index < done || (special && plain.some(([from, to]) => from < end && index < to))) continue;
        if (index > done) merge(index);
        tokens.push({ id, start: index, end });
        done = end;
      }
      if (done < text.length) merge(text.length);
      return tokens;
    }

    /** Byte-pair encoding: join the pair of lowest rank, the leftmost of equals, until no pair is in the list. */
    merge(text, offset) {
      const symbols = [];
      let at = offset;
      for (const written of text) {
        const [start, end] = [at, (at += written.length)];
        const character = written === " " ? SPACE : written;
        const pieces = this.idOf.has(character) ? [character] : [...new TextEncoder().encode(character)].map(byteName);
        for (const piece of pieces) symbols.push({ piece, start, end });
      }
      for (;;) {
        let best = Infinity, left = -1;
        for (let i = 0; i + 1 < symbols.length; i++) {
          const rank = this.rank.get(`${symbols[i].piece} ${symbols[i + 1].piece}`);
          if (rank < best) [best, left] = [rank, i];
        }
        if (left < 0) return symbols.map(({ piece, start, end }) => ({ id: this.idOf.get(piece), start, end }));
        const [one, two] = symbols.slice(left, left + 2);
        symbols.splice(left, 2, { piece: one.piece + two.piece, start: one.start, end: two.end });
      }
    }

    /** The text of ids; special tokens stand for none. */
    decode(ids) {
      return this.decodeEach(ids).join("");
    }

    /**
     * The text of each id. A character of several byte tokens is the text of its last one, the others get "";
     * bytes that are no UTF-8 become U+FFFD each.
     */
    decodeEach(ids) {
      const texts = ids.map(() => "");
      const shown = [...ids.keys()].filter((i) => !this.specialIds.has(ids[i]));
      for (let n = 0; n < shown.length; ) {
        let end = n;
        const bytes = [];
        while (end < shown.length && isByte(this.pieces[ids[shown[end]]])) {
          bytes.push(parseInt(this.pieces[ids[shown[end++]]].slice(3, 5), 16));
        }
        if (end === n) {
          texts[shown[n]] = (this.pieces[ids[shown[n++]]] ?? "").replaceAll(SPACE, " ");
          continue;
        }
        try {
          const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes));
          for (const character of text) {
            n += new TextEncoder().encode(character).length;
            texts[shown[n - 1]] = character;
          }
        } catch {
          for (; n < end; n++) texts[shown[n]] = "\uFFFD";
        }
      }
      return texts;
    }

    /** A token by itself: its text, or the name of one that stands for none. */
    name(id) {
      return this.decode([id]) || this.pieces[id];
    }
  };

  const byteName = (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
  const isByte = (piece) => /^<0x[0-9A-F]{2}>$/.test(piece);
})(globalThis.Live);
