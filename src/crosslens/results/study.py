"""A built study: its artifacts by what they are, each read when it is asked for."""

from functools import cached_property
from pathlib import Path

import pandas as pd

from crosslens.artifacts.needs import each_sae
from crosslens.errors import InputError
from crosslens.results.built import Built
from crosslens.results.sae import OpenSAE
from crosslens.summary.reading import Document
from crosslens.tables.documents import read_table


class OpenStudy(Built):
    """One study as it was built. docs/storage.md says what is in each artifact.

    Nothing is computed but by `model`, and by what an SAE of `saes` does with it. Whatever is asked for and was not built
    raises InputError with the command that makes it.
    """

    def __init__(self, folder: str | Path):
        """folder: results/STUDY of a checkout."""
        super().__init__(folder)
        self.saes: dict[str, OpenSAE] = {
            f"{of['corpus']}/{of['site']}": OpenSAE(self, of["corpus"], of["site"])
            for of in each_sae(self._place)
        }
        """Those that the analyses read, by `{corpus}/{site}`."""

    def __repr__(self) -> str:
        return (
            f"{self.name}: {self.settings['model']['id']}; languages {', '.join(self.languages)}; "
            f"sites {', '.join(self.sites)}; SAEs {', '.join(self.saes) or 'none'}"
        )

    def generated(self, language: str) -> pd.DataFrame:
        """The model's own captions of pictures that hide the gender, sampled."""
        return read_table(self.path("generated", language=self._known(language)), "generated")

    # what was found

    @cached_property
    def summary(self) -> Document:
        """The records of all layers, and the claims that are made of them."""
        return Document(self.path("summary"), "summary")

    def records(self, name: str) -> pd.DataFrame:
        """The summary's records of one name, a row each, with q-values over all layers: `probes`, `gender`, `quality`, …"""
        known = self.summary("records")
        if name not in known:
            raise InputError(
                "records", found=repr(name), expected=f"one of {', '.join(known)}", mend="name one of these"
            )
        return pd.DataFrame(known[name])

    @property
    def claims(self) -> pd.DataFrame:
        """What the page may say, a row a claim: tests, p, q, and of how many tests it holds (0: it is not made)."""
        return pd.DataFrame(self.summary("claims"))

    @property
    def stereotype(self) -> Document:
        """The share of women in the model's own captions, by language and category."""
        return Document(self.path("stereotype"), "stereotype")

    @property
    def figures(self) -> dict[str, Path]:
        """The pictures that were drawn, by their place without `figures/` and suffix: `layer_4/training`."""
        drawn = sorted((self.folder / "figures").rglob("*.png"))
        return {path.relative_to(self.folder / "figures").with_suffix("").as_posix(): path for path in drawn}
