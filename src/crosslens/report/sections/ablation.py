"""Does a language need its features more than the other one does?"""

from crosslens.report.html import tag, term
from crosslens.report.numbers import bracketed, level_words, plain
from crosslens.report.sections.base import Finding, Record, Results, Section, by_languages
from crosslens.report.table import Column, bounded, judged, sae, site, table, value
from crosslens.summary.claims import harms_its_own, significant
from crosslens.summary.names import corpus_name, short_name, site_name

ORDER = 65
TERMS = {
    "ablated": (
        "Ablated direction",
        "x − (x·d̂) d̂ in the place of x at all text positions of the site, d̂ a feature's unit decoder row, while the model "
        "reads captions of test: what the feature reads is gone, and whatever else lies in its direction. Cost: "
        "cross-entropy more than untouched, in nats a token. Which features are specific and shared is tested on select, and "
        "those that write most are taken.",
    ),
    "as_frequent": (
        "As frequent",
        "Random features that fire in that language at most twice as often, and at least half as often, as the one beside which "
        "they stand, and are specific to neither language. They are as frequent, not as strong: of the specific ones the "
        "strongest are taken, and a larger cost alone may be that; what is claimed is the difference between the languages. p: "
        "one of each such group taken at random, how often their mean is as large as that of the specific ones.",
    ),
}


def section(results: Results) -> Section | None:
    """Where directions of features were ablated."""
    ablated, shared = results.records("ablated"), results.records("ablated_shared")
    if not ablated:
        return None
    body = [
        tag(
            "p",
            "What do the languages lose with the ",
            term("ablated", "directions"),
            " of features that fire more often in one of them? Beside random ones ",
            term("as_frequent", "as frequent"),
            ", and features that both share.",
        ),
        table(
            "ablated",
            COLUMNS,
            [row for row in ablated if row["features"]],
            label="Cost of ablating the features of a language",
        ),
        table(
            "ablated_shared",
            SHARED,
            [row for row in shared if row["features"]],
            label="Cost of ablating shared features",
        ),
        results.shown(
            *dict.fromkeys(f"{row['corpus']}/{row['site']}/ablation" for row in ablated),
        ),
    ]
    findings = [finding(of_pair, results) for (of_pair,) in by_languages(ablated)]
    heading = "Does a language need its features more than the other one does?"
    return Section("ablation", "Ablated features", heading, body, findings, terms=TERMS)


def other_of(row: Record) -> str:
    """The language of the pair that the features do not belong to."""
    return next(name for name in row["languages"] if name != row["language"])


def _with_controls(title: str, name: str) -> list[Column]:
    return [bounded(title, name), value("as frequent", f"{name}_beside")]


COLUMNS = [
    site(),
    sae(),
    Column("features of", lambda row: short_name(row["language"])),
    value("ablated", "features"),
    value("of", "found"),
    *_with_controls("cost to it", "own"),
    *_with_controls("to the other", "other"),
    *_with_controls("difference", "difference"),
    judged("p of difference", "p"),
    judged("q"),
]
SHARED = [
    site(),
    sae(),
    Column("languages", lambda row: " and ".join(map(short_name, row["languages"]))),
    value("ablated", "features"),
    value("of", "found"),
    bounded("cost to the first", "first"),
    bounded("to the second", "second"),
    bounded("difference", "difference"),
]


def finding(records: list[Record], results: Results) -> Finding:
    """In how many cases do the features of a language matter to it more, beyond random ones as frequent?"""
    pair = " and ".join(map(short_name, records[0]["languages"]))
    tested = results.tested(records, "features")
    if not tested:
        because = results.reasons(records, "features")
        return Finding(
            "warning", f"{pair}: whether a language needs its features was not tested, because {because}."
        )
    yes = [record for record in tested if harms_its_own(record, results.level)]
    cases = (
        f"{len(yes)} of {len(tested)} cases (layers, SAEs and languages; q ≤ {level_words(results.level)})"
    )
    lines = [
        "; ".join(map(_told, tested)) + ".",
        results.corrected("ablated", "ablation"),
    ]
    half = [record for record in tested if significant(record, results.level) and record not in yes]
    if half:
        where = "; ".join(f"{site_name(row['site'])}, {short_name(row['language'])}" for row in half)
        lines.insert(
            1, f"Beyond random ones, but not for sure more than it costs the other language: {where}."
        )
    if not yes:
        said = "costs it no more, against the other, than random ones do"
        if half:
            said = "does not for sure cost it more than the other"
        return Finding("null", f"{pair}: ablating features of one language {said}: in {cases}.", lines)
    title = f"{pair}: ablating features of one language costs it more than the other, by more than random ones do, in {cases}."
    return Finding("found", title, lines)


def _told(row: Record) -> str:
    own, other = short_name(row["language"]), short_name(other_of(row))
    return (
        f"{site_name(row['site'])}, {corpus_name(row['corpus'])}, {plain(row['features'])} features of {own}: "
        f"{plain(row['own'])}{bracketed(row, 'own')} nats a token in {own} (as frequent {plain(row['own_beside'])}), "
        f"{plain(row['other'])}{bracketed(row, 'other')} in {other} (as frequent {plain(row['other_beside'])})"
    )
