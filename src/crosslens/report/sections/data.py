"""What the study is made of: counts, agreement of the languages, quarantine."""

from collections import Counter
from typing import Any

from crosslens.report.html import tag, term
from crosslens.report.numbers import number, plain
from crosslens.report.sections.base import Results, Section
from crosslens.report.table import Column, table, text
from crosslens.report.terms import SITE
from crosslens.summary.names import language_name
from crosslens.summary.reading import Document

ORDER = 10
SOURCES = {
    "column": "the gender is given by the source",
    "caption": "the gender is derived from the words of the captions",
}
TERMS = {
    "site": SITE,
    "splits": (
        "Splits",
        "{Resampled} are divided once: SAEs and probes learn on train, features are chosen on select, and every number "
        "shown here comes from test. All {of_unit} of one, in all languages, fall into one split.",
    ),
}


def section(results: Results) -> Section:
    """Every study has data."""
    summary, of = results.dataset, results.words
    counts = summary("counts")
    asked = summary("gender_source") != "none"
    label = f"{of['Units']} ({of['samples']}) per split{' and gender' if asked else ''}"
    genders = list(dict.fromkeys(cell["gender"] for cell in counts)) if asked else []
    splits = list(dict.fromkeys(cell["split"] for cell in counts))
    rows = [
        {"split": name} | {gender: _sum(counts, split, gender) for gender in [*genders, None]}
        for name, split in [*((split, split) for split in splits), ("all", None)]
    ]
    columns = [text("split", "split", "row"), *(_counted(gender) for gender in [*genders, None])]
    caption = tag("span", label, "; ", term("splits", "splits"), f" are by {of['unit']}")
    body = [
        tag("p", _words(summary, of)),
        table("dataset", columns, rows, label=label, caption=caption),
    ]
    agreement = [*_languages(summary, of["units"]), *_column(summary, of["units"])]
    if agreement:
        body += [
            tag("h3", "Do the captions of the languages tell the same gender?"),
            tag("ul", *(tag("li", line) for line in agreement)),
        ]
    for folder in results.files.get("mt_geneval", {}).values():
        body.append(tag("p", _sentences(Document(folder / "source.json", "mt_geneval_source"))))
    body += [tag("h3", "Quarantine"), *_quarantine(summary("quarantine"), of)]
    return Section("data", "Data", "Data", body, terms=TERMS)


def _sentences(source: Document) -> str:
    """What of MT-GenEval was used."""
    used = sum(source("sentences").values())
    why = Counter(each["why"] for each in source("left_out"))
    words = f"MT-GenEval: {plain(used)} sentences, each in both genders, their test those of the data set"
    if source("messages"):
        words += f"; {plain(source('messages'))} messages of software in train, of no gender, for SAEs alone"
    if not why:
        return f"{words}."
    reasons = ", ".join(f"{plain(count)} because {reason}" for reason, count in why.most_common())
    return f"{words}. Left out: {reasons}."


def _counted(gender: str | None) -> Column:
    def show(row: dict[str, Any]) -> Any:
        return number(row[gender]["images"]) + " (" + number(row[gender]["rows"]) + ")"

    return Column("all" if gender is None else gender, show, "n")


def _quarantine(dropped: list[dict[str, str]], of: dict[str, str]) -> list[Any]:
    if not dropped:
        return [tag("p", of["clean"])]
    one = len(dropped) == 1
    words = f"{len(dropped)} {of['unit'] if one else of['units']} could not be used and {'was' if one else 'were'}"
    return [
        tag("p", f"{words} dropped in all languages:"),
        tag(
            "ul",
            *(tag("li", tag("code", item["image_id"]), f": {item['reason']}") for item in dropped),
            class_="quarantine",
        ),
    ]


def _words(summary: Document, words: dict[str, str]) -> str:
    parts = [
        words["counted"].format(
            images=plain(summary("images")),
            rows=plain(summary("rows")),
            languages=", ".join(language_name(language) for language in summary("languages")),
        )
    ]
    if categories := {cell["category"] for cell in summary("counts") if cell["category"]}:
        parts.append(f"{plain(len(categories))} categories")
    source = summary("gender_source")
    if source == "none":
        return "; ".join(parts) + "."
    parts.append(SOURCES.get(source, source))
    parts += masked_words(summary)
    return (
        f"{'; '.join(parts)}. "
        f"A {words['unit']} whose gender is not known is counted as unknown and never as one of the others."
    )


def masked_words(summary: Document) -> list[str]:
    """What is left out when captions are pooled, and in which languages that cannot be all."""
    if summary("mask") == "label_spans":
        return ["masked are exactly the words that the source marks as telling the gender"]
    hits = summary("lexicon_hits")
    if not hits:
        return ["there is no lexicon, and no word is masked"]
    bare = [language_name(code) for code, told in hits.items() if not told["female"] + told["male"]]
    none = (
        [f"the lexicon finds no label word in {' and in '.join(bare)}: none is masked there"] if bare else []
    )
    if summary("mask") != "agreement":
        return none if len(bare) == len(hits) else ["masked are the words of the lexicons alone", *none]
    known = [code for code, told in hits.items() if told["agreement_known"]]
    agreeing = ", ".join(f"{plain(hits[code]['agreeing'])} in {language_name(code)}" for code in known)
    words = "masked are the words of the lexicons" + (
        f" and what agrees with a person ({agreeing})" if known else ""
    )
    rest = [language_name(code) for code in hits if code not in known]
    if rest:
        words += f"; of {', '.join(rest)} no forms that agree are known here, and none are masked"
    return [words, *none]


def _sum(counts: list[dict[str, Any]], split: str | None, gender: str | None) -> dict[str, int]:
    cells = [cell for cell in counts if split in (None, cell["split"]) and gender in (None, cell["gender"])]
    return {name: sum(cell[name] for cell in cells) for name in ("images", "rows")}


def _languages(summary: Document, units: str) -> list[str]:
    lines = []
    for pair in summary("agreement", "languages"):
        first, second = language_name(pair["first"]), language_name(pair["second"])
        lines.append(
            f"{first} and {second}: the same answer for {plain(pair['agree'])} of {plain(pair['images'])} {units} "
            f"(κ = {plain(pair['kappa'])}); where both name a gender, {plain(pair['decided_agree'])} of "
            f"{plain(pair['decided'])} (κ = {plain(pair['kappa_decided'])}); {plain(pair['contradict'])} contradict "
            "each other."
        )
    return lines


def _column(summary: Document, units: str) -> list[str]:
    return [
        f"{_derived(row['derived'])} captions and the source's gender: the same for {plain(row['agree'])} of "
        f"{plain(row['images'])} {units} (κ = {plain(row['kappa'])}); {plain(row['contradict'])} contradict it."
        for row in summary("agreement", "column")
    ]


def _derived(name: str) -> str:
    return "All languages'" if name == "combined" else language_name(name)
