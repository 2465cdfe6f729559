/* Which words of a caption are not in another one. */
(function (Live) {
  "use strict";

  /** The places in the second list of tokens whose words are not in the first, by a longest common run of words. */
  Live.newTokens = (first, second) => {
    const [a, b] = [words(first), words(second)];
    const longest = Array.from({ length: a.length + 1 }, () => new Int32Array(b.length + 1));
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        const equal = a[i].text === b[j].text;
        longest[i][j] = equal ? 1 + longest[i + 1][j + 1] : Math.max(longest[i + 1][j], longest[i][j + 1]);
      }
    }
    const fresh = new Set();
    for (let i = 0, j = 0; j < b.length; ) {
      if (i < a.length && a[i].text === b[j].text) i++, j++;
      else if (i < a.length && longest[i + 1][j] >= longest[i][j + 1]) i++;
      else for (const place of b[j++].places) fresh.add(place);
    }
    return fresh;
  };

  /** The caption's words: [{ text, places of their tokens }]. A token that begins with a space begins a word. */
  function words(tokens) {
    const found = [];
    tokens.forEach(({ role, text }, i) => {
      if (!Live.isCaption(role)) return;
      if (!found.length || /^\s|^[.?!؟،,]/.test(text)) found.push({ text: "", places: [] });
      found.at(-1).text += text.trim();
      found.at(-1).places.push(i);
    });
    return found;
  }

  Live.isCaption = (role) => role === "caption" || role === "generated";
})(globalThis.Live);
