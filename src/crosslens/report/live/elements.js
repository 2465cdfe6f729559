/* Elements of the page, keys that walk along a row of them, and pictures. */
(function (Live) {
  "use strict";

  Live.$ = (selector) => document.querySelector(selector);

  Live.element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  /** A text whose control characters can be seen, line ends among them; none of them acts. */
  Live.visible = (text) =>
    text.replaceAll("\n", "⏎").replace(/[\u0000-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0))).replace(/[\u007f-\u009f]/g, "\u2421");

  /** A text of any language within an English sentence. */
  Live.isolated = (text, language) => Live.element("bdi", { textContent: Live.visible(text), lang: language ?? "" });

  /**
   * One stop of the tabulator for many elements: the arrow keys walk among `selector` in the container, left and right as they
   * are read there; columns: how many stand in a row, for up and down.
   */
  Live.walk = (container, selector, columns = () => 1) => {
    container.addEventListener("keydown", (event) => {
      const all = [...container.querySelectorAll(selector)];
      const at = all.indexOf(document.activeElement);
      const across = getComputedStyle(document.activeElement.parentElement).direction === "rtl" ? -1 : 1;
      const step = { ArrowRight: across, ArrowLeft: -across, ArrowDown: columns(), ArrowUp: -columns() }[event.key];
      const next = all[{ Home: 0, End: all.length - 1 }[event.key] ?? at + step];
      if (at < 0 || !next) return;
      event.preventDefault();
      next.focus();
    });
    container.addEventListener("focusin", ({ target }) => {
      if (target.matches(selector)) for (const other of container.querySelectorAll(selector)) other.tabIndex = other === target ? 0 : -1;
    });
  };

  /** The first of a container's elements can be reached by the tabulator, unless another can already. */
  Live.reachable = (container, selector) => {
    const all = [...container.querySelectorAll(selector)];
    if (all.length && !all.some((own) => own.tabIndex === 0)) all[0].tabIndex = 0;
  };

  /** RGB bytes (size, size, 3) on a canvas. */
  Live.paint = (canvas, rgb, size) => {
    Object.assign(canvas, { width: size, height: size });
    const data = new ImageData(size, size);
    for (let i = 0; i < size * size; i++) {
      data.data.set(rgb.subarray(3 * i, 3 * i + 3), 4 * i);
      data.data[4 * i + 3] = 255;
    }
    canvas.getContext("2d").putImageData(data, 0, 0);
    return canvas;
  };

  Live.decimal = (value, digits = 2) => {
    const text = Math.abs(value).toFixed(digits);
    return value < 0 && Number(text) ? `−${text}` : text;
  };

  Live.signed = (value, digits = 2) => (value > 0 && Number(value.toFixed(digits)) ? "+" : "") + Live.decimal(value, digits);
})(globalThis.Live);
