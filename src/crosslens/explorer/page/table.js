// All features in one table: chosen, filtered, sorted; only the rows in sight are in the document.
"use strict";

{
  const { el, bdi, number, percent, count, plain } = Explorer;
  const ROW = 34; // pixels, as in the style sheet
  const BEYOND = 8; // rows drawn beyond those in sight
  const MANY = 12000; // features beyond which one layer is loaded at first
  const words = new Intl.Collator("en", { numeric: true });
  const STATES = { live: [1, 2], dense: [2], dead: [0], all: [0, 1, 2] };
  const KEYS = ["corpus", "site", "find", "in", "state", "condition", "gender", "where", "agree", "language", "least", "most", "selective", "sort"];

  /** Choices of a table as the address holds them, with what it leaves out. */
  function choices(query) {
    const study = Explorer.study();
    const given = Object.fromEntries([...new URLSearchParams(query)].filter(([name]) => KEYS.includes(name)));
    const corpus = study.saes.some((sae) => sae.corpus === given.corpus) ? given.corpus : study.saes[0].corpus;
    const own = study.saes.filter((sae) => sae.corpus === corpus);
    const total = own.reduce((sum, sae) => sum + sae.features, 0);
    const known = given.site === "all" || own.some((sae) => sae.site === given.site);
    const site = known ? given.site : total > MANY ? own[0].site : "all";
    const conditions = [...new Set(own.flatMap((sae) => sae.conditions))];
    const condition = conditions.includes(given.condition) ? given.condition : (conditions.find((name) => name === "caption") ?? conditions[0]);
    return { find: "", in: "", state: "live", gender: "", where: "any", agree: "", language: "", least: "", most: "", selective: "", sort: "", ...given, corpus, site, condition };
  }

  /** The same as part of an address; what is empty or as at first is left out. */
  function address(chosen) {
    const usual = choices("");
    const told = KEYS.filter((name) => chosen[name] && chosen[name] !== usual[name]).map((name) => [name, chosen[name]]);
    return told.length ? `#/?${new URLSearchParams(told)}` : "#/";
  }

  /** The columns that tables have in common: { key, name, about, number(table, i) or words(table, i), cell(value, table, i) }. */
  function columnsOf(tables, chosen) {
    const study = Explorer.study();
    const saes = tables.map((table) => study.saes[table.sae]);
    const { languages } = saes[0];
    const short = (code) => Explorer.language(code).short;
    const has = (name) => tables.some((table) => name in table.numbers || (table.words[name] ?? []).some(Boolean));
    const numeric = (key, name, about, shown = number) => ({
      key, name, about,
      number: (table, i) => table.numbers[key]?.[i] ?? NaN,
      cell: (value) => [shown(value)],
    });
    // words are parted by line ends; each stands for itself, whatever its direction
    const worded = (key, name, about, attributes) => ({
      key, name, about,
      words: (table, i) => table.words[key]?.[i] ?? "",
      cell: (value) => {
        const some = value.split("\n").filter(Boolean);
        return [el("span", { ...attributes, class: "words", title: Explorer.visible(some.join(" ")) }, some.flatMap((word, n) => [n ? " " : "", bdi(word)]))];
      },
    });
    const columns = [
      {
        key: "feature", name: "feature", about: "Its number in its SAE; the link leads to its page.",
        number: (table, i) => i,
        cell: (value, table) =>
          table.numbers.state[value] && table.numbers.page?.[value] !== 0 ? [el("a", { href: Explorer.address(study.saes[table.sae], value) }, `#${value}`)] : [`#${value} `, el("small", {}, table.numbers.state[value] ? "no page" : "dead")],
      },
    ];
    if (tables.length > 1) {
      columns.push({ key: "layer", name: "layer", about: "Where the SAE reads.", number: (table) => table.sae, cell: (value, table) => [study.saes[table.sae].place] });
    }
    for (const code of languages) {
      columns.push(worded(`fires:${code}`, `fires on, ${short(code)}`, "The words under its largest activations in its strongest test samples.", Explorer.written(code)));
    }
    if (has("label")) columns.push(worded("label", "label", "A description that tells where it fires beyond chance and beyond the texts of other features.", { dir: "auto" }));
    for (const code of chosen.condition ? languages : []) {
      const key = `d:${code}:${chosen.condition}`;
      columns.push({
        ...numeric(key, `d, ${short(code)}`, `Effect of gender (Cohen's d, above 0: stronger for female) on test, condition ${chosen.condition}. ✓: significant on test; ✓✓: on select as well, in the same direction.`),
        cell: (value, table, i) => {
          const sure = Math.abs(table.numbers[`gendered:${code}:${chosen.condition}`]?.[i] ?? 0);
          return [number(value), " ", el("span", { class: "sure", title: ["", "significant on test", "significant on select and test"][sure] }, ["", "✓", "✓✓"][sure])];
        },
      });
    }
    for (const code of languages) {
      columns.push(numeric(`rate:${code}`, `tokens, ${short(code)}`, "Firing rate: share of the test tokens that the SAE reads on which it fires.", percent));
    }
    for (const code of languages) {
      columns.push(numeric(`max:${code}`, `max, ${short(code)}`, "Its largest activation on a test token."));
    }
    for (const code of languages) {
      const about = "Treves–Rolls selectivity over test samples: 0 where all make it fire alike, 1 where one does.";
      columns.push(numeric(`selectivity:${code}`, `selectivity, ${short(code)}`, about));
    }
    for (const [first, second] of saes[0].pairs) {
      columns.push(numeric(`language:${first}:${second}`, `${short(first)} − ${short(second)}`, `How much more often it fires in one language: (f₁ − f₂) / (f₁ + f₂) of its rates a token, 1: in ${short(first)} alone, −1: in ${short(second)} alone.`));
    }
    if (has("promoted")) columns.push(worded("promoted", "promotes", "The tokens whose logits its decoder row raises most, through the model's own head.", { dir: "auto" }));
    return columns;
  }

  const isNumber = ({ key, number: isOne }, place) => Boolean(isOne) && place > 0 && key !== "layer";

  const END = "\u0001"; // of what is searched of a row

  /** What is searched of a table, in columns of that name or in all, all rows in one text, far faster than row by row: { text, ends }. */
  function searched(table, name = "") {
    table.searched ??= {};
    if (!table.searched[name]) {
      const columns = Object.entries(table.words).filter(([key]) => !name || key.split(":")[0] === name).map(([, column]) => column);
      const rows = Array.from(table.numbers.state, (state, i) => `#${i}\n${columns.map((column) => column[i].replaceAll(END, " ")).join("\n")}${END}`);
      const text = plain(rows.join(""));
      const ends = new Int32Array(rows.length);
      for (let i = 0, at = 0; i < ends.length; i++) ends[i] = at = text.indexOf(END, at) + 1;
      table.searched[name] = { text, ends };
    }
    return table.searched[name];
  }

  /** Whether row i has all pieces in its number or in its words of that name, or in any. */
  function inWords(table, pieces, name) {
    const { text, ends } = searched(table, name);
    const found = new Uint8Array(ends.length);
    for (const [n, piece] of pieces.entries()) {
      for (let at = text.indexOf(piece), row = 0; at >= 0; at = text.indexOf(piece, ends[row])) {
        while (ends[row] <= at) row++;
        // only where those before were found
        if (found[row] === n) found[row] = n + 1;
      }
    }
    return (i) => found[i] === pieces.length;
  }

  /** Whether one of the samples that row i shows has all pieces; the table has what it needs (see `load`). */
  function inTexts({ texts, uses: { starts, samples } }, pieces) {
    const found = texts.map((text) => pieces.every((piece) => text.includes(piece)));
    return (i) => {
      for (let at = starts[i]; at < starts[i + 1]; at++) if (found[samples[at]]) return true;
      return false;
    };
  }

  /** Whether row i of a table is asked for, by everything but its words. */
  function tests(table, chosen) {
    const sae = Explorer.study().saes[table.sae];
    const { numbers } = table;
    const found = [];
    const states = STATES[chosen.state] ?? STATES.live;
    if (states.length < 3) found.push((i) => states.includes(numbers.state[i]));
    const rates = sae.languages.map((code) => numbers[`rate:${code}`]);
    const bounds = [[chosen.least, 1], [chosen.most, -1]];
    for (const [bound, sign] of bounds) {
      const at = Number.parseFloat(bound) / 100;
      if (Number.isFinite(at)) found.push((i) => sign * (Math.max(...rates.map((rate) => rate[i] || 0)) - at) >= 0);
    }
    const least = Number.parseFloat(chosen.selective);
    if (Number.isFinite(least)) {
      const columns = sae.languages.map((code) => numbers[`selectivity:${code}`]);
      found.push((i) => columns.some((column) => column[i] >= least));
    }
    if (chosen.gender || chosen.agree) {
      const codes = sae.languages.includes(chosen.where) ? [chosen.where] : sae.languages;
      const columns = codes.map((code) => numbers[`gendered:${code}:${chosen.condition}`]).filter(Boolean);
      const sign = { female: 1, male: -1 }[chosen.gender];
      const strong = chosen.agree ? 2 : 1;
      const gendered = (value) => (sign ? sign * value >= strong : Math.abs(value) >= strong);
      const every = chosen.where === "all" ? "every" : "some";
      found.push((i) => columns.length > 0 && columns[every]((column) => gendered(column[i])));
    }
    if (chosen.language) {
      const [kind, first, second] = chosen.language.split(":");
      const fires = (code, i) => (numbers[`rate:${code}`]?.[i] ?? 0) > 0;
      if (kind === "fires") found.push((i) => fires(first, i));
      if (kind === "only") found.push((i) => fires(first, i) && sae.languages.every((code) => code === first || !fires(code, i)));
      if (kind === "shared") found.push((i) => numbers[`shared:${first}:${second}`]?.[i] === 1);
      if (kind === "specific") {
        const columns = sae.pairs.flatMap((pair) => (pair.includes(first) ? [[numbers[`specific:${pair[0]}:${pair[1]}`], pair[0] === first ? -1 : 1]] : []));
        found.push((i) => columns.some(([column, side]) => column[i] === side));
      }
    }
    return (i) => found.every((test) => test(i));
  }

  /** [table, row] pairs as two arrays, filtered and sorted. */
  function chosenRows(tables, columns, chosen) {
    const most = tables.reduce((sum, table) => sum + table.numbers.state.length, 0);
    const at = new Int32Array(most);
    const row = new Int32Array(most);
    const pieces = plain(chosen.find).replaceAll(END, " ").split(/\s+/).filter(Boolean).map((piece) => (/^#\d+$/.test(piece) ? `${piece}\n` : piece));
    let total = 0;
    for (const [t, table] of tables.entries()) {
      const asked = tests(table, chosen);
      const has = !pieces.length ? () => true : chosen.in === "texts" ? inTexts(table, pieces) : inWords(table, pieces, chosen.in);
      for (let i = 0; i < table.numbers.state.length; i++) {
        if (has(i) && asked(i)) {
          at[total] = t;
          row[total++] = i;
        }
      }
    }
    const order = new Int32Array(total).map((_, i) => i);
    const column = columns.find(({ key }) => key === chosen.sort.replace(/^-/, ""));
    if (column) {
      const down = chosen.sort.startsWith("-") ? -1 : 1;
      const values = Array.from({ length: column.number ? 0 : total }, (_, i) => column.words(tables[at[i]], row[i]));
      const numbers = new Float64Array(column.number ? total : 0);
      for (let i = 0; i < numbers.length; i++) {
        const value = column.number(tables[at[i]], row[i]);
        numbers[i] = Number.isNaN(value) ? Infinity : down * value; // what has no value is last either way
      }
      if (column.number) order.sort((a, b) => numbers[a] - numbers[b] || a - b);
      else order.sort((a, b) => !values[a] - !values[b] || down * words.compare(values[a], values[b]) || a - b);
    }
    return { at, row, order };
  }

  function csv(tables, columns, { at, row, order }) {
    const study = Explorer.study();
    const header = ["site", "corpus", ...columns.filter(({ key }) => key !== "layer").map(({ key }) => key)];
    const rows = [header];
    for (const i of order) {
      const table = tables[at[i]];
      const sae = study.saes[table.sae];
      const cells = columns.filter(({ key }) => key !== "layer").map((column) => (column.number ?? column.words)(table, row[i])).map((value) => (typeof value === "string" ? value.replaceAll("\n", " ") : value));
      rows.push([sae.site, sae.corpus, ...cells]);
    }
    return Explorer.csv(rows);
  }

  function select(label, name, chosen, options, changed) {
    const control = el("select", { onchange: (event) => changed({ [name]: event.target.value }) });
    for (const [value, words] of options) control.append(el("option", { value, selected: chosen[name] === value }, words));
    return el("label", {}, el("span", {}, label), control);
  }

  function field(label, name, chosen, attributes, changed) {
    const control = el("input", { ...attributes, value: chosen[name], oninput: (event) => changed({ [name]: event.target.value }) });
    return el("label", {}, el("span", {}, label), control);
  }

  /** The controls above the table. */
  function controls(chosen, changed) {
    const study = Explorer.study();
    const own = study.saes.filter((sae) => sae.corpus === chosen.corpus);
    const sae = own[0];
    const short = (code) => Explorer.language(code).short;
    const corpora = [...new Map(study.saes.map((each) => [each.corpus, each.name]))];
    const made = [
      el("label", { class: "find" }, el("span", {}, "Find"), el("input", {
        type: "search", value: chosen.find, placeholder: "words, tokens, a label, #17", autocomplete: "off", spellcheck: "false", id: "find",
        oninput: (event) => changed({ find: event.target.value }),
      })),
    ];
    made.push(select("Find in", "in", chosen, [["", "words it fires on, tokens, labels"], ["fires", "words it fires on"], ["label", "labels"], ["promoted", "tokens it promotes"], ["texts", "the texts of its examples"]], changed));
    if (corpora.length > 1) made.push(select("SAE", "corpus", chosen, corpora, changed));
    if (own.length > 1) made.push(select("Layer", "site", chosen, [["all", "all layers"], ...own.map((each) => [each.site, each.place])], changed));
    const more = [];
    more.push(select("Shown", "state", chosen, [["live", "live features"], ["dense", "dense (10 % of tokens or more)"], ["dead", "dead features"], ["all", "all features"]], changed));
    if (sae.conditions.length) {
      if (sae.conditions.length > 1) more.push(select("Gender of", "condition", chosen, sae.conditions.map((name) => [name, name]), changed));
      more.push(select("Gender effect", "gender", chosen, [["", "any"], ["female", "stronger for female"], ["male", "stronger for male"]], changed));
      const places = [["any", "in any language"], ["all", "in every language"], ...sae.languages.map((code) => [code, `in ${short(code)}`])];
      if (sae.languages.length > 1) more.push(select("In", "where", chosen, places, changed));
      more.push(select("Significant", "agree", chosen, [["", "on test"], ["yes", "on select and test"]], changed));
    }
    if (sae.languages.length > 1) {
      const kinds = [["", "any"]];
      for (const [a, b] of sae.pairs) kinds.push([`shared:${a}:${b}`, `shared by ${short(a)} and ${short(b)}`]);
      for (const code of sae.pairs.length ? sae.languages : []) kinds.push([`specific:${code}`, `specific to ${short(code)}`]);
      for (const code of sae.languages) kinds.push([`only:${code}`, `fires in ${short(code)} alone`]);
      more.push(select("Language", "language", chosen, kinds, changed));
    }
    more.push(field("Fires on at least, %", "least", chosen, { inputmode: "decimal", size: 5 }, changed));
    more.push(field("at most, %", "most", chosen, { inputmode: "decimal", size: 5 }, changed));
    more.push(field("Selectivity at least", "selective", chosen, { inputmode: "decimal", size: 5 }, changed));
    const asked = ["state", "gender", "agree", "language", "least", "most", "selective"].some((name) => chosen[name] && chosen[name] !== "live");
    const folded = el("details", { open: asked || matchMedia("(min-width: 60rem)").matches }, el("summary", {}, "Filters"), el("div", { class: "controls" }, more));
    return el("form", { role: "search", onsubmit: (event) => event.preventDefault() }, el("div", { class: "controls" }, made), folded);
  }

  /** The table of all features, in `main`, as the address asks for it. */
  Explorer.showTable = async (main, query) => {
    let chosen = choices(query);
    const study = Explorer.study();
    const status = el("p", { role: "status", class: "note" });
    const body = el("tbody");
    const head = el("thead");
    const table = el("table", { class: "all" }, el("caption", { class: "hidden" }, "All features"), head, body);
    const view = el("div", { class: "rows", tabindex: "0", role: "region", "aria-label": "All features", onscroll: () => draw() }, table);
    const glossary = el("dl", {});
    const download = el("button", { type: "button", onclick: () => Explorer.save(`features_${study.study}.csv`, csv(tables, columns, found), "text/csv") }, "Download these rows (CSV)");
    let tables = [];
    let columns = [];
    let found = { at: [], row: [], order: [] };
    let drawn = "";

    function draw() {
      const total = found.order.length;
      const first = Math.max(0, Math.floor(view.scrollTop / ROW) - BEYOND);
      const last = Math.min(total, Math.ceil((view.scrollTop + view.clientHeight) / ROW) + BEYOND);
      if (drawn === `${first} ${last}`) return;
      drawn = `${first} ${last}`;
      const rows = [];
      for (let place = first; place < last; place++) {
        const i = found.order[place];
        const of = tables[found.at[i]];
        const cells = columns.map((column, c) => {
          const value = (column.number ?? column.words)(of, found.row[i]);
          return el(c ? "td" : "th", { scope: c ? undefined : "row", class: isNumber(column, c) ? "n" : undefined }, column.cell(value, of, found.row[i]));
        });
        rows.push(el("tr", { "aria-rowindex": place + 2 }, cells));
      }
      const space = (height) => {
        const row = el("tr", { "aria-hidden": "true", class: "space" }, el("td", { colspan: columns.length }));
        row.style.setProperty("height", `${height}px`);
        return row;
      };
      body.replaceChildren(space(first * ROW), ...rows, space((total - last) * ROW));
    }

    function heads() {
      const sorted = chosen.sort.replace(/^-/, "");
      head.replaceChildren(
        el("tr", {}, columns.map((column, c) => {
          const down = chosen.sort.startsWith("-");
          const next = sorted !== column.key ? (column.number ? `-${column.key}` : column.key) : down === Boolean(column.number) ? (down ? column.key : `-${column.key}`) : "";
          const button = el("button", { type: "button", title: column.about, onclick: () => change({ sort: next }, column.key) }, column.name, el("span", { "aria-hidden": "true" }, sorted === column.key ? (down ? " ↓" : " ↑") : ""));
          return el("th", { scope: "col", class: isNumber(column, c) ? "n" : undefined, "data-key": column.key, "aria-sort": sorted === column.key ? (down ? "descending" : "ascending") : undefined }, button);
        })),
      );
      // fixed, so that the columns stand still while rows come and go
      const wide = ({ key, words: isWords }, c) => (isWords ? 11.5 : key.startsWith("d:") ? 7.6 : c ? 6.4 : 5.4);
      table.style.setProperty("width", `${columns.reduce((sum, column, c) => sum + wide(column, c), 0)}rem`);
      for (const [c, cell] of [...head.rows[0].cells].entries()) cell.style.setProperty("width", `${wide(columns[c], c)}rem`);
      glossary.replaceChildren(...columns.flatMap(({ name, about }) => [el("dt", {}, name), el("dd", {}, about)]));
    }

    function refresh() {
      const began = performance.now();
      found = chosenRows(tables, columns, chosen);
      table.dataset.milliseconds = (performance.now() - began).toFixed(1);
      table.setAttribute("aria-rowcount", found.order.length + 1);
      const all = tables.reduce((sum, each) => sum + each.numbers.state.length, 0);
      status.textContent = `${count(found.order.length)} of ${count(all)} features`;
      download.disabled = !found.order.length;
      drawn = "";
      draw();
    }

    async function load() {
      const wanted = study.saes.flatMap((sae, i) => (sae.corpus === chosen.corpus && (chosen.site === "all" || sae.site === chosen.site) ? [i] : []));
      status.textContent = "Loading …";
      tables = await Promise.all(wanted.map(Explorer.table));
      if (chosen.in === "texts") {
        const texts = await Explorer.texts();
        await Promise.all(tables.map(async (table) => Object.assign(table, { texts, uses: table.uses ?? (await Explorer.uses(table.sae)) })));
      }
      columns = columnsOf(tables, chosen);
      heads();
      refresh();
      // before the first word is looked for, while nothing else is to be done
      const idle = globalThis.requestIdleCallback ?? setTimeout;
      for (const each of tables) idle(() => searched(each));
    }

    /** New choices: the address follows, and the controls where they hang on them. */
    async function change(more, focus) {
      const before = chosen;
      chosen = { ...chosen, ...more };
      if (more.corpus) chosen = choices(new URLSearchParams({ ...more }));
      history.replaceState(null, "", address(chosen));
      Explorer.left = address(chosen);
      if (["corpus", "site", "in"].some((name) => before[name] !== chosen[name])) {
        if (more.corpus) form.replaceWith((form = controls(chosen, change)));
        view.scrollTop = 0;
        await load();
      } else {
        if ("condition" in more) columns = columnsOf(tables, chosen);
        if ("condition" in more || "sort" in more) heads();
        view.scrollTop = 0;
        refresh();
      }
      if (focus) head.querySelector(`[data-key="${CSS.escape(focus)}"] button`)?.focus();
    }

    let form = controls(chosen, change);
    const kinds = [...new Set(study.saes.map((sae) => `the ${sae.name}`))].join(", ");
    const limited = study.saes.filter((sae) => sae.pages < sae.features - sae.dead);
    const pages = limited.length ? ` Of live features ${limited.map((sae) => `${count(sae.pages)} of ${count(sae.features - sae.dead)}`).join(", ")} have a page, by the study's setting pages.features.` : "";
    main.replaceChildren(
      el("h1", {}, bdi(study.study), ": features"),
      el("p", { class: "lead" }, `Every feature of ${kinds}. Numbers are of test, over the tokens that the SAE reads (${study.saes[0].roles.join(", ")}).${pages}${study.saes.some((sae) => sae.conditions.length) ? " What is called significant was corrected over the features of its layer, language and condition." : ""}`),
      form,
      el("div", { class: "above" }, status, download),
      view,
      el("details", {}, el("summary", {}, "What the columns are"), glossary),
    );
    document.title = `${study.study} · features`;
    Explorer.left = address(chosen);
    await load();
    new ResizeObserver(() => draw()).observe(view);
  };
}
