/* Which positions of two runs go together: the columns of the map of patches. */
(function (Live) {
  "use strict";

  /**
   * Columns { name, label, pairs: [[position here, position there]] } of two lists of `Model.tokens`, from left to right: the
   * picture's tokens; the last piece of the prompt; each token of the frame behind it, the same in both; of each word of what
   * was typed the last piece, where both have equally many; and the position that tells what is written next. Nothing is
   * interpolated. model: for the names of tokens.
   */
  Live.columns = (here, there, model) => {
    const sides = [here, there];
    const found = [];
    const add = (name, label, lists) => {
      if (lists[0].length && lists[0].length === lists[1].length) {
        found.push({ name, label, pairs: lists[0].map((position, i) => [position, lists[1][i]]) });
      }
    };
    const where = (tokens, fits) => [...tokens.keys()].filter((i) => fits(tokens[i]));
    add("picture", "picture", sides.map((tokens) => where(tokens, ({ role }) => role === "image")));
    add("prompt", "prompt’s end", sides.map((tokens) => lastPiece(tokens, tokens.prompt)));
    const frames = sides.map((tokens) => where(tokens, (token) => token.start >= tokens.prompt[1] && token.end <= tokens.caption[0]));
    frames[0].forEach((position, i) => {
      add(`turn${i + 1}`, name(model, here[position]), [[position], frames[1].slice(i, i + 1)]);
    });
    const words = sides.map(wordSpans);
    if (words[0].length === words[1].length) {
      words[0].forEach((_, i) => add(`word${i + 1}`, `word ${i + 1}`, sides.map((tokens, side) => lastPiece(tokens, words[side][i]))));
    }
    const lasts = sides.map((tokens) => [tokens.length - 1]);
    // The last position may be a word's end or the frame's: it is told once.
    const own = found.filter(({ pairs }) => !pairs.some(([i, j]) => i === lasts[0][0] || j === lasts[1][0]));
    return [...own, { name: "last", label: "last", pairs: [[lasts[0][0], lasts[1][0]]] }];
  };

  /** Where in the whole text the words of what was typed are. */
  const wordSpans = ({ text, caption: [start] }) =>
    [...text.matchAll(/\S+/g)].map(({ 0: word, index }) => [start + index, start + index + word.length]);

  /** The last token that has a part of the characters [from, to), as a list. */
  function lastPiece(tokens, [from, to]) {
    for (let i = tokens.length - 1; i >= 0; i--) if (tokens[i].start < to && tokens[i].end > from) return [i];
    return [];
  }

  const name = (model, { id }) => model.tokenizer.name(id).replaceAll("\n", "⏎");
})(globalThis.Live);
