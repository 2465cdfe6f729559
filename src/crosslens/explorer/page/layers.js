// Layers, SAEs, languages and models side by side: tables that sort, maps over the layers, and what all of them say of one layer.
"use strict";

{
  const { el, bdi, number, count } = Explorer;
  const words = new Intl.Collator("en", { numeric: true });

  const place = (site) => Explorer.study().sites.find((each) => each.site === site)?.place ?? site;
  const isSite = (site) => Explorer.study().sites.some((each) => each.site === site);
  const layer = (site) => `#/${encodeURIComponent(site)}`;
  const toLayer = (site) => el("a", { href: isSite(site) ? layer(site) : null }, bdi(place(site)));
  const inReport = (anchor, text) => el("a", { href: `../index.html#${anchor}` }, text);
  const first = (value) => (Array.isArray(value) ? value[0] : value);

  function interval(low, high) {
    return low === null || high === null ? [] : el("span", { class: "soft" }, ` [${number(low)}, ${number(high)}]`);
  }

  /** A cell: a number with its interval, or words. */
  function shown(value) {
    if (Array.isArray(value)) return [number(value[0]), interval(value[1], value[2])];
    return typeof value === "string" ? bdi(value) : number(value);
  }

  function save(name, rows) {
    const click = () => Explorer.save(`${Explorer.study().study}_${name}.csv`, Explorer.csv(rows), "text/csv");
    return el("button", { type: "button", onclick: click }, "CSV", el("span", { class: "hidden" }, ` of ${name.replaceAll("_", " ")}`));
  }

  /** The cells of a table as rows of CSV: the ends of intervals have columns of their own. */
  function flat({ columns, rows }) {
    const header = columns.flatMap(({ key, bounded }) => (bounded ? [key, `${key}_low`, `${key}_high`] : [key]));
    return [["site", ...header], ...rows.map((row) => row.flat())];
  }

  const box = (label, table) => el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": label }, table);

  /** A table of rows that sort by their headings: up, down, and as the study has them. */
  function sortable(table) {
    const columns = [{ title: "layer", about: "Where it was measured." }, ...table.columns];
    const numeric = columns.map((_, c) => table.rows.some((row) => typeof first(row[c]) === "number"));
    const body = el("tbody");
    let sorted = { column: 0, order: "none" };

    function ordered() {
      const { column, order } = sorted;
      if (order === "none") return table.rows;
      const sign = order === "ascending" ? 1 : -1;
      const key = (row) => (column ? first(row[column]) : place(row[0]));
      const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : words.compare(String(a), String(b)));
      // what was not measured is last either way
      return table.rows.toSorted((a, b) => (key(a) === null) - (key(b) === null) || (key(a) === null ? 0 : sign * compare(key(a), key(b))));
    }

    function draw() {
      body.replaceChildren(
        ...ordered().map((row) => el("tr", {}, row.map((value, c) => (c ? el("td", { class: numeric[c] ? "n" : undefined }, shown(value)) : el("th", { scope: "row" }, toLayer(value)))))),
      );
    }

    const heads = columns.map(({ title, about }, c) => {
      const arrow = el("span", { "aria-hidden": "true" });
      const click = () => {
        const next = { none: "ascending", ascending: "descending", descending: "none" };
        sorted = { column: c, order: sorted.column === c ? next[sorted.order] : "ascending" };
        for (const [i, head] of heads.entries()) {
          const order = i === sorted.column ? sorted.order : "none";
          if (order === "none") head.removeAttribute("aria-sort");
          else head.setAttribute("aria-sort", order);
          head.querySelector("[aria-hidden]").textContent = { none: "", ascending: " ↑", descending: " ↓" }[order];
        }
        draw();
      };
      return el("th", { scope: "col", class: numeric[c] ? "n" : undefined }, el("button", { type: "button", title: about || undefined, onclick: click }, title, arrow));
    });
    draw();
    return box(table.title, el("table", { class: "compared" }, el("caption", { class: "hidden" }, table.title), el("thead", {}, el("tr", {}, heads)), body));
  }

  function glossary({ columns }) {
    const told = columns.filter(({ about }) => about);
    return el("details", {}, el("summary", {}, "What the columns are"), el("dl", {}, told.flatMap(({ title, about }) => [el("dt", {}, title), el("dd", {}, about)])));
  }

  function compared(table) {
    return el("section", { "data-name": table.name }, el("h2", {}, table.title),
      el("p", { class: "note" }, table.about, table.section ? [" ", inReport(table.section, "In the report"), "."] : []),
      sortable(table), el("p", {}, save(table.name, flat(table))), glossary(table));
  }

  /** A map: a row a line of what is counted, a column a layer, the darker the more. */
  function map({ title, about, section, sites, most, rows }) {
    const lines = rows.map(([what, cells]) => {
      const full = most ?? Math.max(...cells.map((cell) => cell?.[0] ?? 0), 1);
      return el("tr", {}, el("th", { scope: "row" }, bdi(what)), cells.map((cell) => {
        if (!cell) return el("td", { class: "n missing" }, "–");
        const [value, note, address] = cell;
        const told = el("td", { class: "n heat" }, el("a", { href: address }, most ? number(value, 2) : count(value)), note ? el("small", {}, ` ${note}`) : []);
        const heat = most || sites.length > 1 ? Math.max(0, Math.min(value / full, 1)) : 0; // of one column alone every cell is the most
        told.style.setProperty("--heat", heat.toFixed(3));
        return told;
      }));
    });
    const head = el("tr", {}, el("td"), sites.map((site) => el("th", { scope: "col", class: "n" }, toLayer(site))));
    const legend = most || sites.length > 1 ? el("p", { class: "scale" }, "0 ", el("span", { class: "ramp", "aria-hidden": "true" }), most ? ` ${most}` : " the most of its row") : [];
    const csv = [["row", "site", "value", "note"], ...rows.flatMap(([what, cells]) => cells.flatMap((cell, i) => (cell ? [[what, sites[i], cell[0], cell[1]]] : [])))];
    return el("section", { class: "map" }, el("h2", {}, title), el("p", { class: "note" }, about, section ? [" ", inReport(section, "In the report"), "."] : []), legend,
      box(title, el("table", { class: "compared" }, el("caption", { class: "hidden" }, title), el("thead", {}, head), el("tbody", {}, lines))),
      el("p", {}, save(title.toLowerCase().replaceAll(/\W+/g, "_"), csv)));
  }

  /** Where the rest of the study is. */
  function elsewhere() {
    const { sections, live } = Explorer.study();
    const links = [...sections.map(([anchor, title]) => inReport(anchor, title)), ...(live ? [el("a", { href: "../live/index.html" }, "The model, live")] : [])];
    return links.length ? el("nav", { "aria-label": "In the report" }, el("span", { class: "soft" }, "In the report:"), links) : [];
  }

  function layers(current) {
    const { sites } = Explorer.study();
    const link = ({ site, place: name }) => el("a", { href: layer(site), "aria-current": site === current ? "page" : undefined }, name);
    return el("nav", { "aria-label": "Layers" }, sites.map(link));
  }

  /** All layers, `name` the table to begin with. */
  Explorer.showLayers = async (main, query, name) => {
    const study = Explorer.study();
    const told = await Explorer.layers();
    const parameters = new URLSearchParams(query);
    const field = el("input", { type: "search", value: parameters.get("find") ?? "", placeholder: "joint English caption", autocomplete: "off", spellcheck: "false" });
    const status = el("p", { role: "status", class: "note" });
    const all = el("div");

    function draw() {
      const pieces = Explorer.plain(field.value).split(/\s+/).filter(Boolean);
      const has = (row) => pieces.every((piece) => Explorer.plain([place(row[0]), ...row].filter((value) => typeof value === "string").join(" ")).includes(piece));
      const tables = told.tables.map((table) => ({ ...table, rows: table.rows.filter(has) })).filter(({ rows }) => rows.length);
      const total = (some) => some.reduce((sum, { rows }) => sum + rows.length, 0);
      status.textContent = `${count(total(tables))} of ${count(total(told.tables))} rows`;
      const contents = el("nav", { "aria-label": "Tables" }, tables.map((table) => el("a", { href: `#/layers/${table.name}` }, table.title)));
      all.replaceChildren(contents, ...(pieces.length ? [] : told.maps.map(map)), ...tables.map(compared));
    }

    field.addEventListener("input", () => {
      const asked = new URLSearchParams(field.value ? { find: field.value } : {}).toString();
      history.replaceState(null, "", `#/layers${name ? `/${name}` : ""}${asked ? `?${asked}` : ""}`);
      draw();
    });
    main.replaceChildren(
      layers(), el("h1", {}, bdi(study.study), ": layers side by side"),
      el("p", { class: "lead" }, "The numbers of the report, layer by layer, SAE by SAE and language by language. Headings sort; each table has its CSV."),
      elsewhere(),
      el("form", { role: "search", class: "controls", onsubmit: (event) => event.preventDefault() }, el("label", { class: "find" }, el("span", {}, "Rows with these words"), field)),
      status, all,
    );
    document.title = `${study.study} · layers side by side`;
    draw();
    if (name) main.addEventListener("shown", () => main.querySelector(`[data-name="${CSS.escape(name)}"]`)?.scrollIntoView());
  };

  /** [address, what is said behind it] of the features of a list. */
  function strongest({ site, corpus, features }) {
    const sae = Explorer.study().saes.find((each) => each.site === site && each.corpus === corpus);
    return features.map(([id, value, low, high, agree], i) => [
      i ? ", " : "", el("a", { href: sae ? Explorer.address(sae, id) : null }, `#${id}`),
      value === null ? [] : [` ${number(value)}`, interval(low, high), agree ? el("span", { class: "sure", title: "significant on select and test" }, " ✓✓") : []],
    ]);
  }

  /** What all of it says of one layer. */
  Explorer.showLayer = async (main, site) => {
    const study = Explorer.study();
    if (!isSite(site)) throw new Error(`This study has no layer “${site}”.`);
    const told = await Explorer.layers();
    const at = (rows) => rows.filter((row) => row[0] === site);
    const own = study.saes.filter((sae) => sae.site === site);
    const all = (sae) => `#/?${new URLSearchParams({ corpus: sae.corpus, site })}`;
    const column = (each) => ({ ...each, sites: [site], rows: each.rows.flatMap(([what, cells]) => (cells[each.sites.indexOf(site)] ? [[what, [cells[each.sites.indexOf(site)]]]] : [])) });
    const lists = told.strongest.filter((each) => each.site === site);
    const corpora = [...new Set(lists.map(({ corpus, language }) => `${corpus} ${language}`))];
    const named = corpora.map((key) => {
      const of = lists.filter(({ corpus, language }) => `${corpus} ${language}` === key);
      const sae = own.find(({ corpus }) => corpus === of[0].corpus);
      return [el("h3", {}, `${sae?.name ?? of[0].corpus}, ${Explorer.language(of[0].language)?.name ?? of[0].language}`),
        el("dl", {}, of.map((each) => [el("dt", {}, each.what, " ", inReport(each.section, "in the report")), el("dd", {}, strongest(each))]))];
    });
    document.title = `${place(site)} · ${study.study}`;
    main.replaceChildren(
      layers(site), el("h1", {}, place(site), el("span", { class: "soft" }, " of ", bdi(study.study))),
      el("ul", {}, own.map((sae) => el("li", {}, el("a", { href: all(sae) }, `All features of the ${sae.name}`), `: ${count(sae.features)}, of which ${count(sae.dead)} dead`))),
      ...(own.length ? [] : [el("p", { class: "missing" }, "No SAE was trained here: what follows is of the activations.")]),
      ...[elsewhere()].flat(),
      ...told.maps.map(column).filter(({ rows }) => rows.length).map(map),
      ...(named.length ? [el("section", {}, el("h2", {}, "The strongest features"), named.flat())] : []),
      ...told.tables.map((table) => ({ ...table, rows: at(table.rows) })).filter(({ rows }) => rows.length).map(compared),
    );
  };
}
