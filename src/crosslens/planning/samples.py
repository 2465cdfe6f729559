"""The samples of a study, as far as they can be read or drawn before anything runs, and which pictures show a gender."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

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
