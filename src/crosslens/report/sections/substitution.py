"""Do matched features do the same?"""

from crosslens.report.html import tag, term
from crosslens.report.numbers import bracketed, level_words, plain
from crosslens.report.sections.base import Finding, Record, Results, Section
from crosslens.report.table import Column, bounded, judged, site, table, value
from crosslens.summary.claims import costs_alike
from crosslens.summary.names import short_name, site_name

ORDER = 67
TERMS = {
    "substituted": (
        "Substituted",
        "In the first SAE the codes of its n strongest matched features (mean square on select) are replaced by their partners' "
        "in the second SAE, each scaled by least squares on select, while the model reads captions of test: x + Σ (s z′ − z) d. "
        "Recovered: (cost of ablating them − cost of substituting them) / cost of ablating; 1 where partners do the same, "
        "0 where they do no more than nothing, below 0 where they do harm.",
    ),
    "effects_alike": (
        "Cost alike",
        "Spearman correlation, over matched pairs, of what it costs to ablate a feature in its own SAE with what it costs to "
        "ablate its partner in the other, on the same captions. Two nulls: partners shuffled, and partners shuffled among five "
        "of like strength, as strong features cost more than weak ones whatever they stand for; p: the larger of both.",
    ),
}
OUTCOMES = {
    "ce": "all tokens",
    "label_words": "gendered words",
    "agreement": "agreement with the gender read",
}


def section(results: Results) -> Section | None:
    """Where features of one SAE were put in the place of another's."""
    substituted, effects = results.records("substituted"), results.records("effects_alike")
    if not effects:
        return None
    body = [
        tag(
            "p",
            "The features of one SAE in the place of those that they are matched with: ",
            term("substituted", "substituted"),
            " together, and ablated one by one.",
        ),
        results.shown(*dict.fromkeys(f"{row['site']}/substitution" for row in effects)),
        table("substituted", COLUMNS, substituted, label="Substituted features", chosen=_of_languages),
        table(
            "effects_alike", EFFECTS, effects, label="Effects of matched features", chosen=_of_languages
        ),  # fmt: skip
    ]
    findings = [told(rows, substituted, results) for rows in _by_languages(effects)]
    heading = "Do matched features do the same?"
    return Section("substitution", "Substituted features", heading, body, findings, terms=TERMS)


def _of_languages(row: Record) -> bool:
    return row["role"] == "languages"


def _pair(row: Record) -> tuple[str, ...]:
    return tuple(sorted(name.split("/")[0] for name in (row["first"], row["second"])))


def _by_languages(effects: list[Record]) -> list[list[Record]]:
    """Records of all comparisons of each two languages' SAEs."""
    own = [row for row in effects if _of_languages(row)]
    return [[row for row in own if _pair(row) == pair] for pair in dict.fromkeys(map(_pair, own))]


def compared(row: Record) -> str:
    """Whose features take the place of whose."""
    first, second = (short_name(row[name].split("/")[0]) for name in ("first", "second"))
    return {
        "languages": f"{second} for {first}",
        "seeds": f"two seeds, {first} (ceiling)",
        "frozen": f"{second} for {first}, decoders frozen (floor)",
    }[row["role"]]


def _recovered_column(title: str, name: str) -> Column:
    """Empty where ablating costs nothing for sure: there is nothing to recover."""
    shown = bounded(title, name)
    return Column(title, lambda row: "" if row[name] is None else shown.show(row), shown.style)


COLUMNS = [
    site(),
    Column("features", compared),
    value("together", "n"),
    value("of", "pairs"),
    bounded("cost of ablating", "ablated"),
    _recovered_column(term("substituted", "recovered"), "substituted_recovered"),
    _recovered_column("partners shuffled", "shuffled_recovered"),
]
EFFECTS = [
    site(),
    Column("features", compared),
    Column("cost in", lambda row: OUTCOMES[row["outcome"]]),
    value("units", "groups"),
    value("pairs", "features"),
    bounded(term("effects_alike", "Spearman"), "spearman"),
    value("Pearson", "pearson"),
    value("shuffled, 95 %", "q95", within=("null", "pairing")),
    value("of like strength, 95 %", "q95", within=("null", "strength")),
    judged("p", "p"),
    # ceiling, floor and other outcomes are no tests of the study
    judged("q"),
]


def told(effects: list[Record], substituted: list[Record], results: Results) -> Finding:
    """Do matched features of two languages cost alike, and how much do partners recover beside ceiling and floor?"""
    pair = " and ".join(map(short_name, _pair(effects[0])))
    claimed = [row for row in effects if row["outcome"] == "ce"]
    tested = results.tested(claimed, "matched features")
    lines = [
        "; ".join(_recovered(row, substituted) for row in effects if row["outcome"] == "ce") + ".",
        results.corrected("effects_alike", "effects"),
    ]
    if not tested:
        title = (
            f"{pair}: whether matched features cost alike was not tested, because "
            f"{results.reasons(claimed, 'matched features')}."
        )
        return Finding("warning", title, lines[:1])
    yes = [row for row in tested if costs_alike(row, results.level)]
    cases = f"{len(yes)} of {len(tested)} cases (layers and languages; q ≤ {level_words(results.level)})"
    values = "; ".join(
        f"{site_name(row['site'])}, {compared(row)}: {plain(row['spearman'], 2)}{bracketed(row, 'spearman', 2)}, "
        f"n = {plain(row['features'])} pairs"
        for row in tested
    )
    lines.insert(0, f"Spearman of the costs: {values}.")
    if yes:
        title = f"{pair}: matched features that cost more cost more in the other SAE too, beyond shuffled partners, in {cases}."
        return Finding("found", title, lines)
    return Finding(
        "null",
        f"{pair}: what matched features cost in the two SAEs agrees no more than with partners shuffled: in {cases}.",
        lines,
    )


def _recovered(row: Record, substituted: list[Record]) -> str:
    """At the largest number of features: what partners of the other language recover, beside ceiling, floor and shuffles."""
    here = [
        point
        for point in substituted
        if point["site"] == row["site"] and point["language"] == row["language"]
    ]
    most = {(point["role"], point["first"], point["second"]): point for point in here}.values()
    own = next(
        (point for point in most if (point["first"], point["second"]) == (row["first"], row["second"])), None
    )
    if own is None:
        return f"{site_name(row['site'])}, {compared(row)}: no matched feature fires on select"
    start = f"{site_name(row['site'])}, {compared(row)}, {plain(own['n'])} features together"
    if own["substituted_recovered"] is None:
        return f"{start}: ablating them costs nothing for sure, so there is nothing to recover"
    beside = [f"{compared(point)} {_share(point)}" for point in most if not _of_languages(point)]
    beside.append(f"partners shuffled {plain(own['shuffled_recovered'], 2)}")
    return f"{start} recover {_share(own)} of what ablating them costs ({'; '.join(beside)})"


def _share(point: Record) -> str:
    if point["substituted_recovered"] is None:
        return "nothing to recover"
    return f"{plain(point['substituted_recovered'], 2)}{bracketed(point, 'substituted_recovered', 2)}"
