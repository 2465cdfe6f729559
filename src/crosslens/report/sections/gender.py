"""Features that tell female from male, and whether gender can be read off linearly."""

from typing import Any

from crosslens.report.html import missing, tag, term
from crosslens.report.numbers import bracketed, number, plain
from crosslens.report.sections.base import Finding, Record, Results, Section
from crosslens.report.table import Column, bounded, language, sae, site, table, text, value
from crosslens.report.terms import AUROC, CI, CONDITION, D, Q
from crosslens.summary.names import corpus_name, language_name, site_name

ORDER = 30
TERMS = {
    "condition": CONDITION,
    "d": D,
    "ci": CI,
    "q": Q,
    "null": (
        "Expected by chance",
        "The same count with the gender labels shuffled over the {units}: mean, 95th percentile, and p = (1 + number of "
        "shuffles that reach the observed count) / (1 + shuffles).",
    ),
    "probe": (
        "Probe",
        "Logistic regression of the {unit}'s gender, chosen by cross-validation grouped by {unit} on train, scored on "
        "test; shown beside the majority class, a probe on shuffled labels, and a control task.",
    ),
    "auroc": AUROC,
}


def section(results: Results) -> Section | None:
    """Where gender was looked for in a layer."""
    gender, probes = results.records("gender"), results.records("probes")
    if not results.has_gender:
        return None
    body = [
        *(_effects(gender, results) if gender else [missing("No dictionary was analysed for gender.")]),
        tag("h3", "Can gender be read off linearly?"),
        *(_probes(probes, results) if probes else [missing("Not measured.")]),
    ]
    findings = [
        effects_finding(condition, [r for r in gender if r["condition"] == condition], results)
        for condition in dict.fromkeys(record["condition"] for record in gender)
    ]
    if probes:
        findings.append(probes_finding(probes, results.words["units"]))
    return Section("gender", "Gender", "Features that tell female from male", body, findings, terms=TERMS)


def _effects(gender: list[Record], results: Results) -> list[Any]:
    of = results.words
    columns = [
        site(),
        sae(),
        language(),
        text("condition", "condition"),
        Column(f"female + male {of['units']}", _both, "n"),
        value("live", "live"),
        value("testable", "testable"),
        value("significant", "significant"),
        Column("by chance: mean", lambda row: number(row["null"]["mean"], 1), "n"),
        Column("95th pct.", lambda row: number(row["null"]["q95"], 1), "n"),
        Column("p", lambda row: number(row["null"]["p"]), "n"),
        value("also on select", "confirmed"),
        Column("in words", lambda row: verdict(row, results.level), "words"),
    ]
    words = f": prompt = {of['alone']}; caption = the caption is read, its gender words masked. "
    caption = tag(
        "span", "Test split; ", term("q", "significant"), " after correction over all testable features"
    )
    return [
        tag(
            "p",
            term("condition", "Conditions"),
            words,
            "The column “by chance” is the ",
            term("null", "null"),
            ".",
        ),
        table("gender", columns, gender, label="Gendered features per layer", caption=caption),
        results.shown(*(f"{site}/gender_features" for site in results.sites)),
    ]


def _both(row: Record) -> Any:
    test, units = row["images"]["test"], row["units"]["test"]
    shown = number(test["female"]) + " + " + number(test["male"])
    grouped = any(units[gender] < test[gender] for gender in ("female", "male"))
    return shown + f" in {plain(units['female'])} + {plain(units['male'])} groups" if grouped else shown


def _probes(probes: list[Record], results: Results) -> list[Any]:
    units = results.words["units"]
    columns = [
        site(),
        language(),
        text("condition", "condition"),
        Column("probe on", lambda row: _probed(row["corpus"])),
        value(units, "n"),
        bounded(term("auroc", "AUROC"), "auroc"),
        bounded("accuracy", "accuracy"),
        value("majority class", "majority"),
        value("shuffled labels, AUROC", "shuffled"),
        value("control task, AUROC", "control"),
    ]
    words = [term("probe", "Probes"), f" on test {units}; ", term("ci", "95 % CI"), " in brackets"]
    return [
        table("probes", columns, probes, label="Probes", caption=tag("span", *words)),
        results.shown("probes"),
    ]


