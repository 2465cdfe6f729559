"""Which features do the languages share?"""

from collections.abc import Callable

from crosslens.report.html import tag, term
from crosslens.report.numbers import level_words, plain
from crosslens.report.sections.base import Finding, Record, Results, Section, both_names, by_languages
from crosslens.report.table import Column, judged, sae, site, table, value
from crosslens.summary.claims import found
from crosslens.summary.names import corpus_name, short_name, site_name

ORDER = 64
Lines = Callable[[list[Record], Results], list[str]]
TERMS = {
    "shared": (
        "Shared feature",
        "In an SAE of all languages: fires in at least five {units} of test in both, and its mean activation over whole "
        "captions of the same {units} correlates between them more than with the pairs shuffled (one-sided; "
        "Benjamini–Hochberg over all features live in both). By chance: the mean number so found with shuffled pairs.",
    ),
    "specific": (
        "Specific feature",
        "Selectivity (f₁ − f₂) / (f₁ + f₂) of how often it fires in two languages, a token and a caption: specific "
        "where both go the same way and are beyond exchanging the languages within pairs (the larger p of both), as one "
        "language may have more tokens a caption. Such a feature may still fire in the other language, and be shared; "
        "“nearly exclusive”: nine times as often by either rate.",
    ),
    "unmasked": (
        "Unmasked by latent scaling",
        "A specific feature is fitted, with its activations in its own language, to what both languages hold along its "
        "direction in captions of the same {units}: β = argmin Σ‖β f d − r‖², r the residual with the feature's own part "
        "added back, all about their means. Unmasked: β in the other language is beyond shuffled pairs and at least half of "
        "β in its own, so that the other language has the direction though the feature does not fire. Beside it the "
        "median of the ratio: 0 is specific, 1 shared.",
    ),
}


def section(results: Results) -> Section | None:
    """Where features of one SAE were compared between languages."""
    sharing, specific = results.records("sharing"), results.records("specific")
    if not sharing:
        return None
    rows = [shared | {"specific": own} for shared, own in zip(sharing, specific, strict=True)]
    lengths = {
        language: length
        for row in sharing
        for language, length in zip(row["languages"], row["tokens_per_caption"], strict=True)
    }
    told = ", ".join(f"{plain(length, 1)} in {short_name(language)}" for language, length in lengths.items())
    body = [
        tag(
            "p",
            f"Whole captions of test, label words kept; tokens a caption: {told}. {results.words['shared']}",
        ),
        table("sharing", COLUMNS, rows, label="Shared and specific features per layer and SAE"),
        results.shown(*(f"{row['corpus']}/{row['site']}/sharing" for row in rows)),
    ]
    findings = [
        finding(of_pair, lines, what, results, corrected)
        for records, lines, what, corrected in (
            (sharing, shared_lines, "fire alike in both languages", results.corrected("sharing", "features")),
            (
                specific,
                specific_lines,
                "fire more often in one language",
                results.corrected("specific", "features"),
            ),
        )
        for (of_pair,) in by_languages(records)
    ]
    heading = "Which features do the languages share?"
    return Section("sharing", "Shared features", heading, body, findings, terms=TERMS)


def _of_language(title: str, i: int) -> list[Column]:
    return [
        Column(title, lambda row: short_name(row["languages"][i])),
        value("specific to it", i, within=["specific", "of"]),
        value("of these not shared", i, within=["specific", "not_shared"]),
        value("nearly exclusive", i, within=["specific", "exclusive"]),
    ]


COLUMNS = [
    site(),
    sae(),
    value("units", "groups"),
    value("live in both", "features"),
    value(term("shared", "shared"), "found"),
    value("by chance", "chance"),
    judged("p", "p"),
    value("r, median of live in both", "r_median"),
    value("live in either", "features", within=["specific"]),
    value(term("specific", "specific"), "found", within=["specific"]),
    value("by chance", "chance", within=["specific"]),
    judged("p", "p", within=["specific"]),
    value(term("unmasked", "unmasked"), "unmasked", within=["specific"]),
    value("β ratio, median", "scaling_median", within=["specific"]),
    *_of_language("first", 0),
    *_of_language("second", 1),
]


def finding(records: list[Record], lines: Lines, what: str, results: Results, corrected: str) -> Finding:
    """Do more features than by chance do so, in how many cases, and how many are they? corrected: over what, in words."""
    pair = both_names(records[0])
    tested = results.tested(records)
    if not tested:
        because = results.reasons(records)
        return Finding("warning", f"{pair}: features that {what}: not tested, because {because}.")
    yes = [record for record in tested if found(record, results.level)]
    cases = f"{len(yes)} of {len(tested)} cases (layers and SAEs; q ≤ {level_words(results.level)})"
    if not yes:
        return Finding("null", f"{pair}: no more features {what} than by chance: in {cases}.", [corrected])
    return Finding(
        "found",
        f"{pair}: more features {what} than by chance in {cases}.",
        [*lines(records, results), corrected],
    )


def shared_lines(records: list[Record], results: Results) -> list[str]:
    """How many are shared at each layer; most features of an SAE need not be."""
    counts = "; ".join(
        f"{_where(row)} {plain(row['found'])} of {plain(row['features'])} live in both (by chance {plain(row['chance'], 1)}), "
        f"{plain(row['also_specific'])} of them firing more often in one language"
        for row in records
        if row["tested"]
    )
    lines = [
        f"Shared: {counts}; n = {plain(records[0]['groups'])} independent {results.words['units']}.",
        *results.controlled("shared", *records[0]["languages"]),
    ]
    return lines + ([same] if (same := results.words["shared"]) else [])


def specific_lines(records: list[Record], results: Results) -> list[str]:
    """How many belong to each language, and how few of these to it alone."""
    counts = "; ".join(f"{_where(row)} " + _each(row) for row in records if row["tested"])
    lines = [f"More often in one language, of those live in either: {counts}."]
    if scaled := [row for row in records if row["tested"] and row["unmasked"] is not None]:
        told = "; ".join(
            f"{_where(row)} {plain(row['unmasked'])} of {plain(row['found'])}, median ratio {plain(row['scaling_median'], 2)}"
            for row in scaled
        )
        lines.append(f"Of these the other language has the direction too (latent scaling): {told}.")
    return lines


def _each(row: Record) -> str:
    return f"of {plain(row['features'])} " + ", ".join(
        f"{short_name(language)} {plain(row['of'][i])} ({plain(row['exclusive'][i])} nearly exclusively, "
        f"{plain(row['not_shared'][i])} not shared)"
        for i, language in enumerate(row["languages"])
    )


def _where(row: Record) -> str:
    return f"{site_name(row['site'])}, {corpus_name(row['corpus'])}:"
