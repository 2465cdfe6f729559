"""What features stand for, in words, and whether the words alone tell where they fire."""

from statistics import median
from typing import Any

from markupsafe import Markup

from crosslens.report.html import details, tag, term
from crosslens.report.labels import shown_label
from crosslens.report.links import feature_column
from crosslens.report.numbers import bracketed, number, plain
from crosslens.report.sections.base import Finding, Record, Results, Section
from crosslens.report.table import Column, bounded, judged, language, sae, site, table, value
from crosslens.summary.claims import describes, significant
from crosslens.summary.names import corpus_name, language_name, site_name
from crosslens.summary.reading import Document

ORDER = 88
TEXTS = "texts"
"""In which a feature fires: what a test of labels may have too few of."""
METHODS = {"ngrams": "n-grams", "endpoint": "model"}
TERMS = {
    "label": (
        "Label",
        "What a feature stands for in words, made from texts of select. N-grams: one to three words in a row, of one "
        "language, that the texts in which it fires have more often than the others (log-odds with a Dirichlet prior). "
        "Model: what a language model answered to texts of all languages in which the piece is marked on which it fires.",
    ),
    "detection": (
        "Detection",
        "The label alone must tell in which texts of test its feature fires: as many in which it does as in which it does "
        "not, nearly as long, one a {unit}. Balanced accuracy, chance .5, with Wilson's 95 % interval. N-grams: the text has "
        "one of them; model: asked. p: Fisher's exact test; q: corrected over all labels of the study. Other features' texts: "
        "the same label on the texts of other features of the SAE; a label that does as well there says nothing of its own.",
    ),
}


def section(results: Results) -> Section | None:
    """Where labels were asked for."""
    records = results.records("descriptions")
    if not records:
        return None
    methods = list(dict.fromkeys(record["method"] for record in records))
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record["site"], record["corpus"]), []).append(record)
    body = [
        tag("p", term("label", "Labels"), " of features, tried by ", term("detection", "detection"), "."),
        *_asked(results),
        _counts(records, results),
        *(
            details(f"{site_name(at)}, {corpus_name(corpus)}", _labels(rows, results), is_open=i == 0)
            for i, ((at, corpus), rows) in enumerate(groups.items())
        ),
    ]
    findings = [finding(method, [r for r in records if r["method"] == method], results) for method in methods]
    return Section("descriptions", "Labels", "What features stand for, in words", body, findings, TERMS)


def _asked(results: Results) -> list[Markup]:
    """Which model, and how many of its answers were none."""
    asked = [Document(path, "descriptions")("endpoint") for path in results.files["descriptions"].values()]
    asked = [one for one in asked if one]
    if not asked:
        return []
    names = sorted({name for one in asked for name in one["answered_by"]})
    prompts, unanswered = (sum(one[name] for one in asked) for name in ("prompts", "unanswered"))
    called = f" (answers are signed {', '.join(names)})" if names else ""
    words = f"Model: {asked[0]['model']}{called}, {plain(prompts)} questions, {plain(unanswered)} without an answer."
    return [tag("p", words)]


def _counts(records: list[Record], results: Results) -> Markup:
    """A row for each SAE, method and language."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    names = ("site", "corpus", "method", "language")
    for record in records:
        groups.setdefault(tuple(record[name] for name in names), []).append(record)
    rows = []
    for place, some in groups.items():
        tested = [record["accuracy"] for record in results.tested(some, TEXTS)]
        rows.append(
            dict(zip(names, place, strict=True))
            | {"features": len(some), "labelled": sum(r["label"] is not None for r in some)}
            | {"tested": len(tested), "tell": sum(describes(r, results.level) for r in some)}
            | {"median": median(tested) if tested else None}
        )
    columns = [
        site(),
        sae(),
        Column("label by", lambda row: METHODS[row["method"]]),
        language(),
        value("features", "features"),
        value("with a label", "labelled"),
        value("tested", "tested"),
        value("tell where it fires", "tell"),
        value("balanced accuracy, median", "median"),
    ]
    return table("descriptions", columns, rows, label="Labels per layer, dictionary, method and language")


def _labels(rows: list[Record], results: Results) -> Markup:
    columns = [
        feature_column(results, "row"),
        Column("named as", lambda row: "; ".join(row["named"]), "words"),
        Column("label by", lambda row: METHODS[row["method"]]),
        language(),
        Column("label", lambda row: shown_label(row) if row["label"] else "none", "words"),
        Column("fires in, of test", lambda row: _of(row["firing"], row["texts"]), "n"),
        value("pairs of texts", "pairs"),
        bounded(term("detection", "balanced accuracy"), "accuracy"),
        value("other features' texts", "shuffled"),
        judged("q"),
        Column("what it tells", lambda row: verdict(row, results), "words"),
    ]
    return table("labels", columns, rows, label="Labels", chosen=lambda row: describes(row, results.level))


def _of(some: int, all: int) -> Markup:
    return Markup("{} of {}").format(number(some), number(all))


def verdict(row: dict[str, Any], results: Results) -> str:
    """What a label is worth, in words."""
    if because := results.untested(row, TEXTS):
        return f"not tested, because {because}"
    if describes(row, results.level):
        return "where it fires"
    if significant(row, results.level):
        return "no more than of other features"
    return "no better than chance"


def finding(method: str, records: list[Record], results: Results) -> Finding:
    """How many labels of one method tell where their feature fires."""
    called = {"ngrams": "Labels by n-grams", "endpoint": "Labels by a model"}[method]
    tested = results.tested(records, TEXTS)
    if not tested:
        reasons = list(dict.fromkeys(results.untested(record, TEXTS) for record in records))
        return Finding(
            "warning", f"{called} were not tested.", [f"Because {reason}." for reason in reasons[:3]]
        )
    yes = [record for record in tested if describes(record, results.level)]
    best = max(yes or tested, key=lambda record: record["accuracy"])
    each = []
    for name in dict.fromkeys(record["language"] for record in records):
        own = [record for record in tested if record["language"] == name]
        each.append(f"{sum(record in yes for record in own)} of {len(own)} in {language_name(name)}")
    lines = [
        f"{'; '.join(each)}. {len(records) - len(tested)} of {len(records)} were not tested: they have no label, or their "
        "feature fires in too few texts or too many.",
        f"Best: {shown_words(best)} at {site_name(best['site'])}, {corpus_name(best['corpus'])} on "
        f"{language_name(best['language'])}, balanced accuracy {plain(best['accuracy'])}"
        f"{bracketed(best, 'accuracy')} in {best['pairs']} pairs of texts (q = {plain(best['q'])}).",
        results.corrected("descriptions", "descriptions"),
    ]
    if not yes:
        return Finding("null", f"{called}: none tells where its own feature fires.", lines)
    title = (
        f"{called} tell where their feature fires in {len(yes)} of {len(tested)} cases that could be tested."
    )
    return Finding("found", title, lines)


def shown_words(record: Record) -> str:
    """`#12 “nurse”`."""
    return f"#{record['feature']} “{record['label']}”"
