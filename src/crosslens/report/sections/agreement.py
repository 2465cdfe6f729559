"""Does the model go on as the gender that it has read asks?"""

from typing import Any

from crosslens.report.html import tag, term
from crosslens.report.numbers import level_words, percent_words, plain
from crosslens.report.sections.base import Finding, Record, Results, Section
from crosslens.report.table import Column, Row, judged, language, scored, table, value
from crosslens.report.terms import CI
from crosslens.summary.claims import goes_on, significant
from crosslens.summary.names import language_name
from crosslens.summary.reading import Document

ORDER = 35
TERMS = {
    "ci": CI,
    "log-odds": (
        "y, D, m",
        "y = log P(female form) − log P(male form) of a gendered word, behind what stands before it in its sentence, in nats. "
        "D = y behind the sentence of a woman − y behind that of a man, which differ in earlier gendered words alone: above 0 "
        "the model has changed its mind the way gender asks, however common the two forms are. m = y, or −y behind the "
        "sentence of a man: above 0 the form that agrees is the likelier of the two. Chance is .5 for both.",
    ),
    "alone": (
        "With nothing read",
        "The same two forms behind no sentence, only what the word is written onto: how far they are told apart by one "
        "being the more common. Over both genders that is right half of the time by construction.",
    ),
    "lean": (
        "Lean",
        "Mean of y over both sentences: above 0 towards the female form, below 0 towards the male one, whatever was read.",
    ),
    "agreement-p": (
        "p, q of agreement",
        "p: the two sentences of a pair change places, all words of a pair together; statistic: mean over pairs of the share "
        "with D > 0. q: over the languages and all claims of the study, test sentences.",
    ),
}
SETS = {"test": "test", "all": "all"}


def section(results: Results) -> Section | None:
    """Where sentences come in two genders with their gendered words marked."""
    files = results.files.get("agreement", {})
    documents = [Document(folder / "agreement.json", "agreement") for folder in files.values()]
    if not documents:
        return None
    claimed = {record["language"]: record for record in results.records("agreement")}
    rows = [
        {"language": doc("language"), "set": name, **doc("of", name)}
        # all sentences, which are no test of the study's, stand beside
        | {"test": claimed[doc("language")] if name == "test" else _shown(doc("of", name))}
        for doc in documents
        for name in SETS
    ]
    strata = [{"language": doc("language"), **row} for doc in documents for row in doc("of", "all", "strata")]
    body = [
        tag(
            "p",
            "At every gendered word behind another one of its sentence the model has two forms to go on with. The sentence of "
            "a woman and that of a man differ in the gendered words before it alone, so that ",
            term("log-odds", "D"),
            " is what these change. Claimed is what test shows; as nothing is fitted to the answers or chosen by them, all "
            "sentences stand beside it, and divide into strata.",
        ),
        tag("p", " ".join(_counted(doc) for doc in documents)),
        results.shown("agreement"),
        table(
            "agreement", COLUMNS, rows, label="Agreement per language", caption=_caption("Shares of words")
        ),
        table(
            "agreement-strata",
            STRATA,
            strata,
            label="Agreement by distance and pieces",
            caption=_caption(
                "All sentences, by words from the first gendered one, by pieces of the longer form, and by gendered words before"
            ),
        ),
    ]
    findings = [_finding(record, results) for record in results.records("agreement")]
    return Section(
        "agreement", "Agreement", "Does the model go on as gender asks?", body, findings, terms=TERMS
    )


def _caption(words: str) -> Any:
    return tag("span", f"{words}; ", term("ci", "95 % CI"), " over sentences in brackets")


def _shown(of: Row) -> Row:
    return {"p": of["p"], "q": None, "q_family": None}


SHARES = [
    scored(term("log-odds", "D > 0"), "agrees"),
    scored("m > 0", "own", "both"),
    scored("of a woman", "own", "female"),
    scored("of a man", "own", "male"),
]
COUNTS = [value("words", "targets"), value("sentences", "sentences")]
COLUMNS = [
    language("row"),
    Column("of", lambda row: SETS[row["set"]]),
    *COUNTS,
    *SHARES,
    value("D > 0, by sentence", "by_sentence"),
    scored(term("alone", "female form the likelier, nothing read"), "alone", "female"),
    scored("mean D, nats", "difference"),
    scored(term("lean", "lean, nats"), "lean"),
    judged(term("agreement-p", "p"), "p", within=["test"]),
]
STRATUM = {"distance": "words on", "pieces": "pieces", "before": "gendered words before"}
STRATA = [
    language("row"),
    Column("stratum", lambda row: f"{STRATUM[row['by']]}: {_range(row)}"),
    *COUNTS,
    *SHARES,
    scored("mean D, nats", "difference"),
]


def _range(row: Row) -> str:
    first, last = row["first"], row["last"]
    return f"{first} or more" if last is None else f"{first}" if first == last else f"{first} to {last}"


def _counted(doc: Document) -> str:
    left_out = ", ".join(f"{plain(count)} {why}" for why, count in doc("left_out").items() if count)
    words = f"{language_name(doc('language'))}: {plain(doc('of', 'all', 'targets'))} words of {plain(doc('sentences'))} sentences"
    return f"{words}; sentences left out: {left_out}." if left_out else f"{words}."


def _finding(record: Record, results: Results) -> Finding:
    name, level = language_name(record["language"]), results.level
    if because := results.untested(record, "test sentences"):
        why = f"{name}: whether the model goes on as gender asks was not tested, because {because}."
        return Finding("warning", why)
    agrees, own, alone = record["agrees"], record["own"], record["alone"]
    both, female, male = (percent_words(own[name]) for name in ("both", "female", "male"))
    lines = [
        f"Of {plain(record['targets'])} words of {plain(record['sentences'])} test sentences the odds of the female form are "
        f"higher behind the sentence of a woman than behind that of a man in {percent_words(agrees)}, by "
        f"{plain(record['difference']['value'], 2)} nats on average; each sentence counted once, in "
        f"{100 * record['by_sentence']:.1f} % (q = {plain(record['q'])}).",
        f"The form that agrees is the likelier of the two in {both}: {female} behind the "
        f"sentence of a woman, {male} behind that of a man. With nothing read, the female form is the likelier "
        f"in {percent_words(alone['female'])} of the pairs.",
        results.corrected("agreement", "agreement"),
    ]
    if not significant(record, level):
        title = (
            f"{name}: what the model goes on with does not follow the gender that it has read beyond chance."
        )
        return Finding("null", title, lines)
    how = "as" if goes_on(record, level) else "against what"
    title = f"{name}: the model goes on {how} the gender that it has read asks, beyond chance (q ≤ {level_words(level)})."
    return Finding("found", title, lines)
