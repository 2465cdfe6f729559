"""What the features of every dictionary do, gender or not: the first of each ranking, and those that stand for a category."""

from typing import Any

from markupsafe import Markup

from crosslens.report.html import details, missing, tag, term
from crosslens.report.labels import Labels, labelled, told_labels
from crosslens.report.links import feature_name
from crosslens.report.numbers import level_words, number, plain
from crosslens.report.sections.base import Finding, Record, Results, Section
from crosslens.report.table import Column, judged, language, sae, site, table, text, value
from crosslens.summary.names import case_name, corpus_name, direction, language_name, site_name
from crosslens.summary.reading import Document

ORDER = 85
FIRST = 3
"""Features shown of each ranking."""
TERMS = {
    "ranking": (
        "Rankings",
        "Features in order of one score on select: how strongly they fire where they do, how often, how much more in some "
        "samples than in most, and, composite, how often times how strongly. Numbers behind them are the score.",
    ),
    "together": (
        "Fire together",
        "Of the features that fire in 1 to 95 % of the samples, those best by frequency times strength. Jaccard: samples in "
        "which both fire over those in which either does. PMI: log₂ of how many times more often both fire than by chance.",
    ),
    "specialist": (
        "Specialist",
        "The feature that best stands for one category: chosen on select out of all features, scored on test by the {units} "
        "of the category that it fires in minus the others that it fires in. A category has one where that is above 0. "
        "By chance: the same with the categories permuted within each half.",
    ),
}


def section(results: Results) -> Section | None:
    """Where SAEs were analysed."""
    records = results.records("rankings")
    if not records:
        return None
    documents = [
        {"site": key.split("/")[2], "corpus": key.split("/")[0], "language": key.split("/")[1]}
        | {"document": Document(folder / "rankings.json", "rankings")}
        for key, folder in results.files.get("features", {}).items()
    ]
    body = [
        tag("h3", "Rankings"),
        tag("p", "The first features of each ", term("ranking", "ranking"), "."),
        _rankings(documents, results, told_labels(results)),
        tag("h3", "Specialists"),
        *_specialists(records, documents, results),
        results.shown("specialists"),
        tag("h3", "Features that fire together"),
        *_coactivation(documents, results),
    ]
    findings = [finding(records, results)]
    return Section(
        "rankings", "Rankings", "Rankings and specialists", body, [f for f in findings if f], TERMS
    )


def _rankings(documents: list[dict[str, Any]], results: Results, labels: Labels) -> Markup:
    names = list(dict.fromkeys(name for one in documents for name in one["document"]("rankings")))

    def first(name: str) -> Column:
        def show(row: dict[str, Any]) -> Markup:
            shown = row["document"]("rankings").get(name, {"features": []})["features"][:FIRST]
            place = (row["site"], row["corpus"], row["language"])
            return Markup(", ").join(
                Markup("{} ({})").format(
                    labelled(_name(row, entry["feature"], results), labels.get((*place, entry["feature"]))),
                    number(entry["score"], 2),
                )
                for entry in shown
            )

        return Column(name, show)

    columns = [site(), sae(), language(), *map(first, names)]
    return table("rankings", columns, documents, label="First features of each ranking")


def _name(one: dict[str, Any], feature: int, results: Results) -> Markup:
    return feature_name(results, one["corpus"], one["site"], feature)


def _coactivation(documents: list[dict[str, Any]], results: Results) -> list[Markup]:
    """The pairs of features that fire most in the same samples."""

    def pair(row: dict[str, Any]) -> Markup:
        return Markup(" and ").join(_name(row, row[side], results) for side in "ab")

    rows = [
        {**{name: one[name] for name in ("site", "corpus", "language")}, "measure": measure, **found}
        for one in documents
        for measure in ("jaccard", "pmi")
        for found in one["document"]("coactivation", measure)[:FIRST]
    ]
    if not rows:
        return [
            missing(
                "No two features that are neither rare nor everywhere fire together in five samples of select."
            )
        ]
    columns = [
        site(),
        sae(),
        language(),
        Column("chosen by", lambda row: {"jaccard": "Jaccard", "pmi": "PMI"}[row["measure"]]),
        Column("features", pair),
        value("Jaccard", "jaccard", 2),
        value("PMI (bits)", "pmi", 2),
        value("samples with both", "both"),
    ]
    return [
        tag(
            "p",
            "Pairs chosen on select by how much they ",
            term("together", "fire together"),
            "; numbers of test.",
        ),
        table("coactivation", columns, rows, label="Features that fire together"),
    ]


