/* The one global of the page: `Live` holds its parts, and takes the data that scripts under data/ hand over. */
(function (root) {
  "use strict";
  const given = new Map();
  const Live = (root.Live = {});

  /** Called by data/NAME.js: data are scripts, because a page opened from file:// may not fetch its neighbours. */
  Live.provide = (name, value) => given.set(name, value);

  /** What data/NAME.js provided, handed out once: megabytes of base64 should not outlive their decoding. */
  Live.take = (name) => {
    if (!given.has(name)) throw new Error(`data/${name}.js provided nothing`);
    const value = given.get(name);
    given.delete(name);
    return value;
  };

  /** Load data/NAME.js when it is asked for; resolves to what it provides. */
  Live.load = (name) =>
    new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `data/${name}.js`;
      script.onload = () => {
        script.remove();
        resolve(Live.take(name));
      };
      script.onerror = () => reject(new Error(`data/${name}.js could not be loaded: keep the folder whole`));
      document.head.append(script);
    });
})(globalThis);
