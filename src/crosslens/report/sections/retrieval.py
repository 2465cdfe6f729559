"""Do captions lie beside their translations?"""

from typing import Any

from crosslens.report.html import tag, term
from crosslens.report.numbers import bracketed, interval, number, plain
from crosslens.report.sections.base import Finding, Record, Results, Section
from crosslens.report.table import Column, bounded, site, table, text, value
from crosslens.report.terms import CI
from crosslens.summary.names import pair_name, short_name, site_name

ORDER = 60
TERMS = {
    "ci": CI,
    "retrieval": (
        "R@1, R@5, MRR",
        "Of the test captions, the share whose translation has the largest cosine (is among the five largest) of all "
        "test {units}; mean of 1 / rank. Centred: each language minus the mean of its own train {units}.",
    ),
    "cka": (
        "CKA",
        "Centred kernel alignment of the two languages' captions of the same {units}: 1 for the same shape up to rotation "
        "and scale. The unbiased one is 0 in expectation for unrelated captions.",
    ),
}


def section(results: Results) -> Section | None:
    """Where two languages were compared."""
    retrieval, cka = results.records("retrieval"), results.records("cka")
    if not retrieval:
        return None
    units = results.words["units"]
    gendered = (
        ", the words that tell the gender included" if results.dataset("gender_source") != "none" else ""
    )
    same = same_text(cka, units)
    caption = tag("span", f"Test {units}, centred by language; ", term("ci", "95 % CI"), " in brackets")
    body = [
        tag("p", term("retrieval", "Retrieval"), f": whole captions{gendered}.{f' {same}' if same else ''}"),
        results.shown("retrieval"),
        table(
            "retrieval",
            COLUMNS,
            rows(retrieval, cka),
            label="Retrieval and CKA per layer",
            caption=caption,
        ),
    ]
    findings = [finding(retrieval, cka, units)]
    return Section(
        "retrieval", "Translations", "Do captions lie beside their translations?", body, findings, terms=TERMS
    )


def _uncentred(row: Record) -> Any:
    plainly = row["uncentred"]
    return number(plainly["r1"]) + interval(plainly["r1_low"], plainly["r1_high"])


def _cka(title: str, field: str) -> Column:
    return Column(title, lambda row: number(row["cka"][field]), "n")


COLUMNS = [
    site(),
    text("languages", "name"),
    value("n", "images"),
    bounded("R@1", "r1"),
    value("chance", "r1_chance"),
    bounded("R@5", "r5"),
    value("chance", "r5_chance"),
    bounded("MRR", "mrr"),
    Column("R@1, not centred", _uncentred, "n"),
    _cka(term("cka", "CKA") + ", unbiased", "unbiased"),
    _cka("shuffled, 95th pct.", "unbiased_q95"),
    _cka("p", "unbiased_p"),
    _cka("linear CKA", "linear"),
    _cka("shuffled, mean", "linear_null"),
]


def rows(retrieval: list[Record], cka: list[Record]) -> list[Record]:
    """A row per site, pair of languages and direction, with the CKA of the pair."""
    alike = {(row["site"], *sorted(row["languages"])): row for row in cka}
    plainly = {(r["site"], r["source"], r["target"]): r for r in retrieval if not r["centred"]}
    return [
        record
        | {
            "name": pair_name(record["source"], record["target"]),
            "uncentred": plainly[record["site"], record["source"], record["target"]],
            "cka": alike[record["site"], *sorted((record["source"], record["target"]))],
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


def finding(retrieval: list[Record], cka: list[Record], units: str) -> Finding:
    """Are translations found? The layer with the largest centred R@1 of each direction, and where CKA peaks."""
    lines, beyond = [], False
    centred = [record for record in retrieval if record["centred"]]
    for source, target in dict.fromkeys((record["source"], record["target"]) for record in centred):
        layers = [r for r in centred if (r["source"], r["target"]) == (source, target)]
        best = max(layers, key=lambda record: record["r1"])
        beyond |= best["r1_low"] > best["r1_chance"]
        lines.append(
            f"{pair_name(source, target)} peaks at {site_name(best['site'])}: R@1 {plain(best['r1'])}"
            f"{bracketed(best, 'r1')}, MRR {plain(best['mrr'])}, n = {plain(best['images'])} {units}, chance "
            f"{plain(best['r1_chance'])}; the largest of {len(layers)}."
        )
    measured = [row for row in cka if row["unbiased"] is not None]
    if measured:
        best = max(measured, key=lambda row: row["unbiased"])
        lines.append(
            f"Unbiased CKA is largest at {site_name(best['site'])}: {plain(best['unbiased'])} (pairs shuffled: 95 % "
            f"below {plain(best['unbiased_q95'])}, p = {plain(best['unbiased_p'])})."
        )
    if beyond:
        title = f"A caption's translation is found among all {units} more often than by chance."
        return Finding("found", title, lines)
    return Finding("null", "A caption's translation is not found more often than by chance.", lines)