def _probed(corpus: str) -> str:
    return "raw activations" if corpus == "activations" else f"codes, {corpus_name(corpus)}"


def beyond_chance(record: Record, level: float) -> bool | None:
    """Are there more significant features than shuffled labels give? None where that was not tested."""
    return record["null"]["p"] <= level and record["significant"] > 0 if record["tested"] else None


def verdict(record: Record, level: float) -> str:
    """A record of kind gender in words."""
    beyond = beyond_chance(record, level)
    if beyond is None:
        return f"not tested, because {record['because']}"
    if beyond:
        return "more than chance"
    return "none significant" if record["significant"] == 0 else "no more than chance"


def effects_finding(condition: str, records: list[Record], results: Results) -> Finding:
    """In how many layers, dictionaries and languages there are more gendered features than chance gives."""
    seen = {
        "prompt": f"From {results.words['alone']}",
        "caption": "Reading the caption, its gender words masked",
    }.get(condition, condition)
    untested = [f"{_where(r)}: not tested, because {r['because']}." for r in records if not r["tested"]]
    records = [record for record in records if record["tested"]]
    if not records:
        return Finding("warning", f"{seen}: gendered features were not tested.", untested)
    yes = [record for record in records if beyond_chance(record, results.level)]
    if not yes:
        line = (
            f"In none of {len(records)} combinations of layer, dictionary and language did the number of "
            "significant features exceed that under shuffled labels."
        )
        return Finding("null", f"{seen}: no more gendered features than chance gives.", [line, *untested])
    best = max(yes, key=lambda record: record["significant"] / max(record["testable"], 1))
    test = best["images"]["test"]
    lines = [
        f"The largest share is at {_where(best)}: {plain(best['significant'])} of {plain(best['testable'])} testable features "
        f"(n = {plain(test['female'])} female + {plain(test['male'])} male {results.words['units']}); shuffled labels give "
        f"{plain(best['null']['mean'], 1)} (95th percentile {plain(best['null']['q95'], 1)}, "
        f"p = {plain(best['null']['p'])})."
    ]
    no = [record for record in records if not beyond_chance(record, results.level)]
    if no:
        lines.append(f"No more than chance in {len(no)}: {'; '.join(_where(record) for record in no)}.")
    title = f"{seen}: more gendered features than chance in {len(yes)} of {len(records)} combinations."
    return Finding("found", title, [*lines, *untested])


def _where(record: Record) -> str:
    of = f"{corpus_name(record['corpus'])} on {language_name(record['language'])}"
    return f"{site_name(record['site'])}, {of}"


def probes_finding(probes: list[Record], units: str) -> Finding:
    """Where a probe reads gender best, and in how many cases better than chance."""
    scored = [probe for probe in probes if probe["auroc"] is not None]
    if not scored:
        return Finding("null", "No probe could be scored.")
    best = max(scored, key=lambda probe: probe["auroc"])
    above = [probe for probe in scored if _reads(probe)]
    line = (
        f"Best: AUROC {plain(best['auroc'])}{bracketed(best, 'auroc')} on {_probed(best['corpus'])}, "
        f"{site_name(best['site'])}, {language_name(best['language'])}, {best['condition']} condition, "
        f"n = {plain(best['n'])} test {units}; shuffled labels give {plain(best['shuffled'])}, a control task "
        f"{plain(best['control'])}, "
        f"the majority class .5 (accuracy {plain(best['majority'])})."
    )
    if not above:
        return Finding("null", "No linear probe reads gender better than chance.", [line])
    title = f"Linear probes read gender better than chance in {len(above)} of {len(scored)} cases."
    return Finding("found", title, [line])


def _reads(probe: Record) -> bool:
    """The CI lies above .5, and no probe on shuffled labels did as well."""
    shuffled = probe["shuffled_high"]
    above = probe["auroc_low"] is not None and probe["auroc_low"] > 0.5
    return above and (shuffled is None or probe["auroc"] > shuffled)
