"""Jobs of a study without Snakemake: in this process, or in one of their own that can be killed."""

import contextlib
import os
import re
import runpy
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from crosslens.artifacts.kinds import Need
from crosslens.artifacts.table import Studies, Table
from crosslens.store.digests import FileDigests
from crosslens.store.job import Job
from crosslens.store.maintenance import record_of
from crosslens.store.store import Store
from crosslens.study.study import Study

ROOT = Path(__file__).parents[1]
BORROWED = {
    name: of
    for file in sorted((ROOT / "rules").glob("*.smk"))
    for of, name in re.findall(r"^use rule (\w+) as (\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
}
"""Rules that run the script of another."""


@contextlib.contextmanager
def at_root(log: Callable[[Any], None]) -> Iterator[None]:
    """The repository's root is the working directory, no store is named, and `log` gets a job's log in the place of its file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for name in ("CROSSLENS_STORE", "OMP_NUM_THREADS"):
            patch.setenv(name, "")
        patch.setattr(Job, "_log_to", staticmethod(log))
        yield


class World:
    """Studies, and a store that their jobs fill as they are asked for. The working directory is the repository's root."""

    def __init__(self, folder: Path, studies: dict[str, dict[str, Any]]):
        digests, schema = FileDigests(folder / "files.json"), Path("workflow/schemas/study.schema.yaml")
        for name, settings in studies.items():
            (folder / f"{name}.yaml").write_text(
                yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8"
            )
        self.table = Table(Studies(lambda name: Study(name, folder, schema, digests)))
        self.studies, self.folder, self.store = [*studies], folder, Store(str(folder / "store"))

    def jobs(self, rule: str) -> list[dict[str, str]]:
        """The wildcards of every job of a rule."""
        found = {}
        for study in self.studies:
            for kind, wildcards in self.table.everything(study):
                if self.table.kinds[kind].by == rule:
                    own = {name: wildcards[name] for name in self.table.per(rule)}
                    found[tuple(own.items())] = own
        return list(found.values())

    def largest(self, rule: str) -> dict[str, str]:
        """The job of a rule that makes most artifacts."""
        return max(self.jobs(rule), key=lambda place: len(self.table.makes(rule, place)))

    def keys(self, rule: str, wildcards: dict[str, str]) -> dict[str, str]:
        """Of all that one job makes, by what it calls it."""
        return {name: self.table.key(*need) for name, need in self.table.makes(rule, wildcards).items()}

    def run(self, rule: str, wildcards: dict[str, str], roots: str) -> None:
        """The script of the rule, as Snakemake runs it."""
        job = self.table.job(rule, wildcards)
        snakemake = SimpleNamespace(
            params=SimpleNamespace(job=job), wildcards=wildcards, threads=torch.get_num_threads(), log=[]
        )
        os.environ["CROSSLENS_STORE"] = roots
        runpy.run_path(f"workflow/scripts/{BORROWED.get(rule, rule)}.py", {"snakemake": snakemake})

    def make(self, rule: str, wildcards: dict[str, str]) -> dict[str, Need]:
        """Run a job after all that it reads was made; what it makes."""
        made = self.table.makes(rule, wildcards)
        for kind, w in self.table.inputs(rule, wildcards):
            by = self.table.kinds[kind].by
            if by != rule and not self.store.has(self.table.key(kind, w)):
                self.make(by, {name: w[name] for name in self.table.per(by)})
        self.run(rule, wildcards, str(self.store.own))
        return made

    def without(self, forgotten: Iterable[str], name: str) -> Path:
        """A root that has what the store has, but for these keys and what is found by content."""
        root = self.folder / name
        for action in self.store.own.glob("actions/*/*"):
            key = record_of(action).get("recipe", {}).get("key")
            if action.name == key and key not in forgotten:
                place = root / "actions" / action.parent.name / action.name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(action.resolve())
        return root


class Fork:
    """A process that does `work`; what it says is in `said`."""

    def __init__(self, work: Callable[[], None], said: Path):
        self.said, said_to = said, os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self.status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                for stream in (1, 2):
                    os.dup2(said_to, stream)
                # pytest has put others in their place
                sys.stdout = sys.stderr = open(said_to, "w", buffering=1)  # noqa: PTH123
                work()
                status = 0
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(said_to)

    def kill(self) -> None:
        """SIGKILL, if it has not ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """How it ended: its status, or minus the signal."""
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def ends(self) -> bool:
        """Whether it has."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None
