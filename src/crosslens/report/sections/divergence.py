"""Where in depth do the languages part and meet?"""

from typing import Any

from crosslens.report.html import details, tag, term
from crosslens.report.leaks import read_all_the_same
from crosslens.report.numbers import bracketed, interval, level_words, number, plain
from crosslens.report.sections.base import Finding, Record, Results, Section
from crosslens.report.table import Column, Row, counted, site, table, text, value
from crosslens.summary.conditions import condition_name
from crosslens.summary.names import pair_name, short_name, site_name, site_order
from crosslens.summary.reading import Document

ORDER = 48
MEASURES = {
    "cosine": "cosine of the gender directions",
    "transfer": "AUROC of gender learned in another language",
    "cka": "unbiased CKA of the same captions",
    "retrieval": "R@1 of the translation",
}
READ = {"caption": "whole caption", "alone": "whole caption without its picture"}
TERMS = {
    "halves": (
        "Interval, share of halves",
        "Every measure is taken again on 200 random halves of the {units}, of train and of test, the same halves at every "
        "layer; what a half differs by from the mean of the halves is added to the value. That varies as "
        "all {units} would if they were drawn anew; of R@1 the interval is that of its own section, and where no half differs "
        "there is none. The share is that of the halves in which this layer is the largest or "
        "smallest; the layers behind it are in 95 % of them.",
    ),
    "differs": (
        "Differs over depth",
        "p that the measure is the same at all layers: its sum of squares about the mean of the layers, among those of the "
        "halves. q: Benjamini–Hochberg over all measures, conditions and pairs here, not over the other claims of the study.",
    ),
    "svcca": (
        "SVCCA, PWCCA",
        "Mean canonical correlation of two languages' captions of the same {units}, over the directions with 99 % of "
        "the variance and at most one for ten {units}; PWCCA weighs them by what they carry in the first. Never 0 by chance: "
        "beside it the 95th percentile of shuffled pairs.",
    ),
    "procrustes": (
        "Procrustes distance",
        "√(2 − 2‖XᵀY‖₁) of centred activations of norm 1: 0 where one is the other but for rotation and scale, at most √2. "
        "Beside it the 5th percentile of shuffled pairs.",
    ),
    "subspace": (
        "Subspaces",
        "Mean cos² of the principal angles between the ten directions of largest variance of both languages. Ceiling: halves "
        "of one language; chance: random subspaces. A gender direction's share is its cos² with such a subspace of train, "
        "beside directions of shuffled labels.",
    ),
}


def section(results: Results) -> Section | None:
    """Where languages were compared."""
    files = results.files.get("representations", {})
    documents = [Document(files[key], "representations") for key in sorted(files, key=site_order)]
    if not documents:
        return None
    series = [
        of | {"called": _called(of, results)}
        for path in results.files.get("divergence", {}).values()
        for of in Document(path, "divergence")("series")
    ]
    body: list[Any] = []
    if series:
        body += [
            tag(
                "p",
                "Each measure of the other sections over the layers, with its ",
                term("halves", "interval"),
                " and the layers where it is largest and smallest.",
            ),
            results.shown("divergence"),
            table("divergence", SERIES, series, label="Measures over the layers"),
        ]
    body.append(details("Representations", *_likeness(documents, results)))
    findings = [
        finding([of for of in series if {of["source"], of["target"]} == set(pair)], pair, results)
        for pair in dict.fromkeys((of["source"], of["target"]) for of in series if of["measure"] == "cka")
    ]
    heading = "Where do the languages part and meet?"
    return Section("divergence", "Over depth", heading, body, findings, terms=TERMS)


def _called(of: Row, results: Results) -> str:
    """What was read, or the condition with what is masked of it."""
    if of["measure"] in ("cka", "retrieval"):
        return READ.get(of["of"], of["of"])
    return condition_name(of["of"], results.records("words"), (of["source"], of["target"]))


