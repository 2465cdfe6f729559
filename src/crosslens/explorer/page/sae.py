"""All that a study says of the features of one SAE, read from its artifacts."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crosslens.errors import InputError
from crosslens.features.promoted import Promoted
from crosslens.summary.reading import Document
from crosslens.tables.documents import read_table
from crosslens.tables.of_sae import check_of_sae

Files = dict[str, dict[str, Path]]
"""Kind of artifact -> key -> file or folder; the key is `{corpus}/{language}/{site}` or those of them that it has."""
EFFECTS = ("gender", "written_gender")


class Sae:
    """One SAE: its corpus and site, and what was measured of its features."""

    def __init__(self, files: Files, key: str):
        """key: `{corpus}/{site}` of a folder of `dashboards`."""
        self.files, self.key = files, key
        self.corpus, self.site = key.split("/")
        self.folder = files["dashboards"][key]
        self.document = Document(self.folder / "dashboards.json", "dashboards")
        self.languages: list[str] = self.document("languages")
        self.sae: str = self.document("sae")
        self.d_sae: int = self.document("d_sae")

    def of_sae(self, kind: str) -> Path | None:
        """The artifact of a kind that there is one of."""
        return self.files.get(kind, {}).get(self.key)

    def of_language(self, kind: str, language: str) -> Path | None:
        """The artifact of a kind of which there is one a language."""
        return self.files.get(kind, {}).get(f"{self.corpus}/{language}/{self.site}")

    @cached_property
    def examples(self) -> pd.DataFrame:
        return read_table(self.folder / "examples.parquet", "feature_examples")

    @cached_property
    def tokens(self) -> pd.DataFrame:
        return read_table(self.folder / "tokens.parquet", "feature_tokens")

    @cached_property
    def histograms(self) -> pd.DataFrame:
        return read_table(self.folder / "histograms.parquet", "feature_histograms")

    @cached_property
    def neighbours(self) -> pd.DataFrame:
        return read_table(self.folder / "neighbours.parquet", "feature_neighbours")

    @cached_property
    def statistics(self) -> dict[str, pd.DataFrame]:
        """Language to the table `features`, in the order of ids."""
        found = {}
        for language in self.languages:
            folder = self.of_language("features", language)
            if folder is None:
                raise InputError(
                    f"features/{self.corpus}/{language}",
                    found="none",
                    expected="the statistics",
                    mend="rebuild it",
                )
            self.check(Document(folder / "rankings.json", "rankings"))
            found[language] = read_table(folder / "features.parquet", "features")
        return found

    @cached_property
    def effects(self) -> dict[tuple[str, str], pd.DataFrame]:
        """(language, condition) to the rows of `gender_effects`: both splits; none where gender is not asked for."""
        found = {}
        for kind in EFFECTS:
            for language in self.languages:
                if (folder := self.of_language(kind, language)) is None:
                    continue
                self.check(Document(folder / "gender.json", "gender"))
                table = read_table(folder / "effects.parquet", "gender_effects")
                found |= {(language, name): rows for name, rows in table.groupby("condition", sort=False)}
        return found

    @cached_property
    def halves(self) -> dict[tuple[str, str], dict[str, pd.DataFrame]]:
        """The same by split, in the order of ids."""
        return {
            key: {split: rows.sort_values("feature") for split, rows in table.groupby("split")}
            for key, table in self.effects.items()
        }

    @cached_property
    def sharing(self) -> pd.DataFrame | None:
        """The table `feature_sharing`, a row a pair of languages and feature; None of an SAE of one language."""
        if (folder := self.of_sae("sharing")) is None:
            return None
        self.check(Document(folder / "sharing.json", "sharing"))
        return read_table(folder / "features.parquet", "feature_sharing")

    @cached_property
    def promoted(self) -> Promoted | None:
        """The tokens that features promote and suppress."""
        if (folder := self.of_sae("promoted")) is None:
            return None
        found = Promoted(folder)
        found.check(self.sae)
        return found

    @cached_property
    def labels(self) -> list[dict[str, Any]]:
        """The rows of `descriptions`."""
        path = self.of_sae("descriptions")
        return self.check(Document(path, "descriptions"))("rows") if path else []

    def document_of(self, kind: str, name: str = "") -> Document | None:
        """The document `name` of an artifact of this SAE, checked to be of it."""
        path = self.of_sae(kind)
        return self.check(Document(path / name if name else path, kind)) if path else None

    def check(self, document: Document) -> Document:
        """The document; InputError where it is of another SAE: an id means nothing in another dictionary."""
        check_of_sae(document.path, "features", document("sae"), self.sae)
        return document


def agree(select: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    """(F) bool: whether both halves find an effect of gender, in the same direction; rows in the order of ids."""
    both = select["significant"].to_numpy(dtype=bool) & test["significant"].to_numpy(dtype=bool)
    return both & (np.sign(select["z"].to_numpy(dtype=float)) == np.sign(test["z"].to_numpy(dtype=float)))
