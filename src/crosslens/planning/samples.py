"""The samples of a study, as far as they can be read or drawn before anything runs, and which pictures show a gender."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from crosslens.data.dataset import combine_labels, image_labels
from crosslens.data.labels import gender_counts
from crosslens.data.lexicons import load_lexicon
from crosslens.data.splits import assign_splits
from crosslens.data.warnings import Warned, data_warnings
from crosslens.models.inputs import Sample, as_sample
from crosslens.study.study import Study
from crosslens.tables.documents import read_table


class Samples(NamedTuple):
    """One language's samples."""

    samples: Sequence[Sample]
    units: Sequence[tuple[str, str | None]]
    """(n) the image of each and its gender: female, male or unknown; None where only the captions tell."""
    basis: str
    unwritten: int = 0
    """Tokens that the model will write to each sample, at most."""

    @property
    def images(self) -> int:
        """Pictures, or groups of texts that count as one."""
        return len({image for image, _ in self.units})

    @property
    def labelled(self) -> int:
        """Images of known gender; all of them where only the captions tell."""
        return len({image for image, gender in self.units if gender != "unknown"})


def read_samples(study: Study, language: str) -> Samples | None:
    """Those of a language, as built or as the source will give them; None where it is not there yet."""
    folder = Path("results") / study.name / ("texts" if study.source.is_generation else "dataset")
    if (built := folder / f"{language}.parquet").is_file():
        table = read_table(built, "dataset")
        units = list(zip(table["image_id"], table["gender"], strict=True))
        return Samples([as_sample(row) for row in table.to_dict("records")], units, f"{folder.name} as built")
    if (texts := study.source.texts(language)) is None:
        return None
    samples = [Sample(text.sample_id, text.caption, text.prompt, text.image) for text in texts.rows]
    return Samples(samples, [(text.unit, text.gender) for text in texts.rows], texts.basis, texts.unwritten)


def known_warnings(study: Study) -> list[Warned]:
    """Of crosslens.data.warnings those that the texts tell before they are split: of the splits about what they will be.

    None where the texts are not there yet, or no word of them tells what the splits go by.
    """
    if study.source.is_generation:
        return []
    found = {language: study.source.texts(language) for language in study.languages}
    if None in found.values():
        return []
    rows = {language: texts.rows for language, texts in found.items()}
    units = [text.unit for text in rows[study.languages[0]]]
    tagged = study.has_gender and study.source.tagged
    counts = {
        language: [gender_counts(text.caption, language, lexicon) for text in rows[language]]
        for language, path in (study.settings["lexicons"] if study.has_gender else {}).items()
        for lexicon in [load_lexicon(Path(path), language)]
    }
    genders = {text.unit: text.gender for text in rows[study.languages[0]]}
    if study.has_gender and None in genders.values():
        genders = combine_labels({language: image_labels(units, told) for language, told in counts.items()})
    if not genders:
        return []
    splits = dict(study.settings["splits"])
    given = {text.unit: text.split for text in rows[study.languages[0]]}
    assigned = assign_splits(genders, splits, splits.pop("seed")) if None in given.values() else given
    return data_warnings(
        {la: [row.caption for row in of] for la, of in rows.items()},
        genders=list(genders.items()) if study.has_gender else None,
        hits=tagged
        or {la: sum(bool(count.female or count.male) for count in told) for la, told in counts.items()},
        tested=[(unit, gender) for unit, gender in genders.items() if assigned[unit] == "test"],
        unit="picture" if study.source.has_pictures else "text",
    )