def _pair(row: Row) -> str:
    if row["measure"] in ("cosine", "cka"):
        return f"{short_name(row['source'])} and {short_name(row['target'])}"
    return pair_name(row["source"], row["target"])


def _at(row: Row, name: str) -> Record:
    return next(point for point in row["points"] if point["site"] == row[name]["site"])


def _groups(row: Row) -> str:
    """How many independent units a series is of, where sites differ the fewest."""
    return plain(min(point["groups"] for point in row["points"]))


def _extremum(title: str, name: str) -> list[Column]:
    return [
        Column(title, lambda row: site_name(row[name]["site"])),
        Column(
            "value",
            lambda row: (
                plain(_at(row, name)["value"]) + interval(_at(row, name)["low"], _at(row, name)["high"])
            ),
            "n",
        ),
        value("share of halves", "share", within=[name]),
        Column("95 % within", lambda row: ", ".join(map(site_name, row[name]["within"]))),
    ]


def _differs(title: Any, name: str) -> Column:
    return Column(
        title, lambda row: "not tested" if row["differs"]["p"] is None else number(row["differs"][name]), "n"
    )


SERIES = [
    Column("measure", lambda row: MEASURES[row["measure"]], "row"),
    Column("languages", _pair),
    text("of", "called"),
    Column("independent units", lambda row: _groups(row), "n"),
    *_extremum("largest at", "highest"),
    *_extremum("smallest at", "lowest"),
    _differs(term("differs", "p, differs"), "p"),
    _differs("q", "q"),
]


def _likeness(documents: list[Document], results: Results) -> list[Any]:
    rows, within = [], []
    for document in documents:
        for pair in document("pairs"):
            of = {"site": document("site"), "languages": pair["languages"]}
            rows += [of | read for read in pair["reads"]]
            within += [
                of
                | {
                    "condition": condition_name(
                        gender["condition"], results.records("words"), pair["languages"]
                    )
                }
                | row
                for gender in pair["gender"]
                for row in gender["within"]
            ]
    shown = [
        table("likeness", LIKENESS, rows, label="SVCCA, PWCCA, Procrustes distance and principal angles")
    ]
    return shown + (
        [table("within", WITHIN, within, label="Gender directions within top subspaces")] if within else []
    )


def _against(name: str, title: Any) -> list[Column]:
    return [
        value(title, "value", within=[name]),
        value("shuffled", "bound", within=[name, "null"]),
        value("p", "p", within=[name, "null"]),
    ]


LIKENESS = [
    site(),
    Column("languages", lambda row: " and ".join(map(short_name, row["languages"]))),
    Column("read", lambda row: READ.get(row["read"], row["read"])),
    counted("n"),
    *_against("svcca", term("svcca", "SVCCA")),
    *_against("pwcca", "PWCCA"),
    *_against("procrustes", term("procrustes", "Procrustes")),
    value(term("subspace", "subspaces"), "value", within=["subspace"]),
    value("ceiling", "ceiling", within=["subspace"]),
    value("chance", "chance", within=["subspace"]),
]
WITHIN = [
    site(),
    text("condition", "condition"),
    Column("gender direction of", lambda row: short_name(row["direction"])),
    Column("in the subspace of", lambda row: short_name(row["subspace"])),
    value("share", "value"),
    Column("labels shuffled", lambda row: interval(row["null"]["q025"], row["null"]["q975"]), "n"),
    value("p", "p", within=["null"]),
]


