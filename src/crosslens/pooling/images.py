"""From samples to images, and from images to groups: the unit of what is said of pictures."""

from collections.abc import Callable
from dataclasses import dataclass, replace
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
    group: np.ndarray = None
    """(m) object: images that share it are no independent witnesses (see `group` of the dataset); by default none do."""

    def __post_init__(self) -> None:
        if self.group is None:
            object.__setattr__(self, "group", self.image_ids)

    def __len__(self) -> int:
        return len(self.image_ids)

    def rows(self, keep: np.ndarray) -> "ImageTable":
        """The images that `keep` selects: (m) bool, or indices."""
        return ImageTable(
            self.values[np.flatnonzero(keep) if keep.dtype == bool else keep],
            self.image_ids[keep],
            self.gender[keep],
            self.category[keep],
            self.group[keep],
        )

    def labelled(self) -> "ImageTable":
        """The images whose gender is known: female or male, never `unknown`."""
        return self.rows(np.isin(self.gender, ["female", "male"]))

    def by_group(self, *, apart: bool = True) -> "ImageTable":
        """One row a group and gender, the mean over its images: two rows of one group are a pair; not apart: one row a group."""
        keys = [
            f"{group}\0{gender if apart else ''}"
            for group, gender in zip(self.group, self.gender, strict=True)
        ]
        _, first, row = np.unique(np.array(keys, dtype=object), return_index=True, return_inverse=True)
        if len(first) == len(self):
            return self
        values = _averaging(np.argsort(np.argsort(first))[row]) @ self.values
        return replace(self.rows(np.sort(first)), values=values)

    def units(self) -> dict[str, int]:
        """Groups that show each gender, and those that show both: what counts as independent."""
        shown = {name: set(self.group[self.gender == name]) for name in ("female", "male")}
        return {name: len(groups) for name, groups in shown.items()} | {
            "pairs": len(shown["female"] & shown["male"])
        }

    def independent(self) -> int:
        """Groups that the images are of: so many witnesses."""
        return len(set(self.group))

    def counts(self) -> dict[str, int]:
        """Images per gender."""
        names = ("female", "male", "unknown", CONTRADICTORY)
        return {name: int(np.sum(self.gender == name)) for name in names}


def _averaging(row: np.ndarray) -> csr_array:
    """(max + 1, n) matrix that averages the rows with the same number."""
    weights = 1.0 / np.bincount(row)[row] if len(row) else np.empty(0)
    return csr_array((weights, (row, np.arange(len(row)))), shape=(row.max(initial=-1) + 1, len(row)))


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
    # without the column, as in the texts of a generation study, an image goes by itself
    group = images["group"].first().reindex(image_ids) if "group" in dataset else image_ids
    average = _averaging(image) @ values.astype(np.float64)
    return ImageTable(average, image_ids, gender, category, np.asarray(group, dtype=object))


def shared_images(first: ImageTable, second: ImageTable) -> tuple[ImageTable, ImageTable]:
    """The images labelled in both of two languages, in the same order."""
    return _aligned(first.labelled(), second.labelled(), lambda table: table.image_ids)


def shared_units(first: ImageTable, second: ImageTable) -> tuple[ImageTable, ImageTable]:
    """The units labelled in both of two languages, in the same order: those of the same images, averaged over groups."""
    first, second = shared_images(first, second)
    units = [table.by_group() for table in (first, second)]
    if all(len(table) == len(first) for table in units):
        return first, second
    return _aligned(
        *units, lambda table: np.array([f"{g}/{s}" for g, s in zip(table.group, table.gender, strict=True)])
    )


def _aligned(
    first: ImageTable, second: ImageTable, key: Callable[[ImageTable], np.ndarray]
) -> tuple[ImageTable, ImageTable]:
    _, i, j = np.intersect1d(key(first), key(second), return_indices=True)
    return first.rows(i), second.rows(j)


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
