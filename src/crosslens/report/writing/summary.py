"""The written summary: what was studied, the answers, the claims, and by question what the page says, with its tables."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from crosslens.questions import STUDIED
from crosslens.report.answers.base import Answer
from crosslens.report.build import answers_of, definitions, results_of, terms_of
from crosslens.report.header import lead, subject, warnings
from crosslens.report.html import tag
from crosslens.report.links import PAGES, links_from
from crosslens.report.numbers import plain, score_words
from crosslens.report.page import render
from crosslens.report.sections.base import Results, Section
from crosslens.report.table import Table
from crosslens.report.writing.contents import Chapter, Part, chapters
from crosslens.report.writing.markdown import literal, piece_lines
from crosslens.report.writing.numbers import claims, not_asked, studied

KINDS = {
    "found": "Found.",
    "null": "Null result.",
    "warning": "Note.",
    "description": "Described, not tested.",
}
"""What stands before a finding: page and summary set them apart alike."""
CLAIMS, NOT_ASKED = "What may be claimed?", "What was not asked?"
TABLES = "tables"


def write_summary(
    *,
    study: str,
    settings: dict[str, Any],
    source: dict[str, Any],
    sections: Sequence[str],
    shape: dict[str, int | None],
    unasked: dict[str, str],
    absent: dict[str, str],
    files: dict[str, dict[str, Path]],
    shown: dict[str, dict[str, str]],
    out: Path,
) -> None:
    """Write `summary.md` and `summary.html` to the folder `out`.

    shape: sizes of the model, name -> number. unasked: sections of the study's file that ask for what was not measured -> what
    that is. shown: as `files`, with the paths under results/. The rest is as of `report.build.build_report`. Sentences are
    those of the page's sections and answers, tables too. Raises InputError as the page does.
    """
    results = results_of(study, settings, source, files, absent)
    told = Summary(results, chapters(results, sections, shape, shown), shape, unasked)
    out.mkdir(parents=True, exist_ok=True)
    (out / "summary.md").write_text("\n".join(told.markdown()), encoding="utf-8")
    (out / "summary.html").write_text(told.html(), encoding="utf-8")


class Summary:
    """One study, to be written in either form."""

    def __init__(
        self,
        results: Results,
        written: Sequence[Chapter],
        shape: dict[str, int | None],
        unasked: dict[str, str],
    ):
        self.results, self.chapters = results, written
        self.answers = answers_of(results)
        self.studied = studied(results, shape)
        self.claims = claims(results) if results.summary("claims") else None
        self.unasked = not_asked(unasked) if unasked else None
        self.terms = terms_of(part.section for chapter in written for part in chapter.parts)

    def markdown(self) -> Iterator[str]:
        """Line by line."""
        results = self.results
        yield from (f"# {literal(results.study)}: {subject(results)}", "", literal(lead(results)), "")
        yield from (f"- [{literal(words)}]({address})" for address, words in self._links())
        yield ""
        for warning in warnings(results):
            yield from (f"> {literal(warning)}", "")
        yield from self._studied_lines()
        if self.answers:
            yield from ("## In short", "")
            for answer in self.answers:
                yield from _answer_lines(answer)
        if self.claims:
            yield from (f"## {CLAIMS}", "", *piece_lines(self.claims))
        for chapter in self.chapters:
            if chapter.question != STUDIED:
                yield from (f"## {chapter.question.asks}", "")
                for part in chapter.parts:
                    yield from _part_lines(part)
        if self.unasked:
            yield from (f"## {NOT_ASKED}", "", *piece_lines(self.unasked))
        yield from ("## What each number is", "")
        for name, meaning in self.terms.values():
            yield f"- **{literal(name)}**: {literal(meaning.format(**results.words))}"
        yield ""

    def _studied_lines(self) -> Iterator[str]:
        yield from (f"## {STUDIED.asks}", "", *piece_lines(self.studied))
        for chapter in self.chapters:
            if chapter.question == STUDIED:
                for part in chapter.parts:
                    yield from _part_lines(part)

    def html(self) -> str:
        """The whole page."""
        results = self.results
        page = {"study": results.study, "subject": subject(results), "lead": lead(results)}
        page |= {"warnings": warnings(results), "links": self._links(), "findings": []}
        return render(page | {"answers": self.answers, "sections": [*self._sections()]})

    def _sections(self) -> Iterator[Section]:
        for chapter in self.chapters:
            name, asks = chapter.question.name, chapter.question.asks
            own = [self.studied] if chapter.question == STUDIED else []
            body = [*own, *(piece for part in chapter.parts for piece in _part_body(part))]
            yield Section(name, asks, asks, body)
            if chapter.question == STUDIED and self.claims:
                yield Section("claims", CLAIMS, CLAIMS, [self.claims])
        if self.unasked:
            yield Section("not_asked", NOT_ASKED, NOT_ASKED, [self.unasked])
        yield definitions(self.terms, self.results.words)

    def _links(self) -> list[tuple[str, str]]:
        return links_from("write_up", self.results.files)


def _answer_lines(answer: Answer) -> Iterator[str]:
    told = " ".join(map(literal, [*answer.lines]))
    yield from (f"### {answer.question}", "", f"**{literal(answer.verdict)}** {told}".strip(), "")
    if answer.dots:
        yield from (f"*{literal(answer.axis)}*", "", "| | value [95 % CI] | by chance |", "|---|---:|---:|")
        for dot in answer.dots:
            chance = f"{plain(dot.chance[0], 2)} to {plain(dot.chance[1], 2)}" if dot.chance else ""
            yield f"| {literal(dot.label)} | {score_words(dot._asdict())} | {chance} |"
        yield ""
    if answer.evidence:
        yield from (f"[What this rests on]({PAGES['page'][0]}#{answer.evidence})", "")


def _part_lines(part: Part) -> Iterator[str]:
    yield from (f"### {literal(part.section.heading)}", "")
    for finding in part.findings:
        words = " ".join(map(literal, finding.lines))
        yield f"- {KINDS[finding.kind]} **{literal(finding.title)}** {words}".rstrip()
    yield from [""] if part.findings else []
    files = {id(table): f"{TABLES}/{path}" for path, table in part.files.items()}
    for piece in part.pieces:
        yield from piece_lines(piece, files.get(id(piece), ""))
    tables = "".join(f"; [{TABLES}/{path}]({TABLES}/{path})" for path in part.files)
    read = "".join(f"; `{path}`" for path in part.read)
    yield from (f"Evidence: [the page]({PAGES['page'][0]}#{part.section.anchor}){tables}{read}", "")


def _part_body(part: Part) -> Iterator[Markup]:
    yield tag("h3", part.section.heading)
    if part.findings:
        items = (
            tag("li", tag("b", finding.title), *(f" {line}" for line in finding.lines), class_=finding.kind)
            for finding in part.findings
        )
        yield tag("ul", *items, class_="findings")
    yield from map(_lowered, part.pieces)
    links = [tag("a", "the page", href=f"{PAGES['page'][0]}#{part.section.anchor}")]
    links += [tag("a", path, href=f"{TABLES}/{path}") for path in part.files]
    links += [tag("code", path) for path in part.read]
    yield tag("p", "Evidence: ", Markup("; ").join(links), class_="note")


def _lowered(piece: Markup) -> Markup:
    """A heading by one rank, as the section's own stands above it."""
    if isinstance(piece, Table) or not piece.startswith("<h3"):
        return piece
    return Markup(piece.replace("<h3", "<h4", 1).removesuffix("</h3>") + "</h4>")
