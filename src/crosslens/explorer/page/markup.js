// Elements, and texts and numbers as a reader sees them. Texts of a study only ever become text nodes.
"use strict";

{
  const SVG = "http://www.w3.org/2000/svg";

  function filled(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes ?? {})) {
      if (value === undefined || value === null || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
    return element;
  }

  /** An element with attributes and children; `onclick` and the like are listeners. */
  Explorer.el = (name, attributes, ...children) => filled(document.createElement(name), attributes, children);
  Explorer.svg = (name, attributes, ...children) => filled(document.createElementNS(SVG, name), attributes, children);

  /** A text whose control characters can be seen; none of them acts. */
  Explorer.visible = (text) =>
    text.replace(/[\u0000-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0))).replace(/[\u007f-\u009f]/g, "\u2421");

  /** A piece of a study's text within another sentence, which its direction does not turn round. */
  Explorer.bdi = (text, attributes) => Explorer.el("bdi", attributes, Explorer.visible(String(text)));

  /** Three digits of a number; – where there is none. */
  Explorer.number = (value, digits = 3) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    if (typeof value === "string") return value.startsWith("-") ? "−∞" : "∞";
    if (!Number.isFinite(value)) return value < 0 ? "−∞" : "∞";
    return String(Number(value.toPrecision(digits))).replace("-", "−");
  };

  /** A share in percent. */
  Explorer.percent = (value) => {
    const shown = Explorer.number(typeof value === "number" ? 100 * value : value, 2);
    return shown === "–" ? shown : `${shown}\u00a0%`;
  };

  Explorer.count = (value) => value.toLocaleString("en");

  /** What is compared when a reader looks for words: no marks, no capitals, one form of each Arabic letter. */
  Explorer.plain = (text) =>
    text
      .normalize("NFKD")
      .replace(/[\p{M}\u0640\u200c\u200d]/gu, "")
      .toLowerCase()
      .replace(/ى/g, "ي")
      .replace(/ة/g, "ه");

  /** The language of that code. */
  Explorer.language = (code) => Explorer.study().languages.find((language) => language.code === code);

  /** Attributes of an element in a language. */
  Explorer.written = (code) => ({ lang: code, dir: Explorer.language(code).dir });

  /** The address of a feature's page. */
  Explorer.address = (sae, id) => `#/${encodeURIComponent(sae.site)}/${encodeURIComponent(sae.corpus)}/${id}`;

  /** Rows of numbers and words as CSV in UTF-8; what has no value is empty. */
  Explorer.csv = (rows) => {
    const cell = (value) => {
      const text = value === null || Number.isNaN(value) ? "" : String(value);
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    return `\ufeff${rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("")}`;
  };

  /** A text as a file that the browser saves. */
  Explorer.save = (name, text, type) => {
    const address = URL.createObjectURL(new Blob([text], { type }));
    Explorer.el("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  };
}
