"""Do features tell the gender of the person, or of the word?"""

from crosslens.report.html import tag, term
from crosslens.report.numbers import level_words, plain
from crosslens.report.sections.base import Record, Results, Section
from crosslens.report.table import Column, judged, language, sae, site, table, value
from crosslens.summary.claims import significant
from crosslens.summary.names import corpus_name, short_name, site_name

ORDER = 52
SOURCES = {
    "crosslens": "a word list and from endings (its sources and how often they are right: crosslens.data.morphology)",
    "camel_tools": "the lexicon of CAMeL Tools, the likeliest reading of each word out of its sentence",
}
"""Morphological layer -> where it has genders from."""
TERMS = {
    "semantic": (
        "Semantic",
        "The mean activation over the words of a text that are not masked and whose grammatical gender is known goes with the "
        "gender of the person, the share of feminine words and the words' length taken out; labels shuffled between independent "
        "{units}.",
    ),
    "grammatical": (
        "Grammatical",
        "The mean activation on a noun for a thing (سيارة, a car, feminine; كتاب, a book, masculine) goes with the noun's "
        "gender, its length and the lean of its texts towards women taken out. Genders are shuffled between nouns, so that a "
        "feature of one word is none; it takes at least five nouns on which a feature fires.",
    ),
    "few": (
        "Few nouns",
        "Does not tell the person's gender, and fires on fewer than five nouns for things, so that grammar was not tested.",
    ),
}


def section(results: Results) -> Section | None:
    """Where a language has a morphological layer."""
    records = results.records("grammar")
    if not records:
        return None
    tested = [record for record in records if record["classes"]["all"]]
    rows = [
        record | {"part": of, "of": name, "counted": record["classes"][of]}
        for record in tested
        for of, name in (("all", "all that fire enough"), ("gendered", "gender features"))
    ]
    body = [
        tag("p", *(words for words in (_counted(results, tested), _untested(records)) if words)),
        tag(
            "p",
            "Gender features: significant on select, with the caption pooled. The grammatical gender of "
            f"words is from {SOURCES[records[0]['morphology']]}. Languages without grammatical gender of nouns "
            "(English) and those without a morphological layer are not in this table.",
        ),
        table("grammar", COLUMNS, rows, label="Semantic and grammatical gender of features") if rows else "",
        results.shown("grammar"),
    ]
    return Section("grammar", "Grammar", "Gender of the person, or of the word?", body, terms=TERMS)


def _untested(records: list[Record]) -> str:
    """Why, once for each reason."""
    reasons: dict[str, list[str]] = {}
    for record in records:
        for test in ("semantic", "grammatical"):
            if because := record[test]["because"]:
                reasons.setdefault(f"{test}: not tested, because {because}", []).append(_where(record))
    return " ".join(f"{reason} ({'; '.join(where)})." for reason, where in reasons.items())


def _counted(results: Results, measured: list[Record]) -> str:
    """What the numbers of grammatical features allow to be said."""
    if not measured:
        return ""
    tested = results.tested(measured, "nouns")
    if not tested:
        return f"Grammatical features were not tested, because {results.reasons(measured, 'nouns')}. "
    yes = [r for r in tested if significant(r, results.level) and r["grammatical"]["significant"]]
    alone = f"q ≤ {level_words(results.level)} over these cases alone: it is none of the claims that are corrected for each other"
    if not yes:
        return (
            f"In none of {len(tested)} cases (layers and SAEs) are features that tell the grammatical gender of nouns for things "
            f"more than with genders shuffled between the nouns ({alone}). "
        )
    told = "; ".join(
        f"{_where(record)} {plain(record['grammatical']['significant'])} of {plain(record['grammatical']['features'])} tested"
        for record in yes
    )
    return (
        f"In {len(yes)} of {len(tested)} cases features that tell the grammatical gender of nouns for things are more than with "
        f"genders shuffled between the nouns ({alone}): {told}. "
    )


def _where(record: Record) -> str:
    return f"{site_name(record['site'])}, {corpus_name(record['corpus'])}, {short_name(record['language'])}"


def _kind(kind: str, title: object) -> list[Column]:
    return [
        value(title, kind, within=("counted", "counts")),
        value("by chance", kind, 1, within=("counted", "chance")),
    ]


def _of_all(column: Column) -> Column:
    """Once for each case: on all its features."""
    return Column(column.title, lambda row: column.show(row) if row["part"] == "all" else "", column.style)


COLUMNS = [
    site(),
    sae(),
    language(),
    Column("of", lambda row: row["of"]),
    value("features", "features", within=("counted",)),
    *_kind("semantic", term("semantic", "semantic")),
    *_kind("grammatical", term("grammatical", "grammatical")),
    *_kind("both", "both"),
    value("neither", "neither", within=("counted", "counts")),
    value(term("few", "few nouns"), "few_words", within=("counted", "counts")),
    _of_all(judged("p, grammatical", "p")),
    _of_all(judged("q")),
]
