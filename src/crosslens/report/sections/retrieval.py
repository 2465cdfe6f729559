"""Do captions lie beside their translations?"""

from crosslens.report.html import tag, term
from crosslens.report.numbers import bracketed, level_words, plain
from crosslens.report.sections.base import (
    Finding,
    Record,
    Results,
    Section,
    both_names,
    by_languages,
    by_pair,
)
from crosslens.report.table import Column, bounded, counted, judged, site, table, value
from crosslens.report.terms import CI
from crosslens.summary.claims import found, more_found
from crosslens.summary.names import in_groups, pair_name, short_name, site_name

ORDER = 60
TERMS = {
    "ci": CI,
    "retrieval": (
        "R@1, R@5, MRR",
        "Of the test captions, the share whose translation has the largest cosine (is among the five largest) of all "
        "test {units}; mean of 1 / rank. Those of one group are one, the mean of their captions. "
        "Centred: each language minus the mean of its own train {units}. p: one-sided, of "
        "R@1 with captions and translations paired at random; q: corrected over all cases in which the words alone are read, "
        "and over all claims of the study.",
    ),
    "cka": (
        "CKA",
        "Centred kernel alignment of the two languages' captions of the same {units}: 1 for the same shape up to rotation "
        "and scale. The unbiased one is 0 in expectation for unrelated captions.",
    ),
}
READ_TERM = {
    "read": (
        "What is read",
        "A caption behind its picture (“picture and words”) holds what the picture shows, whatever it says. So the same is "
        "measured of the caption without its picture (“words”), which a model that has only seen captions of pictures may "
        "not be used to, and of the constant prompt behind the picture in the place of the caption that looks for its "
        "translation (“picture”). What a caption with its picture says "
        "of languages is what it finds beyond that prompt: differences are {unit} by {unit}, p by flips of their signs (CKA: "
        "by the jackknife).",
    ),
}
READ = {
    "alone": "words",
    "caption": "picture and words",
    "prompt": "picture",
}


def section(results: Results) -> Section | None:
    """Where two languages were compared."""
    retrieval, cka = results.records("retrieval"), results.records("cka")
    if not retrieval:
        return None
    above = results.records("above_prompt")
    units, shown = results.words["units"], rows(retrieval, cka)
    gendered = (
        ", the words that tell the gender included" if results.dataset("gender_source") != "none" else ""
    )
    pictured = any(row["read"] != "caption" for row in shown)
    columns = [
        *COLUMNS[:2],
        *([Column("read", lambda row: READ[row["read"]])] if pictured else []),
        *COLUMNS[2:],
    ]
    caption = tag("span", f"Test {units}, centred by language; ", term("ci", "95 % CI"), " in brackets")
    body = [
        tag(
            "p",
            *(term("retrieval", "Retrieval"), f": whole captions{gendered}. "),
            *((term("read", "What is read"), " decides what is measured. ") if pictured else ()),
            same_text(cka, units),
        ),
        results.shown("retrieval"),
        table("retrieval", columns, shown, label="Retrieval and CKA per layer", caption=caption),
    ]
    if above:
        title = f"Picture and words less picture alone, same {units}, centred; "
        caption = tag(
            "span", title, term("ci", "95 % CI"), " in brackets; q: of R@1, over all rows and claims"
        )
        body.append(table("above-prompt", ABOVE, above, label="Beyond the picture", caption=caption))
    findings = [finding(*of_pair, results) for of_pair in by_languages(retrieval, cka)]
    findings += [above_finding(of_pair, results) for (of_pair,) in by_languages(above)]
    return Section(
        "retrieval",
        "Translations",
        "Do captions lie beside their translations?",
        body,
        findings,
        terms=TERMS | (READ_TERM if pictured else {}),
    )


def _cka(title: str, field: str) -> Column:
    return value(title, field, within=["cka"])


COLUMNS = [
    site(),
    Column("languages", lambda row: pair_name(row["source"], row["target"])),
    counted("n", groups="units"),
    bounded("R@1", "r1"),
    value("chance", "r1_chance"),
    judged("p", "p"),
    bounded("R@5", "r5"),
    value("chance", "r5_chance"),
    bounded("MRR", "mrr"),
    bounded("R@1, not centred", "r1", within=["uncentred"]),
    _cka(term("cka", "CKA") + ", unbiased", "unbiased"),
    _cka("shuffled, 95th pct.", "unbiased_q95"),
    judged("p", "p", within=["cka"]),
    _cka("linear CKA", "linear"),
    _cka("shuffled, mean", "linear_null"),
]
ABOVE = [
    *COLUMNS[:3],
    bounded("R@1", "r1"),
    judged("q"),
    bounded("R@5", "r5"),
    bounded("MRR", "mrr"),
    bounded("CKA, unbiased", "cka"),
    value("p", "cka_p"),
]