def _specialists(records: list[Record], documents: list[dict[str, Any]], results: Results) -> list[Markup]:
    tested = [record for record in records if record["specialists"] is not None]
    if not tested:
        words = "Not tested, because the samples have fewer than two categories with images in both select and test."
        return [missing(words)]
    columns = [
        site(),
        sae(),
        language(),
        value("categories", "categories"),
        value("with a specialist", "specialists"),
        value("by chance", "specialists_by_chance", 1),
        judged("p", "p"),
        judged("q"),
    ]
    return [
        tag(
            "p", "Features that stand for one category (", term("specialist", "specialists"), "), test split."
        ),
        table("specialists", columns, tested, label="Categories with a specialist"),
        *(_shown(one, results) for one in documents if one["document"]("specialists", "features")),
    ]


def _shown(one: dict[str, Any], results: Results) -> Markup:
    """The specialists of one dictionary, language and layer, with what each fires on most."""
    document = one["document"]
    examples = {entry["feature"]: entry["examples"] for entry in document("examples", "features")}

    def share(name: str) -> Any:
        return lambda row: Markup("{} of {}").format(number(row[name]), number(row[f"n_{name}"]))

    def most(row: dict[str, Any]) -> Markup:
        found = examples.get(row["feature"], [])
        words = found[0]["caption"] if found else "no example is stored"
        return tag("span", words, dir=direction(one["language"]), lang=one["language"])

    columns = [
        text("category", "category", "row"),
        Column("feature", lambda row: _name(one, row["feature"], results), "n"),
        Column("specialist", lambda row: "yes" if row["specialist"] else "no"),
        Column("fires inside", share("inside"), "n"),
        Column("fires outside", share("outside"), "n"),
        value("score", "score"),
        value("by chance", "score_by_chance", 1),
        value("p", "p"),
        value("q", "q"),
        Column("fires most on", most, "words"),
    ]
    title = case_name(one["site"], one["corpus"], one["language"])
    rows = sorted(document("specialists", "features"), key=lambda row: (row["q"], row["category"]))
    return details(title, table("specialist", columns, rows, label=f"Specialists, {title}"))


def finding(records: list[Record], results: Results) -> Finding | None:
    """In how many cases more categories have a specialist than by chance."""
    claimed = [record for record in records if record["q"] is not None]
    tested = results.tested(claimed)
    if not claimed:
        return None
    if not tested:
        return Finding("warning", f"Specialists were not tested, because {results.reasons(claimed)}.")
    yes = [record for record in tested if record["q"] <= results.level]
    best = max(tested, key=lambda record: record["specialists"] - record["specialists_by_chance"])
    line = (
        f"Most above chance at {site_name(best['site'])}, {corpus_name(best['corpus'])} on "
        f"{language_name(best['language'])}: {best['specialists']} of {best['categories']} categories, "
        f"{plain(best['specialists_by_chance'], 1)} by chance (q = {plain(best['q'])})."
    )
    lines = [line, results.corrected("rankings", "specialists")]
    if not yes:
        title = "No dictionary has features that stand for one category beyond chance."
        return Finding("null", title, lines)
    title = (
        f"There are features that stand for one category, more than by chance (q ≤ {level_words(results.level)}), in "
        f"{len(yes)} of {len(tested)} cases of layer, dictionary and language."
    )
    return Finding("found", title, lines)
