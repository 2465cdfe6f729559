// The one global of the page: its parts, and the data that scripts under data/ hand over.
"use strict";

const Explorer = (globalThis.Explorer = {});

{
  const given = new Map();
  const asked = new Map();
  const KEPT = 24; // files of features and samples that stay in memory

  /** Called by data/NAME.js. Data are scripts because a page opened from the disk may not fetch its neighbours. */
  Explorer.give = (name, value) => given.set(name, value);

  /** What data/study.js says, which the page loads itself. */
  Explorer.study = () => given.get("study");

  /** Promise of what data/NAME.js gives, loaded when it is first asked for. */
  Explorer.load = (name) => {
    const found = asked.get(name) ?? load(name);
    asked.delete(name);
    asked.set(name, found);
    const kept = [...asked.keys()].filter((each) => !each.startsWith("tables/") && each !== "layers");
    for (const old of kept.slice(0, -KEPT)) asked.delete(old);
    return found;
  };

  function load(name) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `data/${name}.js`;
      script.onload = () => {
        script.remove();
        resolve(given.get(name));
        given.delete(name);
      };
      script.onerror = () => {
        script.remove();
        asked.delete(name);
        reject(new Error(`data/${name}.js is not there: the whole folder has to lie beside this page`));
      };
      document.head.append(script);
    });
  }

  /** Promise of what layers are compared by: { tables, maps, strongest }. */
  Explorer.layers = () => Explorer.load("layers");

  /** Float32Array of base64. */
  function unpacked(text) {
    const binary = atob(text);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
    return new Float32Array(bytes.buffer);
  }

  const tables = new Map();

  /** Promise of the table of SAE number `i`: { sae, numbers: column → Float32Array, words: column → strings }. */
  Explorer.table = (i) => {
    if (!tables.has(i)) {
      tables.set(
        i,
        Explorer.load(`tables/${i}`).then(({ numbers, words }) => {
          const columns = Object.entries(numbers).map(([name, text]) => [name, unpacked(text)]);
          return { sae: i, numbers: Object.fromEntries(columns), words };
        }),
      );
    }
    return tables.get(i);
  };

  /** Promise of the samples that each feature of SAE number `i` shows: those of feature f stand from starts[f] to starts[f + 1]. */
  Explorer.uses = async (i) => {
    const { starts, samples } = await Explorer.load(`uses/${i}`);
    return { starts: unpacked(starts), samples: unpacked(samples) };
  };

  let texts;

  /** Promise of what is searched of every sample: its texts in all languages. */
  Explorer.texts = () => (texts ??= allTexts());

  async function allTexts() {
    const { count, perFile } = Explorer.study().samples;
    const files = await Promise.all(Array.from({ length: Math.ceil(count / perFile) }, (_, k) => Explorer.load(`samples/${k}`)));
    return files.flat().map((sample) => Explorer.plain(Object.values(sample.texts).join("\n")));
  }

  /** Promise of all that is said of one feature of SAE number `i`; undefined of one that never fires. */
  Explorer.feature = async (i, id) => {
    const file = Math.floor(id / Explorer.study().saes[i].perFile);
    return (await Explorer.load(`features/${i}/${file}`))[id];
  };

  /** Promise of samples by their numbers. */
  Explorer.samples = async (numbers) => {
    const { perFile } = Explorer.study().samples;
    const files = [...new Set(numbers.map((number) => Math.floor(number / perFile)))];
    const loaded = await Promise.all(files.map((file) => Explorer.load(`samples/${file}`)));
    return new Map(numbers.map((number) => [number, loaded[files.indexOf(Math.floor(number / perFile))][number % perFile]]));
  };
}
