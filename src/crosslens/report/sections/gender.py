"""Features that tell female from male, and whether gender can be read off linearly."""

from typing import Any

from crosslens.report.html import missing, tag, term
from crosslens.report.leaks import leaks_finding, read_all_the_same, words_shown
from crosslens.report.numbers import bracketed, number, plain
from crosslens.report.sections.base import Finding, Record, Results, Section
from crosslens.report.sparse import probed, sparse_shown
from crosslens.report.table import Column, bounded, counted, judged, language, sae, site, table, text, value
from crosslens.report.terms import AUROC, CI, CONDITION, D, Q
from crosslens.summary.beyond import READINGS, reading, words_beside
from crosslens.summary.claims import more_gendered
from crosslens.summary.conditions import condition_name, masking
from crosslens.summary.names import case_name, in_groups, language_name, short_name, site_name

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
        "test; shown beside the majority class, a probe on shuffled labels, a control task (a random label for each "
        "category, learned in the same way) and the bag of words. p: the labels of the test {units} permuted; q: corrected "
        "over all probes and all claims of the study. It is said to read gender beyond the words only if its interval lies "
        "above the bag of words' and above the control task's; where there is no bag of words, that is unknown.",
    ),
    "sparse": (
        "Sparse probe",
        "The same regression on the 1, 2, 5 or 20 features (of raw activations: channels) in which the genders differ most on "
        "train, by the F of an analysis of variance: how many hold what the whole input holds.",
    ),
    "words": (
        "Bag of words, leaking",
        "The same regression on how often each word occurs in what a condition leaves unmasked: no model has any part in "
        "it. Where it tells the gender (p at or below the study's level) the condition is leaking: what is found in it may "
        "be the words. The prompt is the same for all {units} and has no words to read.",
    ),
    "auroc": AUROC,
}


def section(results: Results) -> Section | None:
    """Where gender was looked for in a layer."""
    gender, probes, words = (results.records(name) for name in ("gender", "probes", "words"))
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
        findings.append(probes_finding(probes, words, results))
    leaks = leaks_finding(words, list(dict.fromkeys(record["condition"] for record in [*gender, *probes])))
    if leaks:
        findings.append(leaks)
    return Section("gender", "Gender", "Features that tell female from male", body, findings, terms=TERMS)


def _effects(gender: list[Record], results: Results) -> list[Any]:
    of, bags = results.words, results.records("words")
    columns = [
        site(),
        sae(),
        language(),
        text("condition", "condition"),
        Column(f"female + male {of['units']}", _both, "n"),
        value("live", "live"),
        value("testable", "testable"),
        value("significant", "significant"),
        value("by chance: mean", "mean", 1, within=["null"]),
        value("95th pct.", "q95", 1, within=["null"]),
        judged("p", "p"),
        judged("q over all rows and claims"),
        value("also on select", "confirmed"),
        Column(
            term("words", "bag of words, AUROC"),
            lambda row: words_shown(words_beside(bags, row["language"], row["condition"])),
        ),
        Column("in words", lambda row: verdict(row, results), "words"),
    ]
    seen = condition_name("caption", bags).removeprefix("caption ")
    words = f": prompt = {of['alone']}; caption = the caption is {seen}{_own_captions(gender, bags)}. "
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


def _own_captions(gender: list[Record], bags: list[Record]) -> str:
    """What the condition `generated` is, and what the words tell that it leaves out; empty where it is not there."""
    languages = dict.fromkeys(row["language"] for row in gender if row["condition"] == "generated")
    if not languages:
        return ""
    whole = [
        f"{short_name(language)} {words_shown(words_beside(bags, language, 'generated_whole'))}"
        for language in languages
    ]
    masked = masking("generated", bags, list(languages))
    return (
        f"; generated = the model writes its own caption, one an image{', ' + masked if masked else ''} (AUROC of the bag of "
        f"words with all that it wrote: {'; '.join(whole)})"
    )


def _both(row: Record) -> Any:
    test = row["images"]["test"]
    return number(test["female"]) + " + " + number(test["male"]) + _in_groups(row)


def _in_groups(row: Record) -> str:
    """How many count, where those of one group count once."""
    test = row["images"]["test"]
    return in_groups(test["female"] + test["male"], row["groups"]["test"])


def _probes(probes: list[Record], results: Results) -> list[Any]:
    units, bags = results.words["units"], results.records("words")
    columns = [
        site(),
        language(),
        text("condition", "condition"),
        Column("probe on", lambda row: probed(row["corpus"])),
        counted(units, "n"),
        bounded(term("auroc", "AUROC"), "auroc"),
        bounded("accuracy", "accuracy"),
        value("majority class", "majority"),
        value("shuffled labels, AUROC", "shuffled"),
        value("control task, AUROC", "control"),
        Column(
            term("words", "bag of words, AUROC"),
            lambda row: words_shown(words_beside(bags, row["language"], row["condition"])),
        ),
        judged("q"),
        Column("reads gender", lambda row: _read(row, bags, results), "words"),
    ]
    words = [term("probe", "Probes"), f" on test {units}; ", term("ci", "95 % CI"), " in brackets"]
    return [
        table("probes", columns, probes, label="Probes", caption=tag("span", *words)),
        results.shown("probes"),
        *sparse_shown(probes),
        results.shown("sparse_probes"),
    ]


def verdict(record: Record, results: Results) -> str:
    """A record of kind gender in words."""
    if because := results.untested(record):
        return f"not tested, because {because}"
    if more_gendered(record, results.level):
        return "more than chance"
    return "none significant" if record["significant"] == 0 else "no more than chance"


