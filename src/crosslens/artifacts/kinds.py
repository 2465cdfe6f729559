"""What an artifact is (Kind), how the jobs of a rule run (Work), and where both stand (At): a study and its wildcards."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from crosslens.study.study import Study

Wildcards = dict[str, str]
Need = tuple[str, Wildcards]
"""A kind and the wildcards of one artifact of it, `study` among them."""

BESIDE_PICTURES = (".svg", ".pdf", ".csv")
"""What crosslens.figures.style.save writes beside a PNG."""
WILDCARDS = "study model other corpus language site seed variant part".split()
"""All that a path can have, in the order in which logs and marks name them."""


def wildcards_of(pattern: str) -> tuple[str, ...]:
    """The names of a path pattern's wildcards, in the order of WILDCARDS."""
    return tuple(name for name in WILDCARDS if f"{{{name}}}" in pattern)


class At:
    """A study and some values of wildcards: what a declaration is asked with."""

    def __init__(self, table: Any, wildcards: Wildcards):
        """table: the crosslens.artifacts.table.Table that it is a place of."""
        self.table, self.wildcards = table, wildcards

    def __getitem__(self, name: str) -> str:
        return self.wildcards[name]

    def __contains__(self, name: str) -> bool:
        return name in self.wildcards

    @property
    def study(self) -> Study:
        """The study that the wildcards name."""
        return self.table.studies[self["study"]]

    @property
    def settings(self) -> dict[str, Any]:
        """Its settings."""
        return self.study.settings

    @property
    def parts(self) -> list[str]:
        """The numbers of its parts."""
        return self.table.studies.parts(self["study"])

    def moved(self, **more: str) -> "At":
        """The same place with other or more wildcards; `study` moves to another study."""
        return At(self.table, self.wildcards | more)

    def need(self, kind: str, *names: str, **more: str) -> Need:
        """An artifact of this study with the wildcards `names` of this place, and `more`."""
        return kind, {name: self[name] for name in ("study", *names)} | more

    def every(self, kind: str, **fixed: str) -> list[Need]:
        """All artifacts of a kind that the study has, those with the wildcards `fixed` where some are named."""
        study = {"study": self["study"]}
        found = [study | more for more in self.table.kinds[kind].every(At(self.table, study))]
        return [(kind, wildcards) for wildcards in found if fixed.items() <= wildcards.items()]

    def into(self, place: str, **fixed: str) -> Iterator[Need]:
        """All artifacts of the study that are summed up in `place`: "layer", "page" or "all"."""
        for kind in self.table.kinds.values():
            if place in kind.into:
                yield from self.every(kind.name, **fixed)

    def path(self, need: Need) -> str:
        """Where an artifact is shown."""
        kind, wildcards = need
        return self.table.kinds[kind].path.format(**wildcards)


class Amount(NamedTuple):
    """What making one artifact takes, in the unit of the rate that tells its time (see planning.rates)."""

    rate: str
    amount: float
    batches: float = 0
    """Forward passes and steps, each of which takes its time however little is in it."""


@dataclass(frozen=True)
class Kind:
    """One kind of artifact."""

    name: str
    path: str
    """Where it is shown to people: a pattern with {wildcards}."""
    by: str
    """The rule that makes it."""
    module: str
    """The module, within src/, of the function that makes it."""
    function: str = ""
    """That function, where the rule makes artifacts of several kinds one by one; empty: the name of the rule."""
    script: str = ""
    """The script that calls the function, where the rule borrows another's; empty: the name of the rule."""
    params: Callable[[At], Any] = lambda at: {}
    """Its own parameters (JSON-able) and nothing else: one stands here if and only if it can change the result."""
    needs: Callable[[At], Iterable[Need]] = lambda at: ()
    """What it is made from."""
    reads: Callable[[At], Iterable[Need]] = lambda at: ()
    """What its job reads besides: `params` already say what decides the result, the key does not follow these."""
    files_read: Callable[[At], Iterable[Path]] = lambda at: ()
    """The user's own files that its job reads: `params` have their digests."""
    every: Callable[[At], Iterable[Wildcards]] = lambda at: [{}]
    """The wildcards, without `study`, of all artifacts of this kind that a study has."""
    into: tuple[str, ...] = ()
    """Where it is summed up: `layer` and `page`, whose needs follow; `all`, what `snakemake` builds."""
    role: str = ""
    """What its readers call it, where they take one of several kinds: a trained and a fetched SAE are both an `sae`."""
    like: str = ""
    """The kind whose maker in the script makes it too; empty: its role or name."""
    called: str = ""
    """What its job calls it, where that makes several: a pattern with {wildcards}; empty: its role or name, and the values
    of the wildcards that the job has not."""
    files: dict[str, str] = field(default_factory=dict)
    """The files of a folder artifact that are shown one by one, each with its caption (empty for what is no picture). Those
    beside a picture come by themselves."""
    each: str = ""
    """Which files of a folder that is shown as one `snakemake --report` takes one by one: {question}, {table}."""
    holds: int = 1
    """Files of a folder artifact that is shown as one."""
    amount: Callable[[At, Any], Amount | None] = lambda at, reading: None
    """What making it takes, by the sizes that planning.reading.Reading knows; None: next to nothing beside its start."""

    def __post_init__(self) -> None:
        pictures = [file for file, caption in self.files.items() if caption and file.endswith(".png")]
        beside = {f"{file[:-4]}{suffix}": "" for file in pictures for suffix in BESIDE_PICTURES}
        object.__setattr__(self, "files", self.files | beside)

    def patterns(self) -> list[str]:
        """The path pattern or patterns under which artifacts of this kind are shown."""
        return [f"{self.path}/{file}" for file in self.files] or [self.path]

    def paths(self, wildcards: Wildcards) -> list[str]:
        """The path or paths under which this artifact is shown."""
        return [pattern.format(**wildcards) for pattern in self.patterns()]


@dataclass(frozen=True)
class Work:
    """How the jobs of one rule run: nothing here is part of a key."""

    rule: str
    memory: int | Callable[[At, int], float]
    """Megabytes, by the place and the threads of the job where they follow from sizes."""
    per: tuple[str, ...] | None = None
    """The wildcards of a job beside `study`, where it makes several artifacts; None: those of the one that it makes."""
    gpu: bool = False
    """It asks for a GPU."""
    minutes: int = 60
    """What a job may take at least: more where the amounts of what it makes say so (see planning.limits)."""
    local: Callable[[At], dict[str, Any]] = lambda at: {}
    """What the script is told of where it runs."""
