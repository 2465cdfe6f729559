"""What was built of a study, by the declarations of its artifacts: where each is, its texts and its model."""

import contextlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from crosslens.artifacts.kinds import At, Need
from crosslens.artifacts.needs import model_place, parts_of, samples_of
from crosslens.artifacts.table import Studies, Table
from crosslens.errors import InputError
from crosslens.models.load import LoadedModel, load_model
from crosslens.store.checkout import checkout
from crosslens.store.digests import FileDigests
from crosslens.study.settings import StudySettings, load_yaml
from crosslens.study.study import Study
from crosslens.tables.activations import Activations
from crosslens.tables.documents import read_table
from crosslens.tables.tokens import TokenTable, read_tokens

CONFIG, SCHEMA = Path("config/config.yaml"), checkout() / "workflow/schemas/study.schema.yaml"


class Built:
    """A study's artifacts on disk; whatever is asked for and was not built raises InputError with the command that makes it."""

    def __init__(self, folder: str | Path):
        """folder: results/STUDY of a checkout."""
        self.folder = Path(folder).absolute()
        self.name = self.folder.name
        self.top = self.folder.parent.parent
        """The checkout: paths in settings start here."""
        if not (self.top / CONFIG).is_file():
            raise InputError(
                folder,
                found=f"no {CONFIG} in {self.top}",
                expected="results/STUDY of a checkout of crosslens",
                mend="open it where it was built",
            )
        with self.there():
            studies = Path((load_yaml(CONFIG) or {}).get("studies", "config/studies"))
            digests = FileDigests(Path("results/.store/files.json"))
            self._place = Table(
                Studies(lambda name: Study(name, studies, SCHEMA, digests, data_needed=False))
            ).at({"study": self.name})
            study = self._place.study
        self.settings: StudySettings = study.settings
        """All of them, defaults included (config/README.md)."""
        self.languages: list[str] = study.languages
        self.sites: list[str] = study.sites
        """As in paths: `4` is the residual stream after block 4."""
        self.corpora: list[str] = [*study.corpora, *study.pretrained]
        """What SAEs are called: `joint`, a language, or the name of a pretrained one."""
        if not self.folder.is_dir():
            raise self._not_built(folder, "no such folder", f"results/{self.name}/report/index.html")

    @contextlib.contextmanager
    def there(self) -> Iterator[None]:
        """Settings name files from the checkout on."""
        with contextlib.chdir(self.top):
            yield

    def at(self, **wildcards: str) -> At:
        """The place in the study that declarations of crosslens.artifacts are asked with."""
        return self._place.moved(**wildcards)

    # any artifact

    def path(self, kind: str, **wildcards: str) -> Path:
        """The file or folder of an artifact: `path("quality", corpus="joint", language="en", site="4")`.

        kind: a name of the first table of docs/storage.md. Raises InputError for one that the study has not, or that was not
        built.
        """
        return self.of((kind, {"study": self.name, **wildcards}))

    def has(self, kind: str, **wildcards: str) -> bool:
        """Whether the settings of the study ask for such an artifact, built or not."""
        with self.there():
            return (kind, {"study": self.name, **wildcards}) in self._place.every(kind)

    def of(self, need: Need) -> Path:
        """The same, of an artifact as declarations name it."""
        kind, wildcards = need
        table = self._place.table
        if kind not in table.kinds:
            raise InputError(
                f"artifact {kind!r}",
                found="no such kind",
                expected=f"one of {', '.join(sorted(table.kinds))}",
                mend="take a name of the first table of docs/storage.md",
            )
        with self.there():
            names = [set(of) for _, of in self._place.every(kind)[:1]]
            if names and names[0] != set(wildcards):
                raise InputError(
                    f"artifact {kind!r}",
                    found=f"the wildcards {', '.join(sorted(set(wildcards) - {'study'})) or 'none'}",
                    expected=", ".join(sorted(names[0] - {"study"})) or "none",
                    mend="name what its path in docs/storage.md has in braces",
                )
            table.check(kind, wildcards)
        for path in table.kinds[kind].paths(wildcards):
            if not (self.top / path).exists():
                gone = (self.top / path).is_symlink()
                raise self._not_built(
                    path, "a link to what the store has no more" if gone else "no such file", path
                )
        return self.top / self._place.path(need)

    def _not_built(self, where: object, found: str, target: str) -> InputError:
        return InputError(
            where,
            found=found,
            expected=f"what was built of the study {self.name}",
            mend=f"`snakemake --cores all {target}` in {self.top}",
        )

    def declared(self) -> list[tuple[Need, list[str], bool]]:
        """All artifacts that the study can have, by kind, with their paths from the checkout on, and whether they are there."""
        found = []
        with self.there():
            for kind in self._place.table.kinds.values():
                for need in self._place.every(kind.name):
                    paths = kind.paths(need[1])
                    found.append((need, paths, all(Path(path).exists() for path in paths)))
        return found

    def artifacts(self) -> pd.DataFrame:
        """All that the study can have, a row an artifact: kind, its wildcards (missing where it has none), path, built."""
        rows = []
        for (kind, wildcards), _, built in self.declared():
            own = {name: value for name, value in wildcards.items() if name != "study"}
            rows.append({"kind": kind, **own, "path": self._place.path((kind, wildcards)), "built": built})
        return pd.DataFrame(rows)

    # texts, tokens, activations

    def dataset(self, language: str) -> pd.DataFrame:
        """The samples of a language, a row a caption (or a generated text)."""
        return read_table(self.of(samples_of(self.at(language=self._known(language)))), "dataset")

    def tokens(self, language: str) -> TokenTable:
        """Which token of which sample each row of `activations` is."""
        return read_tokens(self._parts("tokens", language))

    def activations(self, language: str, site: str) -> Activations:
        """The activations of all tokens (N, d_model) at one site: a Zarr group, of which `read(start, stop)` takes rows."""
        return Activations(self._parts("activations", language, site=site))

    def _parts(self, kind: str, language: str, **more: str) -> list[Path]:
        at = self.at(language=self._known(language), **more)
        with self.there():
            needs = parts_of(at, kind, language, *more)
        return [self.of(need) for need in needs]

    def _known(self, language: str) -> str:
        if language not in self.languages:
            raise InputError(
                "language",
                found=repr(language),
                expected=f"one of {', '.join(self.languages)}",
                mend="name a language of the study",
            )
        return language

    @property
    def images(self) -> Path | None:
        """The folder of the samples' pictures; None where the model is shown none."""
        found = self._model_place()["images"]
        return None if found is None else self.top / found

    @cached_property
    def model(self) -> LoadedModel:
        """The study's model, loaded as its jobs load it."""
        with self.there():
            return load_model(**self._model_place()["model"])

    def _model_place(self) -> dict[str, Any]:
        with self.there():
            return model_place(self._place)
