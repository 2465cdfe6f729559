/* What a reader types as tokens: of a word that is not finished the model chooses how it goes on. */
(function (Live) {
  "use strict";

  /**
   * Tokens of prompt and typed text, as `Model.tokens` gives them. The tokens of half a word are not those that the word begins
   * with ("▁wo", "m" and "▁woman"), so a last word behind which no space stands is for the model to write: the likeliest of
   * the tokens that begin with what is left of it; where there is none, of those that it begins with.
   */
  Live.begin = (model, picture, language, typed) => {
    const text = typed.trimStart();
    const cut = Math.max(0, text.lastIndexOf(" "));
    const word = text.slice(cut);
    const known = [...word.replaceAll(" ", "▁")].every((character) => model.tokenizer.idOf.has(character));
    // A space at the end belongs to the next word's token, which the model has still to write.
    if (!word.trim() || !known) return model.tokens(picture, language, text.trimEnd());
    const tokens = model.tokens(picture, language, text.slice(0, cut));
    const allowed = (logits, written) => {
      const rest = word.slice(model.tokenizer.decode(written.map(({ id }) => id)).length);
      return rest ? onlyThrough(model.tokenizer, logits, rest) : null;
    };
    let last;
    for (last of model.write(model.pass(picture, tokens), { allowed }));
    let end = tokens.caption[1];
    for (const { id, text: piece } of last.tokens.slice(tokens.length)) {
      tokens.push({ id, role: "caption", start: end, end: (end += piece.length) });
      tokens.text += piece;
    }
    tokens.caption[1] = end;
    return tokens;
  };

  /** Logits of the tokens alone that begin with `rest`; where there is none, of those that `rest` begins with. */
  function onlyThrough(tokenizer, logits, rest) {
    const texts = Array.from(logits, (_, id) => tokenizer.decode([id]));
    const covers = (text) => text.startsWith(rest);
    const fits = texts.some(covers) ? covers : (text) => text !== "" && rest.startsWith(text);
    return logits.map((logit, id) => (fits(texts[id]) ? logit : -Infinity));
  }
})(globalThis.Live);
