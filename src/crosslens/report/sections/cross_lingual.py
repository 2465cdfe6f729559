"""Do the languages share their gendered features?"""

from typing import Any

from markupsafe import Markup

from crosslens.report.html import missing, tag, term
from crosslens.report.leaks import read_all_the_same
from crosslens.report.numbers import bracketed, number, plain
from crosslens.report.sections.base import Finding, Record, Results, Section, both_names, by_languages
from crosslens.report.table import Column, counted, judged, sae, site, table, text, value
from crosslens.report.terms import D
from crosslens.summary.claims import agrees
from crosslens.summary.names import corpus_name, in_groups, site_name

ORDER = 70
NULLS = {"pairing": "pairs shuffled", "labels": "labels shuffled"}
TERMS = {
    "cross": (
        "Agreement of effects",
        "Correlation over features live in both languages of d in one language with d in the other, in an SAE of all languages. "
        "Range: r ± 1.96 of its standard deviations when {units} are drawn anew, all features kept; it is that of r as so many "
        "{units} tell it, and seldom holds r without noise. Nulls: partners of features shuffled; gender labels shuffled, alike "
        "in both languages: what these share without any gender.",
    ),
    "noise": (
        "Without noise",
        "d is measured on few {units}, and its noise pulls r towards 0, or, where the languages see the same {units}, towards "
        "what these share. Reliability: the correlation of d with itself on other {units}, by halves (Spearman–Brown). "
        "Without noise: r between halves over the root of both reliabilities; above 1 only by chance, and none where d "
        "is too unreliable to say.",
    ),
    "d": D,
}


def section(results: Results) -> Section | None:
    """Of a study with gender in several languages, even where nothing was measured."""
    records = results.records("cross_lingual")
    measured = [*results.records("gender"), *results.records("probes")]
    if records:
        body = _body(records, results)
        findings = [finding(of_pair, results) for (of_pair,) in by_languages(records)]
    elif len({record["language"] for record in measured}) > 1:
        body, findings = [missing("Not measured.")], []
    else:
        return None
    heading = "Do the languages share their gendered features?"
    return Section("cross-lingual", "Languages compared", heading, body, findings, terms=TERMS)


def _body(records: list[Record], results: Results) -> list[Any]:
    columns = [
        site(),
        sae(),
        Column("languages", both_names),
        text("condition", "condition"),
        Column("features", lambda row: "all live" if row["family"] == "live" else row["family"]),
        value("n", "features"),
        counted(results.words["units"]),
        Column("method", lambda row: row["method"].capitalize()),
        value("r [range]", "r", bounds=("low", "high")),
        Column("reliability", lambda row: _both(row["reliability"]), "n"),
        value(term("noise", "without noise"), "disattenuated"),
        *(column for null, words in NULLS.items() for column in _null(null, words)),
        judged("q"),
    ]
    words = " in an SAE of all languages. “All live”: features live in both languages of a pair; “chosen”: of these, significant "
    return [
        tag("p", term("cross", "Agreement of effects"), words, "on select in at least one."),
        table(
            "cross",
            columns,
            records,
            label="Correlation of effect sizes",
            caption="Correlation over features of Cohen's d in two languages, test split",
        ),
        results.shown(*(f"{site}/effect_sizes" for site in results.sites)),
    ]


def _both(reliability: list[float | None]) -> Any:
    return Markup(" · ").join(number(value, 2) for value in reliability)


def _null(name: str, words: str) -> list[Column]:
    within = ("null", name)
    return [
        value(f"null: {words}", "mean", bounds=("q025", "q975"), within=within),
        value("p", "p", within=within),
    ]


def finding(records: list[Record], results: Results) -> Finding:
    """Of one pair of languages: in how many cases their effects agree beyond both nulls."""
    pair = both_names(records[0])
    claimed = [row for row in records if (row["method"], row["family"]) == ("pearson", "live")]
    rows = results.tested(claimed)
    if not rows:
        because = results.reasons(claimed)
        return Finding("warning", f"Agreement of the effects of {pair}: not tested, because {because}.")
    best = max(rows, key=lambda row: row["r"])
    yes = [row for row in rows if agrees(row, results.level)]
    lines = [
        _agreement(best, results.words["units"]),
        f"Of each correlation the larger p of both nulls. {results.corrected('cross_lingual', 'cross_lingual')}",
    ]
    if len(yes) < len(rows):
        rest = (
            f"{site_name(row['site'])}, {corpus_name(row['corpus'])}, {row['condition']} (r = {plain(row['r'], 2)})"
            for row in rows
            if row not in yes
        )
        lines.append(f"Not beyond both nulls: {'; '.join(rest)}.")
    if len(rows) < len(claimed):
        lines.append(f"Not tested in {len(claimed) - len(rows)} cases, because {results.reasons(claimed)}.")
    lines += read_all_the_same(yes, results.records("words"))
    if yes and (shared := results.words["shared"]):
        lines.append(shared)
    if not yes:
        title = f"The gender effects of {pair} do not agree beyond chance."
        return Finding("null", title, lines)
    lines += results.controlled("effects", *best["languages"])
    title = f"The gender effects of {pair} agree beyond both nulls in {len(yes)} of {len(rows)} cases."
    return Finding("found", title, lines)


def _noiseless(row: Record) -> str:
    if row["disattenuated"] is None:
        return "what it is without the noise of d cannot be said, d is too unreliable"
    return f"without the noise of d, r = {plain(row['disattenuated'], 2)}"


def _agreement(row: Record, units: str) -> str:
    around = bracketed({"r_low": row["low"], "r_high": row["high"]}, "r", 2)
    nulls = ", ".join(
        f"{name} {plain(row['null'][null]['q025'], 2)} to {plain(row['null'][null]['q975'], 2)}"
        for null, name in (("pairing", "features paired at random"), ("labels", "labels shuffled"))
        if row["null"][null]["q025"] is not None
    )
    return (
        f"Highest at {site_name(row['site'])}, {corpus_name(row['corpus'])}, {row['condition']} condition: "
        f"r = {plain(row['r'], 2)}{around and f', range{around},'} over n = {plain(row['features'])} features live in both and "
        f"{plain(row['images'])} {units}{in_groups(row['images'], row['groups'])}{f' (nulls: {nulls})' if nulls else ''}; "
        f"{_noiseless(row)}."
    )
