"""What a section is made from, and what it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from markupsafe import Markup

from crosslens.report.controlled import at_their_best, beside_controls, rows_of
from crosslens.report.html import picture
from crosslens.report.numbers import level_words, plain
from crosslens.report.pictures import Picture
from crosslens.summary.names import short_name, site_order
from crosslens.summary.reading import Document
from crosslens.summary.tested import untested

Record = dict[str, Any]


def by_pair(records: list[Record]) -> dict[tuple[str, str], list[Record]]:
    """(source, target) -> its records, in their order."""
    pairs: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        pairs.setdefault((record["source"], record["target"]), []).append(record)
    return pairs


def languages_of(record: Record) -> tuple[str, ...]:
    """The two languages that a record compares, or the one that it is of."""
    if "languages" in record:
        return tuple(record["languages"])
    return (record["source"], record["target"]) if "source" in record else (record["language"],)


def by_languages(*lists: list[Record]) -> Iterator[tuple[list[Record], ...]]:
    """The records of each two languages out of each list, in the order of the first; what is of one language is left out."""
    for pair in dict.fromkeys(frozenset(languages_of(record)) for record in lists[0]):
        if len(pair) > 1:
            yield tuple([record for record in some if pair == {*languages_of(record)}] for some in lists)


def both_names(record: Record) -> str:
    """`English and Arabic`."""
    return " and ".join(map(short_name, languages_of(record)))


@dataclass(frozen=True)
class Results:
    """What a study has to show."""

    study: str
    settings: dict[str, Any]
    source: dict[str, Any]
    """What to say of the model: name -> words."""
    files: dict[str, dict[str, Path]]
    """Kind of artifact -> key -> file or folder; the key is `{corpus}/{language}/{site}` or those of them that it has."""
    pictures: dict[str, Picture]
    summary: Document
    """Of kind summary: the records of all layers."""
    dataset: Document
    """Of kind dataset_summary."""
    words: dict[str, str]
    """As of crosslens.report.words."""
    absent: dict[str, str] = field(default_factory=dict)
    """Kind -> why the study has none of it, in words that follow "because"."""

    def records(self, name: str) -> list[Record]:
        """The records of that name of all layers, by depth; none where nothing was measured."""
        return self.summary("records").get(name, [])

    @property
    def sites(self) -> list[str]:
        """All layers, by depth."""
        return self.summary("sites")

    @property
    def level(self) -> float:
        """From which p or q on nothing is told from chance: the study's."""
        return self.summary("level")

    def by_place(self, kind: str) -> list[tuple[str, Path]]:
        """(corpus, file or folder) of all artifacts of a kind whose keys end in a site, by depth; none where there is none."""
        files = self.files.get(kind, {})
        keys = sorted(files, key=lambda key: (site_order(key.split("/")[-1]), key))
        return [(key.split("/")[0], files[key]) for key in keys]

    def _claim(self, records: str, family: str) -> Record | None:
        claims = self.summary("claims")
        return next(
            (claim for claim in claims if (claim["records"], claim["family"]) == (records, family)), None
        )

    def corrected(self, records: str, family: str) -> str:
        """Over what the q of a list's family are corrected, in words; empty where nothing of it was tested."""
        if (claim := self._claim(records, family)) is None:
            return ""
        return (
            f"Corrected over its {plain(claim['tests'])} {'test' if claim['tests'] == 1 else 'tests'} "
            f"({claim['scope']}; Benjamini-Hochberg) and over the {len(self.summary('claims'))} claims of the study (Holm), "
            f"q ≤ {level_words(self.level)}."
        )

    def untested(self, record: Record, units: str | None = None) -> str | None:
        """Why a record says nothing, in words that follow "not tested, because"; None where it does. units: of which there
        may be too few, those of the study where none are named."""
        return untested(record, units or f"test {self.words['units']}")

    def tested(self, records: list[Record], units: str | None = None) -> list[Record]:
        """Those that say something, found or not."""
        return [record for record in records if self.untested(record, units) is None]

    def reasons(self, records: list[Record], units: str | None = None) -> str:
        """Why the others say nothing, each reason once; empty where there are none."""
        return "; ".join(dict.fromkeys(filter(None, (self.untested(record, units) for record in records))))

    def controlled(self, measure: str, *of: str) -> list[str]:
        """A line that sets a measure of these languages beside that of the study's controls; none where there is none."""
        best, controls = self._controls
        row = best.get((measure, of))
        said = row and beside_controls(row, controls)
        return [f"Controls. {said}"] if said else []

    @cached_property
    def _controls(self) -> tuple[dict[tuple[str, tuple[str, ...]], Record], list[str]]:
        """(measure, of) -> its row at its best site, and the controls; none of a study without them."""
        if "controls" not in self.files:
            return {}, []
        doc = Document(self.files["controls"][""], "controls")
        return at_their_best(rows_of(doc)), doc("controls")

    @property
    def has_gender(self) -> bool:
        """Whether gender was measured in a layer."""
        return bool(self.records("gender") or self.records("probes"))

    def shown(self, *names: str) -> Markup:
        """The pictures of these names that there are, one after the other."""
        return Markup("\n").join(picture(self.pictures[name]) for name in names if name in self.pictures)


@dataclass(frozen=True)
class Finding:
    """A main result, null results included."""

    kind: str
    """found, a claim of the study, corrected over its family; null; warning; or description, numbers that claim nothing."""
    title: str
    lines: Sequence[str] = ()


@dataclass(frozen=True)
class Section:
    """One section of the page."""

    anchor: str
    title: str
    """In the contents."""
    heading: str
    body: Sequence[Any]
    """Pieces of markup."""
    findings: Sequence[Finding] = field(default_factory=list)
    terms: dict[str, tuple[str, str]] = field(default_factory=dict)
    """What it links of the definitions: anchor -> (term, definition with fields of crosslens.report.words)."""
