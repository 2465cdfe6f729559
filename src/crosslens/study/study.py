"""One study, by its name."""

import os
import re
from functools import cached_property
from pathlib import Path
from typing import Any

from crosslens.data.splits import SPLITS
from crosslens.errors import InputError
from crosslens.registry import member
from crosslens.store.digests import FileDigests, digest
from crosslens.study.checks import check, remarks
from crosslens.study.controls import control_of
from crosslens.study.model import COMMIT, Model
from crosslens.study.settings import SOURCES, TRAINING, StudySettings, source_names
from crosslens.study.sources.base import Source
from crosslens.study.sweep import variants
from crosslens.study.words import nearest

NAME = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
"""Of a study: what Snakefile's wildcard `study` takes."""
LONGEST = 100
"""Letters of a name. A file system takes 255 bytes, and something stands before and behind it."""


class Study:
    """Its settings, and what they say about model, texts, parts and SAEs."""

    def __init__(
        self, name: str, folder: Path, schema: Path, digests: FileDigests, *, data_needed: bool = True
    ):
        """Read `folder`/`name`.yaml, for a control (see study.controls) the file of its study; raises InputError.

        schema: the JSON schema of its settings. `data_needed` false: captions and pictures need not be there yet.
        """
        path, self.control = folder / f"{name}.yaml", None
        if not path.is_file() and (of := control_of(name)):
            path, self.control = folder / f"{of[0]}.yaml", of[1]
        if not NAME.fullmatch(name):
            raise InputError(
                f"study {name!r}",
                found="a name with other signs",
                expected="letters without accents, digits and _ (it is part of every path)",
                mend=f"rename {path} to {re.sub(r'[^A-Za-z0-9_]', '_', name)}.yaml, and what names it",
            )
        if len(name) > LONGEST:
            raise InputError(
                f"study {name[:20]}…",
                found=f"a name of {len(name)} letters",
                expected=f"at most {LONGEST}: names of files are made of it",
                mend="give the study's file a shorter name",
            )
        if not path.is_file():
            known = sorted(path.stem for path in folder.glob("*.yaml"))
            raise InputError(
                f"study {name!r}",
                found=f"no file {path}",
                expected=f"one of the defined studies: {', '.join(known) or 'none'}{nearest(name, known)}",
                mend="correct the name in the target or in `run:` of config/config.yaml",
            )
        self.name, self.digests = name, digests
        self.settings = StudySettings(path, schema, self.control)
        self.languages: list[str] = self.settings["languages"]
        self.pairs = self.settings.pairs
        self.sites: list[str] = self.settings["sites"]
        self.corpora: list[str] = self.settings["sae"]["corpora"]
        self.seeds: list[str] = [str(seed) for seed in self.settings["sae"]["seeds"]]
        self.sae_sites: list[str] = self.settings["sae"]["sites"] or self.sites
        self.pretrained: dict[str, dict[str, str]] = self.settings["sae"]["pretrained"]
        self.model = Model(self.settings, digests)
        (kind,) = source_names(self.settings)
        self.source: Source = member(SOURCES, kind).SOURCE(kind, self.settings, digests)
        check(self.settings, self.model, self.source, folder=folder, data_needed=data_needed)
        self.remarks: list[str] = remarks(self.settings, self.source)

    @property
    def has_gender(self) -> bool:
        """False where no gender is asked for: `gender: null`, and texts that answer prompts."""
        return self.settings["gender"] is not None and not self.source.is_generation

    @cached_property
    def shares(self) -> dict[str, float]:
        """Of train, select and test in the images: as they come divided, or as asked for."""
        return self.source.shares or {name: self.settings["splits"][name] for name in SPLITS}

    @property
    def parts(self) -> list[str]:
        """Part numbers: blocks of `activations.part_rows` rows of the caption table."""
        return [
            f"{i:04d}" for i in range(-(-self.source.n_rows // self.settings["activations"]["part_rows"]))
        ]

    def part_rows(self, part: str) -> tuple[int, int]:
        """The rows of a part, 1-based and inclusive, as the dataset's column `row` counts them."""
        size = self.settings["activations"]["part_rows"]
        return int(part) * size + 1, (int(part) + 1) * size

    def block_identity(self, part: str, language: str) -> Any:
        """What decides the samples of one part in one language, and nothing of any other part."""
        return self.source.block_identity(*self.part_rows(part), language)

    def extent(self, part: str, language: str) -> tuple[float, int | None]:
        """How many rows a part has, at most (one at least), and tokens a prompt with its text, as far as the source knows."""
        rows, longest = self.source.extent(*self.part_rows(part), language)
        return max(rows, 1), longest

    def picture_sizes(self, part: str) -> set[tuple[int, int]] | None:
        """(height, width) in pixels of a part's pictures, where they can be seen."""
        return self.source.picture_sizes(*self.part_rows(part))

    @property
    def training(self) -> dict[str, Any]:
        """How its SAEs are trained: the settings of crosslens.sae.settings, not which SAEs there are."""
        return {name: value for name, value in self.settings["sae"].items() if name in TRAINING}

    @cached_property
    def variants(self) -> dict[str, dict[str, Any]]:
        """What each SAE of the sweep changes of `training`, by name."""
        return variants(self.settings["sweep"], self.settings["sae"])

    def corpora_at(self, site: str) -> list[str]:
        """What SAEs of one site are called: the corpora that are trained on, then the pretrained ones."""
        trained = self.corpora if site in self.sae_sites else []
        return [*trained, *(name for name, sources in self.pretrained.items() if site in sources)]

    def pretrained_identity(self, corpus: str, site: str) -> Any:
        """What decides a pretrained SAE: its place on the hub with the commit, or the digests of its files."""
        source = self.pretrained[corpus][site]
        if source.startswith("hf:"):
            place, _, revision = source.partition("@")
            if not COMMIT.fullmatch(revision):
                repository = "/".join(place.removeprefix("hf:").split("/")[:2])
                self.settings.fail(
                    f"sae.pretrained.{corpus}.{site}",
                    source,
                    f"the commit of its files, {place}@COMMIT: what is computed from others would pass for the same",
                    f"pin it: the commit stands on the repository's page, and `hf models info {repository}` prints it as sha",
                )
            return source
        folder = Path(source).parent if Path(source).is_file() else Path(source)
        files = self.pretrained_files(corpus, site)
        return digest(
            [[Path(os.path.relpath(file, folder)).as_posix(), self.digests(file)] for file in files]
        )

    def pretrained_files(self, corpus: str, site: str) -> list[Path]:
        """Those of a pretrained SAE that is no hub's: a folder's, or a file and the JSON beside it, maybe its configuration.

        Of checkpoints the JSON of the folder above too, where dictionary_learning keeps it.
        """
        path = Path(self.pretrained[corpus][site])
        folder = path.parent if path.is_file() else path
        found = {path, *folder.glob("*.json")} if path.is_file() else {*path.rglob("*")}
        if folder.name == "checkpoints":
            found |= {*folder.parent.glob("*.json")}
        return sorted(file for file in found if file.is_file())