def effects_finding(condition: str, records: list[Record], results: Results) -> Finding:
    """In how many layers, dictionaries and languages there are more gendered features than chance gives."""
    masked = masking(condition, results.records("words"))
    seen = {
        "prompt": f"From {results.words['alone']}",
        "caption": ", ".join(filter(None, ("Reading the caption", masked))),
        "generated": ", ".join(filter(None, ("Writing its own caption", masked))),
    }.get(condition, condition)
    untested = [
        f"{_where(record)}: not tested, because {because}."
        for record in records
        if (because := results.untested(record))
    ]
    because, records = results.reasons(records), results.tested(records)
    if not records:
        return Finding("warning", f"{seen}: gendered features were not tested, because {because}.", untested)
    yes = [record for record in records if more_gendered(record, results.level)]
    if not yes:
        line = (
            f"In none of {len(records)} combinations of layer, dictionary and language did the number of "
            "significant features exceed that under shuffled labels beyond chance."
        )
        lines = [line, _corrected(results), *untested]
        return Finding("null", f"{seen}: no more gendered features than chance gives.", lines)
    best = max(yes, key=lambda record: record["significant"] / max(record["testable"], 1))
    test, units = best["images"]["test"], results.words["units"] + _in_groups(best)
    lines = [
        f"The largest share is at {_where(best)}: {plain(best['significant'])} of {plain(best['testable'])} testable features "
        f"(n = {plain(test['female'])} female + {plain(test['male'])} male {units}); shuffled labels give "
        f"{plain(best['null']['mean'], 1)} (95th percentile {plain(best['null']['q95'], 1)}, "
        f"p = {plain(best['p'])}, q = {plain(best['q'])}).",
        _corrected(results),
    ]
    no = [record for record in records if not more_gendered(record, results.level)]
    if no:
        lines.append(f"No more than chance in {len(no)}: {'; '.join(_where(record) for record in no)}.")
    lines += read_all_the_same(yes, results.records("words"))
    title = f"{seen}: more gendered features than chance in {len(yes)} of {len(records)} combinations."
    for name in dict.fromkeys(record["language"] for record in yes):
        lines += results.controlled("gendered", name)
    return Finding("found", title, [*lines, *untested])


def _corrected(results: Results) -> str:
    """Over which family the numbers of gendered features are corrected, and what would have been said of each alone."""
    family = [record for record in results.records("gender") if record["q"] is not None]
    alone = sum(record["p"] <= results.level < record["q"] for record in family)
    more = f"; {alone} more would exceed it taken alone" if alone else ""
    return results.corrected("gender", "gendered_features").removesuffix(".") + f"{more}."


def _where(record: Record) -> str:
    return case_name(record["site"], record["corpus"], record["language"])


def probes_finding(probes: list[Record], words: list[Record], results: Results) -> Finding:
    """In how many cases a probe reads gender beyond the words and a control task; the rest by what it does not exceed."""
    units, level = results.words["units"], results.level
    tested = results.tested(probes)
    if not tested:
        return Finding("warning", f"Probes were not tested, because {results.reasons(probes)}.")
    read = {name: [probe for probe in tested if _reading(probe, words, level) == name] for name in READINGS}
    best = max(read["beyond"] or tested, key=lambda probe: probe["auroc"])
    beside = words_beside(words, best["language"], best["condition"])
    control = "there is none" if best["control"] is None else f"{plain(best['control'])}"
    lines = [
        f"{'Best of them' if read['beyond'] else 'Best'}: AUROC {plain(best['auroc'])}{bracketed(best, 'auroc')} on "
        f"{probed(best['corpus'])}, {site_name(best['site'])}, {language_name(best['language'])}, {best['condition']} "
        f"condition, n = {plain(best['n'])} test {units}{in_groups(best['n'], best['groups'])} (q = {plain(best['q'])}); bag "
        f"of words: {words_shown(beside)}; "
        f"control task: {control}; shuffled labels: {plain(best['shuffled'])}."
    ]
    counts = [f"{READINGS[name]} in {len(some)}" for name, some in read.items() if some and name != "beyond"]
    if counts:
        lines.append(f"Of {len(tested)} cases: {'; '.join(counts)}.")
    if len(tested) < len(probes):
        lines.append(f"Not tested in {len(probes) - len(tested)}, because {results.reasons(probes)}.")
    lines.append(f"p: permuted test labels. {results.corrected('probes', 'probes')}")
    if read["beyond"]:
        beside = any(probe["control_high"] is not None for probe in read["beyond"])
        title = (
            f"Linear probes read gender beyond the words{' and beyond a control task' if beside else ''} in "
            f"{len(read['beyond'])} of {len(tested)} cases."
        )
        lines += read_all_the_same(read["beyond"], words)
        for language in dict.fromkeys(probe["language"] for probe in read["beyond"]):
            lines += results.controlled("probe", language)
        return Finding("found", title, lines)
    some, unknown = sum(len(read[name]) for name in ("words", "control", "unknown")), len(read["unknown"])
    if some:
        beyond = "in none of them beyond both the bag of words and a control task"
        if unknown:
            of = "" if unknown == some else f" in {unknown} of them"
            beyond = f"whether beyond the words is unknown{of}: no bag of words to compare with"
        return Finding(
            "warning" if unknown else "null",
            f"Gender can be read off linearly in {some} of {len(tested)} cases, {beyond}.",
            lines,
        )
    return Finding("null", "No linear probe reads gender better than chance.", lines)


def _read(probe: Record, words: list[Record], results: Results) -> str:
    """A record of kind probes in words."""
    if because := results.untested(probe):
        return f"not tested, because {because}"
    return READINGS[_reading(probe, words, results.level)]


def _reading(probe: Record, words: list[Record], level: float) -> str:
    return reading(probe, words_beside(words, probe["language"], probe["condition"]), level)
