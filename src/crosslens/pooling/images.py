"""From samples to images: the image is the unit of what is said of pictures."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from crosslens.errors import InputError

CONTRADICTORY = "contradictory"
"""Gender of an image whose captions say both female and male; counted, in neither group."""


@dataclass(frozen=True)
class ImageTable:
    """One row an image, ascending by image id."""

    values: csr_array | np.ndarray
    """(m, F) float64: mean over the image's samples."""
    image_ids: np.ndarray
    """(m) object."""
    gender: np.ndarray
    """(m) object: female, male, unknown or contradictory."""
    category: np.ndarray
    """(m) object."""

    def __len__(self) -> int:
        return len(self.image_ids)

    def rows(self, keep: np.ndarray) -> "ImageTable":
        """The images that `keep` selects: (m) bool, or indices."""
        return ImageTable(
            self.values[np.flatnonzero(keep) if keep.dtype == bool else keep],
            self.image_ids[keep],
            self.gender[keep],
            self.category[keep],
        )

    def labelled(self) -> "ImageTable":
        """The images whose gender is known: female or male, never `unknown`."""
        return self.rows(np.isin(self.gender, ["female", "male"]))

    def counts(self) -> dict[str, int]:
        """Images per gender."""
        names = ("female", "male", "unknown", CONTRADICTORY)
        return {name: int(np.sum(self.gender == name)) for name in names}


def image_gender(labels: pd.Series) -> str:
    """One image's gender from its captions' labels: those that are known decide if they agree."""
    known = set(labels) - {"unknown"}
    if not known:
        return "unknown"
    return known.pop() if len(known) == 1 else CONTRADICTORY


def by_image(values: Any, sample_ids: list[str], dataset: pd.DataFrame) -> ImageTable:
    """Average `values` (n, F), rows as in `sample_ids`, over the samples of each image.

    Labels come from all of an image's rows in `dataset`, also from those with nothing to pool.
    Raises InputError for a sample that the dataset does not have and for a gender it cannot have.
    """
    strange = set(dataset["gender"]) - {"female", "male", "unknown"}
    if strange:
        raise InputError(
            "dataset column gender",
            found=sorted(strange),
            expected=["female", "male", "unknown"],
            mend="rebuild the dataset",
        )
    image_of = dict(zip(dataset["sample_id"], dataset["image_id"], strict=True))
    absent = [sample_id for sample_id in sample_ids if sample_id not in image_of]
    if absent:
        raise InputError(
            "pooled samples",
            found=f"{absent[0]} ({len(absent)} such)",
            expected="samples of the dataset",
            mend="give the dataset that the activations were computed from",
        )
    image_ids, image = np.unique(
        np.array([image_of[sample_id] for sample_id in sample_ids], dtype=object), return_inverse=True
    )
    images = dataset.groupby("image_id", sort=True)
    gender = images["gender"].agg(image_gender).reindex(image_ids).to_numpy(dtype=object)
    category = images["category"].first().reindex(image_ids).to_numpy(dtype=object)
    weights = 1.0 / np.bincount(image, minlength=len(image_ids))[image] if len(image) else np.empty(0)
    average = csr_array((weights, (image, np.arange(len(image)))), shape=(len(image_ids), len(image)))
    return ImageTable(average @ values.astype(np.float64), image_ids, gender, category)


def by_split(
    values: np.ndarray,
    sample_ids: list[str],
    dataset: pd.DataFrame,
    splits: tuple[str, ...] = ("train", "test"),
) -> dict[str, ImageTable]:
    """`by_image` of the samples of each split."""
    split_of = dict(zip(dataset["sample_id"], dataset["split"], strict=True))
    split = np.array([split_of[sample_id] for sample_id in sample_ids], dtype=object)
    tables = {}
    for name in splits:
        rows = np.flatnonzero(split == name)
        ids = [sample_ids[row] for row in rows]
        tables[name] = by_image(values[rows], ids, dataset[dataset["split"] == name])
    return tables