def finding(series: list[Row], pair: tuple[str, ...], results: Results) -> Finding:
    """Where the languages are most and least alike, by the gender directions or else the captions; the rest as lines.

    No claim: its tests are in no family of the study's.
    """
    names, level, units = " and ".join(map(short_name, pair)), results.level, results.words["units"]
    tested = [of for of in series if of["differs"]["q"] is not None]
    if not tested:
        because = "; ".join(dict.fromkeys(of["differs"]["because"] for of in series))
        return Finding("warning", f"{names}: not tested over depth, because {because}.")
    head = min(tested, key=_rank)
    lines = _others([of for of in tested if of is not head], level, units)
    low, high = (_at(head, name) for name in ("lowest", "highest"))
    told = f"{MEASURES[head['measure']]}, {head['called']}"
    counted = f"{_groups(head)} independent {units}"
    if head["differs"]["q"] > level:
        same = f"is the same at all layers as far as {counted} tell (q = {plain(head['differs']['q'])})."
        title = f"{names}: the {told}, {same}"
        return Finding("null", title, lines)
    known = [point for point in head["points"] if point["null_high"] is not None]
    if known and not any(beyond(point) for point in known):
        everywhere = "" if len(known) == len(head["points"]) else " where that is known"
        return Finding(
            "null", f"{names}: the {told}, is beyond what chance gives at no layer{everywhere}.", lines
        )
    title = (
        f"{names} are farthest apart at {site_name(low['site'])} and nearest at {site_name(high['site'])} by the {told}: "
        f"{_valued(low)} and {_valued(high)} (n = {counted}, q ≤ {level_words(level)}; {_certainty(head)})."
    )
    if not known:
        lines.append("What chance gives is not known at any of these layers.")
    if head["measure"] in ("cosine", "transfer"):
        lines += read_all_the_same([head | {"condition": head["of"]}], results.records("words"))
    lines.append(
        "This describes the layers and claims nothing: q is corrected over the measures of this section alone, a layer's band "
        "of chance over nothing."
    )
    return Finding("description", title, lines)


def _valued(point: Row) -> str:
    return plain(point["value"], 2) + bracketed(
        {f"value_{name}": point[name] for name in ("low", "high")}, "value", 2
    )


def beyond(point: Row) -> bool:
    """Whether the value is above all that its null, which is known, gives."""
    return point["value"] > point["null_high"]


def _rank(of: Row) -> tuple[int, int]:
    """The masked caption's gender directions before others, these before transfer, CKA and retrieval; words before pictures."""
    order = ["caption", "alone", "text", "prompt", "caption_whole"]
    if of["measure"] in ("cka", "retrieval"):
        order = ["alone", "caption"]
    return list(MEASURES).index(of["measure"]), order.index(of["of"])


def _certainty(of: Row) -> str:
    return "; ".join(
        f"the {words} in {plain(100 * of[name]['share'], 0)} % of halves"
        + (
            f", 95 % within {', '.join(map(site_name, of[name]['within']))}"
            if len(of[name]["within"]) > 1
            else ""
        )
        for name, words in (("lowest", "smallest"), ("highest", "largest"))
    )


def _others(series: list[Row], level: float, units: str) -> list[str]:
    """Where the other series are smallest and largest: those of one answer in one line, most of them first."""
    same: dict[str, list[Row]] = {}
    for of in series:
        low, high = (site_name(of[name]["site"]) for name in ("lowest", "highest"))
        differs = of["differs"]["q"] <= level
        answer = (
            f"smallest at {low} and largest at {high}" if differs else "does not differ between the layers"
        )
        same.setdefault(answer, []).append(of)
    return [
        f"{answer[0].upper()}{answer[1:]}, q ≤ {level_words(level)}: {_counted(of, series)}."
        if of[0]["differs"]["q"] <= level
        else f"As far as these {units} tell, {answer}: {_counted(of, series)}."
        for answer, of in sorted(same.items(), key=lambda pair: -len(pair[1]))
    ]


def _counted(of: list[Row], series: list[Row]) -> str:
    """Each measure with how many of its series (directions, conditions) are meant."""
    return "; ".join(
        f"{name} ({sum(row['measure'] == measure for row in of)} of {total})"
        for measure, name in MEASURES.items()
        if any(row["measure"] == measure for row in of)
        for total in [sum(row["measure"] == measure for row in series)]
    )