def rows(retrieval: list[Record], cka: list[Record]) -> list[Record]:
    """A row per site, direction and what was read, with the CKA of the same."""

    def key(row: Record, source: str, target: str) -> tuple[str, ...]:
        pair = (source, target) if row["read"] == "prompt" else sorted((source, target))
        return (row["site"], row["read"], *pair)

    alike = {key(row, *row["languages"]): row for row in cka}
    plainly = {key(r, r["source"], r["target"]) + (r["source"],): r for r in retrieval if not r["centred"]}
    return [
        record
        | {
            "uncentred": plainly[*key(record, record["source"], record["target"]), record["source"]],
            "cka": alike[key(record, record["source"], record["target"])],
        }
        for record in retrieval
        if record["centred"]
    ]


def same_text(cka: list[Record], units: str) -> str:
    """A sentence on captions that no representation could tell apart, or nothing; `units`: pictures or texts."""
    counts = {
        language: same
        for row in cka
        for language, same in zip(row["languages"], row["same_text"], strict=True)
        if same
    }
    if not counts:
        return ""
    words = ", ".join(f"{plain(same)} in {short_name(language)}" for language, same in counts.items())
    return f"{units.capitalize()} whose caption another one has word for word cannot be told apart: {words}."


def finding(retrieval: list[Record], cka: list[Record], results: Results) -> Finding:
    """Are translations found by their words? In how many layers and directions, where R@1 is largest, and CKA."""
    units, level, pair = results.words["units"], results.level, both_names(retrieval[0])
    claimed = [record for record in retrieval if record["q"] is not None]
    words = results.tested(claimed)
    if not words:
        because = results.reasons(claimed or retrieval)
        return Finding(
            "warning", f"{pair}: whether captions find their translation was not tested, because {because}."
        )
    captions = f"{pair}: captions" + (" read without pictures" if words[0]["read"] == "alone" else "")
    beyond = [record for record in words if found(record, level)]
    lines = []
    for (source, target), layers in by_pair(words).items():
        best = max(layers, key=lambda record: record["r1"])
        lines.append(
            f"{pair_name(source, target)} is largest at {site_name(best['site'])}: R@1 {plain(best['r1'])}"
            f"{bracketed(best, 'r1')}, MRR {plain(best['mrr'])}, n = {_counted(best, units)}, chance "
            f"{plain(best['r1_chance'])}, q = {plain(best['q'])}."
        )
    alike = results.tested([row for row in cka if row["q"] is not None])
    if alike:
        best = max(alike, key=lambda row: row["unbiased"])
        lines.append(
            f"Unbiased CKA of the same captions is above shuffled pairs in {sum(found(row, level) for row in alike)} of "
            f"{len(alike)} cases, and largest at {site_name(best['site'])}: {plain(best['unbiased'])} (95 % of the "
            f"shuffled below {plain(best['unbiased_q95'])}, q = {plain(best['q'])}). {results.corrected('cka', 'words')}"
        )
    lines.append(f"Translations: {results.corrected('retrieval', 'words')}")
    cases = f"{len(beyond)} of {len(words)} cases (layers and directions; q ≤ {level_words(level)})"
    if beyond:
        title = f"{captions} find their translation among all {units} more often than by chance in {cases}."
        for of in dict.fromkeys((row["source"], row["target"]) for row in beyond):
            lines += results.controlled("retrieval", *of)
        return Finding("found", title, lines)
    title = f"{captions} do not find their translation more often than by chance: in {cases}."
    return Finding("null", title, lines)


def _counted(row: Record, units: str) -> str:
    return f"{plain(row['images'])} {units}{in_groups(row['images'], row['units'])}"


def above_finding(above: list[Record], results: Results) -> Finding:
    """Does a caption with its picture find its translation in the other of two languages better than the picture alone does?"""
    level, pair = results.level, both_names(above[0])
    because, above = results.reasons(above), results.tested(above)
    if not above:
        title = f"{pair}: whether a caption finds its translation beyond its picture was not tested, because"
        return Finding("warning", f"{title} {because}.")
    more = [row for row in above if more_found(row, level)]
    less = [row for row in above if row["q"] <= level and row["r1"] < 0]
    lines = []
    for (source, target), layers in by_pair(above).items():
        best = max(layers, key=lambda row: row["r1"])
        lines.append(
            f"{pair_name(source, target)}: R@1 with the caption less that of the constant prompt is largest at "
            f"{site_name(best['site'])}: {plain(best['r1'])}{bracketed(best, 'r1')}, n = "
            f"{_counted(best, results.words['units'])}, q = {plain(best['q'])}."
        )
    cases = f"of {len(above)} cases (layers and directions; q ≤ {level_words(level)})"
    lines.append(results.corrected("above_prompt", "above_prompt"))
    title = f"{pair}: behind its picture, a caption finds its translation "
    but = f", and less often in {len(less)}" if less else ""
    if more:
        said = f"{title}more often than the constant prompt does in {len(more)}{but} {cases}."
        return Finding("found", said, lines)
    return Finding("null", f"{title}more often than the constant prompt does in none{but} {cases}.", lines)
