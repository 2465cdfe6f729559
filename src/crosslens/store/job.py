"""A work job: makes what the store lacks, and nothing else."""

import contextlib
import json
import logging
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.store.digests import digest
from crosslens.store.lease import Lease
from crosslens.store.store import Store, writable

log = logging.getLogger(__name__)

Make = Callable[[dict[str, Path]], None]


def _git_commit() -> str | None:
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=5
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def _host_kind() -> str:
    kind = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        kind += f", {torch.cuda.get_device_name()}"
    return kind


def _peak_megabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _input_object(store: Store, entry: dict[str, Any]) -> str:
    """Name of an input's object, its links checked against its key; re-read for a while on network file systems."""
    key, path = entry["key"], Path(entry["path"])
    links = [path / file for file in entry["files"]] or [path]
    for wait in (0, 1, 2, 4, 8):
        time.sleep(wait)
        if store.has(key):
            expected, found = store.object(key), [link.resolve() for link in links]
            if all(expected in (place, *place.parents) for place in found):
                return expected.name
    raise InputError(
        path,
        found=f"a link to {links[0].resolve()}",
        expected=f"the artifact of key {key[:12]}",
        mend="run snakemake again: it makes the links anew",
    )


class Job:
    """What a work rule tells its script: the recipes to make, their inputs, and where this runs.

    The rule's one parameter `job` is a JSON string: {"artifacts": {name: {"recipe": …, "suffix": ".zarr", "inputs":
    [keys of its own]}}, "inputs": [{"key": …, "path": …, "files": […], "kind": …, "wildcards": {…}}], "local": {…}};
    `local` holds what does not decide the result (device, place of the model). The script picks its inputs by kind
    and wildcards.
    """

    def __init__(self, snakemake: Any, store: Store | None = None):
        document = json.loads(snakemake.params.job)
        self.artifacts: dict[str, dict[str, Any]] = document["artifacts"]
        self.inputs: list[dict[str, Any]] = document["inputs"]
        self.local: dict[str, Any] = document["local"]
        self.wildcards = dict(snakemake.wildcards)
        self.threads = int(snakemake.threads)
        self.store = store or Store()
        self._log_to(snakemake.log[0] if snakemake.log else None)
        # A process that imported torch before would use every core, whatever the rule's `threads` say.
        os.environ["OMP_NUM_THREADS"] = str(self.threads)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(self.threads)

    @staticmethod
    def _log_to(file: str | None) -> None:
        handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
        if file is not None:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            handlers.append(logging.FileHandler(file, mode="w", encoding="utf-8"))
        logging.basicConfig(
            level=logging.WARNING, handlers=handlers, format="%(asctime)s %(message)s", force=True
        )
        logging.getLogger("crosslens").setLevel(logging.INFO)

    @property
    def params(self) -> Any:
        """The artifact's own parameters, as its key has them (of the first, where there are several)."""
        return next(iter(self.artifacts.values()))["recipe"]["params"]

    def paths(self, kind: str, **wildcards: str) -> list[Path]:
        """The inputs of one kind whose wildcards are these, in the recipe's order."""
        return [path for paths in self.by(kind, **wildcards).values() for path in paths]

    def path(self, kind: str, **wildcards: str) -> Path:
        """The one input of that kind with these wildcards."""
        (found,) = self.paths(kind, **wildcards)
        return found

    def by(self, kind: str, *names: str, **wildcards: str) -> dict[str, list[Path]]:
        """The inputs of one kind grouped by the values of the wildcards `names`, joined with a slash."""
        groups: dict[str, list[Path]] = {}
        for entry in self.inputs:
            if entry["kind"] == kind and wildcards.items() <= entry["wildcards"].items():
                groups.setdefault("/".join(entry["wildcards"][name] for name in names), []).append(
                    Path(entry["path"])
                )
        return groups

    def one_by(self, kind: str, *names: str, **wildcards: str) -> dict[str, Path]:
        """As `by`, where every group is one input."""
        return {group: path for group, (path,) in self.by(kind, *names, **wildcards).items()}

    def file_by(self, kind: str, file: str, *names: str) -> dict[str, Path]:
        """As `one_by`, that file of each input; inputs that are made without it are left out."""
        having = {entry["path"] for entry in self.inputs if file in entry["files"]}
        return {
            group: folder / file
            for group, folder in self.one_by(kind, *names).items()
            if folder.as_posix() in having
        }

    def by_kind(self, *names: str) -> dict[str, dict[str, Path]]:
        """All inputs that are whole: kind to what `one_by` gives, by those of the wildcards `names` that it has."""
        found: dict[str, dict[str, Path]] = {}
        for entry in self.inputs:
            if "part" not in entry["wildcards"]:
                key = "/".join(entry["wildcards"][name] for name in names if name in entry["wildcards"])
                found.setdefault(entry["kind"], {})[key] = Path(entry["path"])
        return found

    def files_by(self, suffix: str, *names: str) -> dict[str, Path]:
        """The files with that suffix of all inputs, by those of the wildcards `names` that one has, and their stem."""
        return {
            "/".join(
                [*(entry["wildcards"][name] for name in names if name in entry["wildcards"]), Path(file).stem]
            ): Path(entry["path"], file)
            for entry in self.inputs
            for file in entry["files"]
            if file.endswith(suffix)
        }

    def run(self, make: Make) -> None:
        """Make what the store lacks; bad input is told in one line, anything else with its traceback, both in the log."""
        try:
            build(self, make)
        except InputError as error:
            log.error("%s", error)
            sys.exit(1)
        except Exception:
            log.exception("the job failed")
            sys.exit(1)


