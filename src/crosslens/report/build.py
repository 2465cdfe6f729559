"""The stage `report`: asks the sections what they have to show, and writes the page."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from crosslens.registry import member
from crosslens.report.answers import biased, layer, shared, steered
from crosslens.report.answers.base import Answer
from crosslens.report.header import lead, subject, warnings
from crosslens.report.html import tag
from crosslens.report.links import links_from
from crosslens.report.page import render
from crosslens.report.pictures import load_pictures
from crosslens.report.sections.base import Results, Section
from crosslens.report.words import words_of
from crosslens.summary.reading import Document

SECTIONS = "crosslens.report.sections"
QUESTIONS = (biased, shared, layer, steered)
LAST = 1000
"""Sections of this ORDER or beyond stand behind the definitions."""


def build_report(
    *,
    study: str,
    settings: dict[str, Any],
    source: dict[str, Any],
    sections: Sequence[str],
    captions: dict[str, str],
    files: dict[str, dict[str, Path]],
    figures: dict[str, Path],
    out: Path,
    absent: dict[str, str] | None = None,
) -> None:
    """Write the report of `study` to `out`, one HTML file that needs nothing else.

    settings: the study's settings. source: what to say of the model (name -> words). sections: members of
    report.sections that may have something to show. captions, figures: as in `report.pictures.load_pictures`. files:
    kind -> key -> file or folder of all that is shown, the key `{corpus}/{language}/{site}` or those of them that the
    kind has; `dataset_summary` and `summary` must be there. absent: kind -> why the study
    has none. Raises InputError where a file or field is missing, and where files of different SAEs are mixed.
    """
    results = results_of(study, settings, source, files, absent)
    results = replace(
        results, pictures=load_pictures(figures, captions, results.words, files.get("plots", {}).get(""))
    )
    made = [
        (module, section)
        for module in modules_of(sections)
        if (section := module.section(results)) is not None
    ]
    findings = [finding for _, section in made for finding in section.findings]
    shown = [section for module, section in made if module.ORDER < LAST]
    shown.append(definitions(terms_of(section for _, section in made), results.words))
    shown += [section for module, section in made if module.ORDER >= LAST]
    page = {"study": study, "subject": subject(results), "lead": lead(results), "warnings": warnings(results)}
    page |= {"links": links_from("page", files), "findings": findings, "sections": shown}
    Path(out).write_text(render(page | {"answers": answers_of(results)}), encoding="utf-8")


def results_of(
    study: str,
    settings: dict[str, Any],
    source: dict[str, Any],
    files: dict[str, dict[str, Path]],
    absent: dict[str, str] | None = None,
) -> Results:
    """What sections read, without pictures; arguments as of `build_report`."""
    dataset = Document(files["dataset_summary"][""], "dataset_summary")
    summary = Document(files["summary"][""], "summary")
    return Results(study, settings, source, files, {}, summary, dataset, words_of(dataset), absent or {})


def modules_of(sections: Sequence[str]) -> list[ModuleType]:
    """Members of report.sections, in the order of the page."""
    return sorted((member(SECTIONS, name) for name in sections), key=lambda module: module.ORDER)


def terms_of(sections: Iterable[Section]) -> dict[str, tuple[str, str]]:
    """All that the sections link of the definitions."""
    return {anchor: term for section in sections for anchor, term in section.terms.items()}


def answers_of(results: Results) -> list[Answer]:
    """What a study of gender is asked; none of another."""
    asked = results.has_gender or results.records("transfer") or results.records("agreement")
    return [module.answer(results) for module in QUESTIONS] if asked else []


def definitions(terms: dict[str, tuple[str, str]], words: dict[str, str]) -> Section:
    """What each number of the page is; terms: anchor -> (term, definition with fields of `words`)."""
    entries = [
        tag("dt", name, id=f"def-{anchor}") + tag("dd", definition.format(**words))
        for anchor, (name, definition) in terms.items()
    ]
    body = [tag("dl", *entries, class_="glossary")]
    return Section("methods", "Definitions", "What each number is", body)
