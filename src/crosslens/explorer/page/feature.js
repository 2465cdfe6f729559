// The page of one feature: its numbers, its examples in every language side by side, and what it is related to.
"use strict";

{
  const { el, svg, bdi, number, percent, count, visible } = Explorer;
  const LONG = 320; // characters from which on a text is shown around its strongest piece
  const AROUND = 140;
  const GROUPS = [
    ["top", "Strongest"],
    ["part_1", "From the stronger quarter of the rest"],
    ["part_2", "From the second quarter"],
    ["part_3", "From the third quarter"],
    ["part_4", "From the weakest quarter"],
    ["random", "At random, of all others in which it fires"],
    ["silent", "At random, of those in which it does not fire"],
  ];
  const CHIPS = { image: "picture", prompt: "prompt", template: "template, token", text: "outside of what is shown, token" };

  /** What a feature is, to the section of the report that says so of it. */
  const REPORTED = { specialist: "rankings", steering: "steering", ablation: "ablation", patching: "feature_patching" };

  const short = (code) => Explorer.language(code).short;
  const interval = (low, high) => (low === null || high === null ? "" : ` [${number(low)}, ${number(high)}]`);

  function section(title, ...content) {
    return el("section", {}, el("h2", {}, title), content);
  }

  function grid(label, head, rows) {
    return el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": label },
      el("table", {}, el("caption", { class: "hidden" }, label), el("thead", {}, el("tr", {}, head.map((words) => el(words ? "th" : "td", { scope: words ? "col" : undefined }, words)))), el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell, i) => el(i ? "td" : "th", { scope: i ? undefined : "row" }, cell)))))));
  }

  /** A link to a feature, with a label or the words that it fires on. */
  function named(sae, table, id) {
    const label = table?.words.label[id];
    const words = label ? [label] : sae.languages.flatMap((code) => (table?.words[`fires:${code}`]?.[id] ?? "").split("\n")).filter(Boolean);
    return [el("a", { href: Explorer.address(sae, id) }, `#${id}`), words.map((word) => [" ", bdi(word, { class: "soft" })])];
  }

  // activations on one scale

  /** What lights up: a span with its value, which pointer, focus and tap tell. */
  function lit(text, value, scale, first, more = {}) {
    const span = el("span", { class: "lit", tabindex: first ? "0" : "-1", "data-value": value, "data-scale": scale, ...more }, text);
    span.style.setProperty("--heat", (0.12 + 0.88 * Math.min(value / scale, 1)).toFixed(3));
    return span;
  }

  /** [text, value or null] of a text and its pieces [start, end, value, …]. */
  function parts(text, on) {
    const found = [];
    let at = 0;
    for (let i = 0; i < on.length; i += 3) {
      const [start, end, value] = on.slice(i, i + 3);
      if (start > at) found.push([text.slice(at, start), null]);
      found.push([text.slice(start, end), value]);
      at = end;
    }
    if (at < text.length) found.push([text.slice(at), null]);
    return found;
  }

  /** The pieces in sight: of a long text those around the strongest, and dots. */
  function window_(pieces) {
    const length = pieces.reduce((sum, [text]) => sum + text.length, 0);
    if (length <= LONG) return pieces;
    let strongest = 0;
    let at = 0;
    let place = 0;
    for (const [text, value] of pieces) {
      if ((value ?? 0) > strongest) [strongest, place] = [value, at];
      at += text.length;
    }
    const from = Math.max(0, Math.min(place - AROUND, length - 2 * AROUND));
    const to = from + 2 * AROUND;
    at = 0;
    const shown = [];
    for (const [text, value] of pieces) {
      const piece = text.slice(Math.max(0, from - at), Math.max(0, to - at));
      if (piece) shown.push([piece, value]);
      at += text.length;
    }
    return [...(from ? [["… ", null]] : []), ...shown, ...(to < length ? [[" …", null]] : [])];
  }

  /** The text of a sample in one language with what lights up in it, and chips for what lies in no text. */
  function reading(sample, code, fired, scale) {
    const text = sample.texts[code];
    if (text === undefined) return el("div", { class: "reading missing" }, `no text in ${short(code)}`);
    const pieces = parts(text, fired?.on ?? []);
    const strongest = Math.max(...pieces.map(([, value]) => value ?? 0), 0);
    let first = true;
    const show = (some) => some.map(([piece, value]) => {
      if (value === null) return visible(piece);
      const isFirst = first && value === strongest;
      if (isFirst) first = false;
      return lit(visible(piece), value, scale, isFirst);
    });
    const seen = window_(pieces);
    const written = Explorer.written(code);
    const body = [el("p", { ...written, class: "caption" }, show(seen))];
    if (seen !== pieces) {
      first = false;
      body.push(el("details", {}, el("summary", {}, "the whole text"), el("p", { ...written, class: "caption" }, show(pieces))));
    }
    const chips = (fired?.chips ?? []).map(([kind, words, value, tokens], i) =>
      el("li", {}, lit([kind === "prompt" ? [] : CHIPS[kind], kind === "prompt" ? bdi(words, Explorer.written(code)) : kind === "image" ? ` ×${tokens}` : ` ${words}`], value, scale, first && !i, { class: "lit chip" })));
    if (chips.length) body.push(el("ul", { class: "chips", "aria-label": "Tokens outside of the text" }, chips));
    return el("div", { class: "reading" }, body);
  }

  function example(sample, codes, fires, scale, peak) {
    const place = [sample.id, sample.category, sample.gender === "unknown" ? "" : sample.gender].filter(Boolean);
    const picture = sample.picture === undefined ? [] : el("img", { src: `pictures/${sample.picture}.jpg`, alt: `picture of ${visible(sample.id)}`, loading: "lazy", width: 64, height: 64 });
    const told = el("p", { class: "source" }, place.flatMap((word, i) => [i ? " · " : "", bdi(word)]), ` · ${peak ? number(peak) : "does not fire"}`, Object.entries(sample.prompts).map(([code, prompt]) => [el("br"), "prompt: ", bdi(prompt, Explorer.written(code))]), sample.cut.length ? " · longer than is shown" : "");
    return el("li", { class: peak ? "example" : "example silent" }, el("div", { class: "picture" }, picture), el("div", { class: "readings" }, codes.map((code) => reading(sample, code, fires[code], scale))), told);
  }

  function examples(feature, sae, samples) {
    const study = Explorer.study();
    const codes = study.languages.map(({ code }) => code);
    const ordered = [...sae.languages, ...codes.filter((code) => !sae.languages.includes(code))];
    const values = Object.values(feature.lit).flatMap((of) => Object.values(of).flatMap(({ on, chips }) => [...on.filter((_, i) => i % 3 === 2), ...chips.map((chip) => chip[2])]));
    const scale = Math.max(...values, 1e-12);
    const legend = el("p", { class: "scale" }, "0 ", el("span", { class: "ramp", "aria-hidden": "true" }), ` ${number(scale)}`, el("span", { class: "soft" }, " one scale for all examples; point at, tap or focus a piece for its value, arrow keys go on"));
    const blind = ordered.filter((code) => !sae.languages.includes(code));
    const made = [legend];
    if (blind.length) made.push(el("p", { class: "note" }, `This SAE reads ${sae.languages.map(short).join(", ")}: the ${blind.map(short).join(", ")} text says the same and was not read by it.`));
    const heads = () => ordered.length > 1 ? el("div", { class: "languages", "aria-hidden": "true" }, ordered.map((code) => el("b", {}, Explorer.language(code).name))) : [];
    for (const code of sae.languages) {
      const own = feature.examples[code];
      const title = sae.languages.length > 1 ? `By its activations in ${short(code)}` : "Examples";
      if (!own.length) {
        made.push(el("h3", {}, title), el("p", { class: "missing" }, `It fires in no ${short(code)} text of test that was looked through.`));
        continue;
      }
      made.push(el("h3", {}, title), heads());
      for (const [group, words] of GROUPS) {
        const some = own.filter(([name]) => name === group);
        if (!some.length) continue;
        made.push(el("h4", {}, words), el("ol", { class: "examples" }, some.map(([, sample, peak]) => example(samples.get(sample), ordered, feature.lit[sample] ?? {}, scale, peak))));
      }
    }
    return section("What it fires on", made);
  }

  // numbers

  function histogram({ largest, counts }, tokens, code) {
    const most = Math.log1p(Math.max(...counts));
    const bars = counts.map((value, i) => {
      const height = value ? Math.max(1, (40 * Math.log1p(value)) / most) : 0;
      return svg("rect", { x: 10 * i + 1, y: 42 - height, width: 8, height }, svg("title", {}, `${number((largest * i) / counts.length)} to ${number((largest * (i + 1)) / counts.length)}: ${count(value)} tokens`));
    });
    const fired = counts.reduce((sum, value) => sum + value, 0);
    const label = `Activations in ${short(code)}: ${count(fired)} of ${count(tokens)} test tokens fire, from 0 to ${number(largest)}, bar heights by logarithm: ${counts.join(", ")}`;
    return el("figure", { class: "histogram" }, svg("svg", { viewBox: "0 0 200 44", role: "img", "aria-label": label, preserveAspectRatio: "none" }, bars), el("figcaption", {}, el("span", {}, "0"), el("span", {}, `${count(fired)} of ${count(tokens)} tokens (log)`), el("span", {}, number(largest))));
  }

  function statistics(feature, sae) {
    const panels = sae.languages.map((code) => {
      const of = feature.statistics[code];
      const scopes = [["test", "all"], ["test_female", "female"], ["test_male", "male"]].filter(([scope]) => of[scope].some((value) => value !== null));
      const rows = [["tokens on which it fires", 0, percent], ["samples in which it fires", 1, percent], ["mean where it fires", 2, number], ["largest", 3, number]];
      return el("div", { class: "panel" },
        el("h3", {}, Explorer.language(code).name),
        feature.histograms[code] ? histogram(feature.histograms[code], sae.tokens[code], code) : el("p", { class: "missing" }, "It fires on no test token here."),
        grid(`Statistics in ${short(code)}`, ["", ...scopes.map(([, words]) => words)], [...rows.map(([words, i, shown]) => [words, ...scopes.map(([scope]) => shown(of[scope][i]))]), ["selectivity", number(of.selectivity), ...scopes.slice(1).map(() => "")]]));
    });
    const note = `On test, over all tokens that the SAE reads (${sae.roles.join(", ")}); a sample is a prompt with its text.`;
    return section("How it fires", el("p", { class: "note" }, note), el("div", { class: "panels" }, panels));
  }

  function verdict(row) {
    if (row.agree) return "significant on test and on select, in the same direction";
    if (row.significant && row.select.significant) return "significant on test and on select, in opposite directions";
    if (row.significant) return "significant on test, not on select";
    if (!row.live) return "not tested, because it fires in too few units";
    if (!row.testable) return "not tested, because no labels of so few units could be significant";
    return row.select.significant ? "significant on select, not confirmed on test" : "not significant on test";
  }

  /** d with its interval on one axis, a line a row; those without an end are left out. */
  function whisker(row, reach) {
    if (typeof row.d !== "number") return "";
    const x = (value) => 60 + (55 * Math.max(-reach, Math.min(reach, value))) / reach;
    const ends = row.d_low === null || typeof row.d_low === "string" ? [] : svg("line", { x1: x(row.d_low), x2: x(row.d_high), y1: 8, y2: 8, class: "whisker" });
    return svg("svg", { viewBox: "0 0 120 16", class: "effect", "aria-hidden": "true" }, svg("line", { x1: 60, x2: 60, y1: 0, y2: 16, class: "zero" }), ends, svg("circle", { cx: x(row.d), cy: 8, r: 3.5 }));
  }

  function gender(feature, sae) {
    if (!feature.gender.length) return [];
    const bounds = feature.gender.flatMap((row) => [row.d, row.d_low, row.d_high]).filter((value) => typeof value === "number").map(Math.abs);
    const reach = Math.max(...bounds, 0.5);
    const rows = feature.gender.map((row) => [
      `${short(row.language)}, ${row.condition}`,
      el("span", { class: "whole" }, whisker(row, reach), " ", number(row.d), interval(row.d_low, row.d_high) || (typeof row.d === "number" ? " (no CI: too few fire)" : "")),
      number(row.auroc),
      number(row.p),
      number(row.q),
      number(row.select.d),
      number(row.select.q),
      `${row.n[0]} / ${row.n[1]}`,
      el("span", { class: "verdict" }, verdict(row)),
    ]);
    const views = feature.views.map((row) => {
      const kept = row.views.filter(([, , gendered]) => gendered);
      return el("li", {}, `${short(row.language)}, ${row.condition}, ${row.side}: gendered in the same direction in ${kept.length} of ${row.views.length} other views`, kept.length ? ` (${kept.map(([view]) => view).join(", ")})` : "", ".");
    });
    return section("Gender",
      el("p", { class: "note" }, `d above 0: stronger for female. The interval is of 95 %; q is corrected over the features of this layer, language and condition.${sae.masked ? " Label words are masked, so that the words which tell the gender do not count." : ""}`),
      grid("Effect of gender", ["language, condition", "d on test [95 % CI]", "AUROC", "p", "q", "d on select", "q on select", "units f / m", "says"], rows),
      views.length ? el("ul", {}, views) : []);
  }

  function sharing(feature) {
    return (feature.sharing ?? []).map((row) => {
      const [a, b] = row.languages.map(short);
      const said = [];
      said.push(row.shared ? `shared: captions of the same pictures make it fire alike (r = ${number(row.r)}, q = ${number(row.q_shared)})` : row.q_shared === null ? "not tested for being shared: it is not live in both" : `not shown to be shared (r = ${number(row.r)}, q = ${number(row.q_shared)})`);
      said.push(row.specific ? `fires more often in ${short(row.specific)} (q = ${number(row.q_specific)})` : row.q_specific === null ? "not tested for a language of its own" : `not shown to fire more often in one of them (q = ${number(row.q_specific)})`);
      return el("li", {}, `${a} and ${b}: ${said.join("; ")}. Rates a token ${percent(row.token_rate_first)} and ${percent(row.token_rate_second)}, selectivity ${number(row.token_selectivity)}.`);
    });
  }

  function related(feature, sae, table, tables) {
    const study = Explorer.study();
    const near = feature.near.map(([id, cosine]) => el("li", {}, named(sae, table, id), ` ${number(cosine)}`));
    const matches = feature.matches.map((row) => {
      const other = study.saes.findIndex((each) => each.corpus === row.language && each.site === sae.site);
      const link = other < 0 ? `#${row.partner}` : named(study.saes[other], tables.get(other), row.partner);
      const told = `decoder cosine ${number(row.cosines[0])}, encoder cosine ${number(row.cosines[1])}` + (row.r === null ? "" : `, activations on translations r = ${number(row.r)}, q = ${number(row.q)}`);
      return el("li", {}, `${short(row.language)} SAE: `, link, ` (${told}): ${row.shared ? "counted as the same feature" : "the best partner there, not counted as the same feature"}.`);
    });
    const of = (prefix, yes) => feature.seeds.filter(({ other }) => other.startsWith(prefix) === yes);
    const told = ({ other, partner, cosines }) => `${other} #${partner}: ${number(cosines[0])}`;
    const seeds = of("seed_", true);
    const others = of("seed_", false);
    const alike = seeds.filter(({ cosines }) => Math.min(...cosines) >= 0.7).length;
    const list = [
      ...matches,
      ...sharing(feature),
      ...(seeds.length ? [el("li", {}, `In ${alike} of ${seeds.length} other seeds its partner is alike (decoder and encoder cosine at least .7): ${seeds.map(told).join(", ")}.`)] : []),
      ...(others.length ? [el("li", {}, `In other architectures (decoder cosine): ${others.map(told).join(", ")}.`)] : []),
    ];
    const nothing = seeds.length ? [] : [el("li", { class: "soft" }, "No other seeds were compared: in how many of them it is found is not known.")];
    return section("What it is related to", el("h3", {}, "Nearest features, by cosine of decoder rows"), el("ol", { class: "near" }, near), el("ul", {}, list, nothing));
  }

  function head(feature, sae, codes) {
    const tokens = (some) => some.flatMap((token, i) => [i ? ", " : "", bdi(token, { class: "token" })]);
    const labels = feature.labels.filter(({ label }) => label).map((row) => el("li", {},
      bdi(`“${row.label}”`, { lang: row.method === "ngrams" ? row.language : undefined, class: row.tells ? "label" : "label soft" }),
      ` ${row.method === "ngrams" ? "n-grams" : "a model's words"}, tried on ${short(row.language)}: `,
      row.accuracy === null ? `not tried, because ${row.because}` : `balanced accuracy ${number(row.accuracy)}${interval(row.accuracy_low, row.accuracy_high)} over ${row.pairs} pairs of texts, ${number(row.shuffled)} on those of other features, q = ${number(row.q)}${row.tells ? "" : ": it does not tell where the feature fires"}`));
    return [
      labels.length ? el("ul", { class: "labels" }, labels) : [],
      feature.promoted?.length ? el("p", {}, "Promotes ", tokens(feature.promoted), "; suppresses ", tokens(feature.suppressed), el("span", { class: "soft" }, " (its decoder row through the model's own head; of an early layer that says little)")) : [],
    ];
  }

  function roles(feature) {
    const told = feature.roles.map((row) => {
      if (row.as === "specialist") return ["the specialist of ", bdi(row.category), ` in ${short(row.language)}: ${row.inside} of ${row.n_inside} test images of it and ${row.outside} of ${row.n_outside} others (q = ${number(row.q)}).`];
      if (row.as === "steering") {
        const effect = row.changes ? `all ${row.features} together, at strength ${number(row.strength)}, move P(female) in ${short(row.language)} by ${number(row.moved.value)}${interval(row.moved.low, row.moved.high)}, against random sets p = ${number(row.p)}` : `together they change nothing in ${short(row.language)}`;
        return [`one of ${row.features} features that were steered (${row.method}, found in ${row.found_in}; more of it is ${row.sign > 0 ? "female" : "male"}): ${effect}.`];
      }
      if (row.as === "ablation") return [`its direction was ablated (${row.role}${row.language ? `, ${short(row.language)}` : ""}); cost in nats a token: `, Object.entries(row.cost).map(([code, cost]) => `${short(code)} ${number(cost.value)}${interval(cost.low, cost.high)}`).join(", "), "."];
      return [`patched alone (${row.swap}, ${short(row.language)}, ${row.positions}, chosen ${row.chosen}): recovery ${number(row.recovery.value)}${interval(row.recovery.low, row.recovery.high)}, attributed ${number(row.ig)}.`];
    });
    const link = ({ as }) => [" ", el("a", { href: `../index.html#${REPORTED[as]}` }, "In the report"), "."];
    return told.length ? section("What it does", el("ul", {}, told.map((words, i) => el("li", {}, words, link(feature.roles[i]))))) : [];
  }

  function provenance(id, sae) {
    const study = Explorer.study();
    const rows = sae.made.map(([kind, path, sha256]) => [kind, el("code", {}, path), el("code", {}, sha256.slice(0, 16))]);
    const folder = sae.made[0][1];
    return el("details", { class: "provenance" }, el("summary", {}, "Where it comes from"),
      el("p", {}, `SAE of ${sae.place}, corpus `, bdi(sae.corpus), ", sha256 ", el("code", {}, sae.sae), "."),
      grid("Artifacts", ["artifact", "path", "sha256"], rows),
      el("p", {}, "Made again by ", el("code", {}, `snakemake ${folder}/dashboards.json`), "; its key and all that it is made from: ", el("code", {}, `crosslens store explain ${folder}/dashboards.json`), ". This folder: ", el("code", {}, `snakemake results/${study.study}/report/features`), "."));
  }

  /** The page of a feature, in `main`. */
  Explorer.showFeature = async (main, i, id) => {
    const study = Explorer.study();
    const sae = study.saes[i];
    const name = `#${id}, ${sae.place}, ${sae.name}`;
    document.title = `${name} · ${study.study}`;
    const [feature, table] = await Promise.all([Explorer.feature(i, id), Explorer.table(i)]);
    const has = (at) => table.numbers.state[at] && table.numbers.page?.[at] !== 0;
    const live = (from, step) => {
      for (let at = from + step; at >= 0 && at < sae.features; at += step) if (has(at)) return Explorer.address(sae, at);
      return null;
    };
    const go = (words, address) => (address ? el("a", { href: address }, words) : el("span", { class: "soft" }, words));
    const random = () => {
      const some = [...table.numbers.state.keys()].filter(has);
      location.hash = Explorer.address(sae, some[Math.floor(Math.random() * some.length)]);
    };
    const top = [
      el("nav", { class: "steps", "aria-label": "Features" }, el("a", { href: Explorer.left ?? "#/" }, "Back to the table"), go("Previous", live(id, -1)), go("Next", live(id, 1)), el("button", { type: "button", onclick: random }, "Random"),
        sae.neuronpedia ? el("a", { href: `${sae.neuronpedia}/${id}`, rel: "noreferrer" }, "Neuronpedia") : []),
      el("h1", {}, `Feature #${id}`, el("span", { class: "soft" }, " ", el("a", { href: `#/${encodeURIComponent(sae.site)}` }, sae.place), `, ${sae.name}`)),
    ];
    if (!feature) {
      const why = table.numbers.state[id]
        ? ["It has no page: to keep this folder small, the study's setting ", el("code", {}, "pages.features"), ` gives one to ${count(sae.pages)} of ${count(sae.features)} features, those that the study names and of the others those that fire most often. Its numbers stand in the `, el("a", { href: `#/?${new URLSearchParams({ corpus: sae.corpus, site: sae.site, find: `#${id}` })}` }, "table"), "."]
        : "Dead: it fires on no token that was encoded.";
      main.replaceChildren(...top, el("p", { class: "missing" }, why), provenance(id, sae));
      return;
    }
    const others = [...new Set(feature.matches.map((row) => study.saes.findIndex((each) => each.corpus === row.language && each.site === sae.site)))].filter((at) => at >= 0);
    const numbers = Object.values(feature.examples).flatMap((rows) => rows.map(([, sample]) => sample));
    const [samples, ...loaded] = await Promise.all([Explorer.samples([...new Set(numbers)]), ...others.map(Explorer.table)]);
    const tables = new Map(others.map((at, place) => [at, loaded[place]]));
    main.replaceChildren(
      ...[top, head(feature, sae), statistics(feature, sae), gender(feature, sae), examples(feature, sae, samples), related(feature, sae, table, tables), roles(feature), provenance(id, sae)].flat(Infinity),
    );
  };
}
