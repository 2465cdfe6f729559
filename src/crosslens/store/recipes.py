"""Recipes: everything that an artifact is made from, as one key that is known before any job runs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from crosslens.store.digests import digest
from crosslens.store.fingerprint import closure

Wildcards = dict[str, str]
Need = tuple[str, Wildcards]


@dataclass(frozen=True)
class Kind:
    """One kind of artifact."""

    name: str
    path: str
    """Where it is shown to people: a pattern with {wildcards}."""
    module: str
    """The module, within src/, of the function that makes it."""
    params: Callable[[Wildcards], Any]
    """Its own parameters (JSON-able) and nothing else."""
    needs: Callable[[Wildcards], Iterable[Need]]
    """(kind, wildcards) of what it is made from."""
    reads: Callable[[Wildcards], Iterable[Need]] = lambda wildcards: ()
    """What its job reads besides: `params` already say what decides the result, the key does not follow these."""
    role: str = ""
    """What its readers call it, where they take one of several kinds: a trained and a fetched SAE are both an `sae`."""
    files: tuple[str, ...] = ()
    """The files of a folder artifact that are shown one by one; empty for a single object."""

    def patterns(self) -> list[str]:
        """The path pattern or patterns under which artifacts of this kind are shown."""
        return [f"{self.path}/{file}" for file in self.files] or [self.path]

    def paths(self, wildcards: Wildcards) -> list[str]:
        """The path or paths under which this artifact is shown."""
        return [pattern.format(**wildcards) for pattern in self.patterns()]


class Recipes:
    """All kinds, and the keys of their artifacts."""

    def __init__(self) -> None:
        self.kinds: dict[str, Kind] = {}
        self._memory: dict[tuple[str, str, tuple], Any] = {}

    def add(self, kind: Kind) -> Kind:
        """Declare a kind; a name is declared once."""
        if kind.name in self.kinds:
            raise ValueError(f"kind {kind.name!r} is declared twice")
        self.kinds[kind.name] = kind
        return kind

    def _remember(self, what: str, kind: str, wildcards: Wildcards, compute: Callable[[], Any]) -> Any:
        place = (what, kind, tuple(sorted(wildcards.items())))
        if place not in self._memory:
            self._memory[place] = compute()
        return self._memory[place]

    def needs(self, kind: str, wildcards: Wildcards) -> list[Need]:
        """What the artifact is made from, in a fixed order."""
        return self._remember("needs", kind, wildcards, lambda: list(self.kinds[kind].needs(wildcards)))

    def own(self, kind: str, wildcards: Wildcards) -> str:
        """Digest of the code, the versions and the artifact's own parameters: the key without its inputs."""

        def compute() -> str:
            code = closure(self.kinds[kind].module)
            return digest([kind, code.modules, code.versions, self.kinds[kind].params(wildcards)])

        return self._remember("own", kind, wildcards, compute)

    def key(self, kind: str, wildcards: Wildcards) -> str:
        """The artifact's key: sha256 of its own recipe and of the keys of all it is made from."""

        def compute() -> str:
            return digest(
                [self.own(kind, wildcards), [self.key(k, w) for k, w in self.needs(kind, wildcards)]]
            )

        return self._remember("key", kind, wildcards, compute)

    def describe(self, kind: str, wildcards: Wildcards) -> dict[str, Any]:
        """The recipe in full, as it is kept beside the artifact and shown by `crosslens store explain`."""
        declared = self.kinds[kind]
        code = closure(declared.module)
        return {
            "kind": kind,
            "path": declared.path.format(**wildcards),
            "shown": declared.paths(wildcards),
            "key": self.key(kind, wildcards),
            "own": self.own(kind, wildcards),
            "module": declared.module,
            "modules": code.modules,
            "versions": code.versions,
            "params": declared.params(wildcards),
        }
