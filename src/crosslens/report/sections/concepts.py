"""Which features stand for what the user lists?"""

from crosslens.report.html import details, missing, tag, term
from crosslens.report.links import feature_column
from crosslens.report.numbers import percent
from crosslens.report.sections.base import Results, Section
from crosslens.report.table import Column, language, sae, site, table, text, value
from crosslens.summary.claims import significant
from crosslens.summary.names import case_name, site_order
from crosslens.summary.reading import Document

ORDER = 87
TERMS = {
    "concept": (
        "Concept search",
        "For each list of {units} the ten features whose mean activation in these is furthest above that in all others, chosen "
        "on select. Score, shares and p are of test: p is one-sided, of the score with the list shuffled; q is over those of "
        "one list, SAE, language and layer.",
    )
}


def section(results: Results) -> Section | None:
    """Where lists were given."""
    files = results.files.get("concepts", {})
    if not files:
        return None
    rows, untested = [], []
    for key in sorted(files, key=lambda key: (site_order(key.split("/")[2]), key)):
        corpus, tongue, at = key.split("/")
        for concept in Document(files[key], "concepts")("concepts"):
            of = {"site": at, "corpus": corpus, "language": tongue, "concept": concept["concept"]}
            rows += [of | feature for feature in concept["features"]]
            untested += [of | concept] if concept["because"] else []
    found = [row for row in rows if significant(row, results.level)]
    lists = list(dict.fromkeys(row["concept"] for row in rows))
    without = [name for name in lists if name not in {row["concept"] for row in found}]
    body = [
        tag(
            "p",
            "Features that are stronger in the listed than in all others: ",
            term("concept", "concept search"),
            ".",
        )
    ]
    if untested:
        said = dict.fromkeys(f"{row['concept']}: {row['because']}" for row in untested)
        body.append(missing(f"Not tested, because of too few. {'. '.join(said)}."))
    if without:
        body.append(
            tag(
                "p",
                f"No feature tells these lists from the rest on test, after correction: {', '.join(without)}.",
            )
        )
    if found:
        body.append(
            table(
                "concepts",
                _columns(results),
                found,
                label="Features of concepts",
                caption="Those with q at or below the level",
            )
        )
    groups = dict.fromkeys((row["site"], row["corpus"], row["language"]) for row in rows)
    for at, corpus, tongue in groups:
        own = [row for row in rows if (row["site"], row["corpus"], row["language"]) == (at, corpus, tongue)]
        title = f"All ten of each list, {case_name(at, corpus, tongue)}"
        body.append(details(title, table("concept", _columns(results), own, label=title)))
    return Section("concepts", "Concepts", "Which features stand for what was listed?", body, terms=TERMS)


def _columns(results: Results) -> list[Column]:
    return [
        site(),
        sae(),
        language(),
        text("list", "concept"),
        feature_column(results),
        value("score", "score", 2),
        Column("fires inside", lambda row: percent(row["share_inside"], 0), "n"),
        Column("outside", lambda row: percent(row["share_outside"], 0), "n"),
        value("p", "p"),
        value("q", "q"),
    ]
