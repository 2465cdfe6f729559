"""Recipes: everything that an artifact is made from, as one key that is known before any job runs."""

from collections.abc import Callable, Iterable
from typing import Any

from crosslens.artifacts.kinds import Kind, Need, Wildcards
from crosslens.store.digests import digest
from crosslens.store.fingerprint import Closure, closure


class Recipes:
    """All kinds, and the keys of their artifacts."""

    def __init__(
        self,
        kinds: Iterable[Kind],
        at: Callable[[Wildcards], Any],
        members: Callable[[Any], tuple[str, ...]] = lambda at: (),
    ) -> None:
        """at: what the callables of the kinds are asked with, by the wildcards; members: see fingerprint.closure."""
        self.kinds: dict[str, Kind] = {}
        for kind in kinds:
            if kind.name in self.kinds:
                raise ValueError(f"kind {kind.name!r} is declared twice")
            self.kinds[kind.name] = kind
        self.at, self.members = at, members
        self._memory: dict[tuple[str, str, tuple], Any] = {}

    def _remember(self, what: str, kind: str, wildcards: Wildcards, compute: Callable[[], Any]) -> Any:
        place = (what, kind, tuple(sorted(wildcards.items())))
        if place not in self._memory:
            self._memory[place] = compute()
        return self._memory[place]

    def needs(self, kind: str, wildcards: Wildcards) -> list[Need]:
        """What the artifact is made from, in a fixed order."""
        return self._remember(
            "needs", kind, wildcards, lambda: list(self.kinds[kind].needs(self.at(wildcards)))
        )

    def reads(self, *artifacts: Need) -> list[Need]:
        """All that a job reads for these artifacts, each once: what they are made from, and what it reads besides."""
        found: dict[tuple, Need] = {}
        for kind, wildcards in artifacts:
            for k, w in [*self.needs(kind, wildcards), *self.kinds[kind].reads(self.at(wildcards))]:
                found.setdefault((k, *sorted(w.items())), (k, w))
        return list(found.values())

    def params(self, kind: str, wildcards: Wildcards) -> Any:
        """The artifact's own parameters."""
        return self._remember("params", kind, wildcards, lambda: self.kinds[kind].params(self.at(wildcards)))

    def code(self, kind: str, wildcards: Wildcards) -> Closure:
        """All code that makes the artifact."""
        declared = self.kinds[kind]
        return closure(declared.module, self.members(self.at(wildcards)), declared.script or declared.by)

    def own(self, kind: str, wildcards: Wildcards) -> str:
        """Digest of the code, the versions and the artifact's own parameters: the key without its inputs."""

        def compute() -> str:
            code = self.code(kind, wildcards)
            return digest([kind, code.modules, code.versions, self.params(kind, wildcards)])

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
        code = self.code(kind, wildcards)
        return {
            "kind": kind,
            "path": declared.path.format(**wildcards),
            "shown": declared.paths(wildcards),
            "key": self.key(kind, wildcards),
            "own": self.own(kind, wildcards),
            "module": declared.module,
            "modules": code.modules,
            "versions": code.versions,
            "params": self.params(kind, wildcards),
        }
