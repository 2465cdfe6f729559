import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from crosslens.store.job import Job
from crosslens.store.store import Store


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.delenv("CROSSLENS_STORE", raising=False)
    return Store(str(tmp_path / "results" / ".store"))


class Bench:
    """Jobs without Snakemake: their recipes by hand, their inputs linked as the name rules link them."""

    def __init__(self, store: Store, folder: Path):
        self.store, self.folder = store, folder

    def link(self, key: str, name: str) -> Path:
        """A path under results/ that shows the artifact of `key`, as link.py makes it."""
        path = self.folder / "results" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(self.store.action(key))
        return path

    def job(
        self,
        *names: str,
        key: str = "k",
        own: str = "own",
        inputs: tuple[tuple[str, Path], ...] = (),
        **document,
    ) -> Job:
        """A job that makes `names`, each under the key `<key>-<name>`; document: its other entries."""
        artifacts = {
            name: {
                "recipe": {
                    "kind": "toy",
                    "key": f"{key}-{name}",
                    "own": f"{own}-{name}",
                    "path": f"results/toy/{name}",
                    "shown": [f"results/toy/{name}"],
                    "module": "crosslens.toy",
                    "params": {"name": name},
                },
                "kind": "toy",
                "suffix": ".txt",
                "inputs": [key for key, _ in inputs],
            }
            for name in names
        }
        document = {
            "artifacts": artifacts,
            "inputs": [
                {"key": key, "path": str(path), "files": [], "kind": "input", "wildcards": {}}
                for key, path in inputs
            ],
            "files": {},
            "local": {},
            "python": "{}.{}".format(*sys.version_info),
            **document,
        }
        rule = SimpleNamespace(
            params=SimpleNamespace(job=json.dumps(document)),
            wildcards={},
            threads=1,
            log=[str(self.folder / "job.log")],
        )
        return Job(rule, self.store)


@pytest.fixture
def bench(store, tmp_path):
    return Bench(store, tmp_path)