def build(job: Job, make: Make) -> None:
    """Make the artifacts of `job` that the store lacks, with one call of `make({name: path to write})`.

    An artifact whose key is unknown is looked up again by its own recipe and the content of its inputs
    (early cutoff): inputs that were made anew with the same bytes remake nothing.
    """
    store = job.store
    inputs = [{**entry, "object": _input_object(store, entry)} for entry in job.inputs]
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        leases: dict[str, Lease] = {}
        cutoffs = {}
        for name, artifact in job.artifacts.items():
            recipe = artifact["recipe"]
            contents = [entry["object"] for entry in inputs if entry["key"] in artifact["inputs"]]
            cutoffs[name] = digest(["cutoff", recipe["own"], contents]) if contents else None
            if not store.has(recipe["key"]) and cutoffs[name] and store.has(cutoffs[name]):
                record = {"recipe": recipe, "same_as": cutoffs[name]}
                store.publish(recipe["key"], store.object(cutoffs[name]), record)
                log.info("%s: reused, its inputs are the same bytes as before", recipe["path"])
            elif store.has(recipe["key"]):
                log.info("%s: already in the store", recipe["path"])
            else:
                leases[name] = stack.enter_context(store.workspace(recipe["key"]))
        outputs = {
            name: lease.folder / f"object{job.artifacts[name]['suffix']}" for name, lease in leases.items()
        }
        if outputs:
            with writable(store.own):
                make(outputs)
        record = {
            "threads": job.threads,
            "wall_seconds": round(time.monotonic() - began, 2),
            "peak_megabytes": round(_peak_megabytes()),
            "host": _host_kind(),
            "python": platform.python_version(),
            "git_commit": _git_commit() if outputs else None,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        for name, output in outputs.items():
            recipe = job.artifacts[name]["recipe"]
            if not leases[name].held():
                raise RuntimeError(
                    f"{name}: another writer took {leases[name].folder} over while this one slept"
                )
            if not output.exists():
                raise RuntimeError(f"{recipe['module']} did not write {name}")
            target = store.commit(output)
            own = job.artifacts[name]["inputs"]
            record["inputs"] = [
                {field: entry[field] for field in ("key", "path", "object")}
                for entry in inputs
                if entry["key"] in own
            ]
            log.info("%s: computed, %s", recipe["path"], target.name[:12])
            for key in filter(None, (recipe["key"], cutoffs[name])):
                store.publish(key, target, {"recipe": recipe, **record})
    for name, artifact in job.artifacts.items():
        if cutoffs[name]:
            store.publish(cutoffs[name], store.object(artifact["recipe"]["key"]))
