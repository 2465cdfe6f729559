"""A work job: makes what the store lacks, and nothing else."""

import contextlib
import copy
import json
import logging
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.store.changed import changed_code, check_versions, versions_of
from crosslens.store.digests import FileDigests, digest
from crosslens.store.lease import Lease
from crosslens.store.seals import is_sealed, looks, seal
from crosslens.store.store import Store, writable

log = logging.getLogger(__name__)

_AT_ONCE = 1_000_000_000
"""Nanoseconds between a folder's mtime and its ctime where both are of one change, also on a file system that sets them apart."""

Make = Callable[[dict[str, Path]], None]
Maker = Callable[["Job", Path], None]
"""Makes one artifact: what the job tells of that artifact alone, and the path to write."""


@cache
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
    # Only a job that computed there: a GPU that is there may be another's, and asking begins to use it.
    if torch is not None and torch.cuda.is_initialized():
        kind += f", {torch.cuda.get_device_name()}"
    return kind


def _peak_megabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


class Job:
    """What a work rule tells its script: the recipes to make, their inputs, and where this runs.

    The rule's one parameter `job` is a JSON string: {"artifacts": {name: {"recipe": …, "kind": …, "suffix": ".zarr",
    "inputs": [keys of its own]}}, "inputs": [{"key": …, "path": …, "files": […], "kind": …, "wildcards": {…}}],
    "files": {path of a file of the user's: the digest that the keys hold, null where there was none}, "local": {…}, "python": …};
    "python": the version, 3.11, that read the code. `local` holds what does not decide the result (device, place of the
    model). The script picks its inputs by kind and wildcards, and is given their objects: a link under results/ may show
    another artifact by the time it is read. An artifact may be made from one that stands before it in the same job.
    """

    def __init__(self, snakemake: Any, store: Store | None = None):
        document = json.loads(snakemake.params.job)
        self.artifacts: dict[str, dict[str, Any]] = document["artifacts"]
        self.inputs: list[dict[str, Any]] = document["inputs"]
        self._files: dict[str, str | None] = document["files"]
        self._local: dict[str, Any] = document["local"]
        self._objects: dict[str, Path] = {}
        self.wildcards = dict(snakemake.wildcards)
        self.threads = int(snakemake.threads)
        self.store = store or Store()
        self._log_to(snakemake.log[0] if snakemake.log else None)
        # Now, when it is loaded: an edit from here on is none of what this job runs.
        recipes = [artifact["recipe"] for artifact in self.artifacts.values()]
        held = {name: sha256 for recipe in recipes for name, sha256 in recipe.get("modules", {}).items()}
        self._changed_code = changed_code(held, self.store.roots) if held else []
        self._versions = {name: told for recipe in recipes for name, told in versions_of(recipe).items()}
        self._python: str = document["python"]
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

    @property
    def local(self) -> dict[str, Any]:
        """What does not decide the result; a place within an input is that in its object."""

        def found(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: found(inner) for name, inner in value.items()}
            for entry in self.inputs if isinstance(value, str) else ():
                if f"{value}/".startswith(f"{entry['path']}/"):
                    return str(self.object(entry)) + value[len(entry["path"]) :]
            return value

        return found(self._local)

    def object(self, entry: dict[str, Any]) -> Path:
        """An input's file or folder in the store, its bytes those that its name says; InputError where they are not."""
        key = entry["key"]
        for wait in (0, 1, 2, 4, 8):
            if key in self._objects:
                return self._objects[key]
            time.sleep(wait)  # network file systems show to one host late what another has made
            if self.store.has(key):
                self._objects[key] = self._sound(entry)
        raise InputError(
            entry["path"],
            found=f"nothing of key {key[:12]} in the store",
            expected="the artifact",
            mend="run snakemake again: it makes it anew",
        )

    def _sound(self, entry: dict[str, Any]) -> Path:
        found = self.store.object(entry["key"])
        if not is_sealed(self.store, found):
            shown = "/".join([entry["path"], *entry["files"][:1]])
            raise InputError(
                entry["path"],
                found=f"bytes that are not those of {found.name[:12]}",
                expected="what was stored",
                mend=f"`crosslens store forget {shown}`, then `snakemake {shown}`",
            )
        return found

    @property
    def files(self) -> list[str]:
        """The user's own that the script reads."""
        return [file for file, held in self._files.items() if held]

    def check_code(self) -> None:
        """Raise InputError where the code that was loaded, or a package that decides numbers, is not what the keys hold."""
        if self._changed_code and self._python != _python():
            raise InputError(
                self._changed_code[0],
                found=f"Python {_python()} where this job runs, which tells its code otherwise",
                expected=f"{self._python}, as where snakemake runs: keys hold what that tells; nothing was stored",
                mend=f"`python ={self._python}` in envs/*.yaml, or start snakemake with Python {_python()}",
            )
        if self._changed_code:
            raise InputError(
                self._changed_code[0],
                found="it was changed since the run began",
                expected="the code that the run began with; nothing was stored",
                mend="run snakemake again: it makes what the code decides now",
            )
        check_versions(self._versions)

    def check_files(self) -> None:
        """Raise InputError where a file of the user's is no longer what the keys hold: nor is what was made of it."""
        digests = FileDigests(self.store.own / "files.json")
        for file, held in self._files.items():
            found = digests(Path(file)) if Path(file).is_file() else None
            if found != held:
                raise InputError(
                    file,
                    found=_became(held, found),
                    expected="what the run began with; nothing was stored",
                    mend="run snakemake again: it makes what the file decides now",
                )
        digests.save()

    def by(self, kind: str, *names: str, **wildcards: str) -> dict[str, list[Path]]:
        """The inputs of one kind with these wildcards, grouped by the values of others, joined with a slash."""
        groups: dict[str, list[Path]] = {}
        for entry in self._chosen(kind, wildcards):
            groups.setdefault(_value(entry, names), []).append(self.object(entry))
        return groups

    def paths(self, kind: str, **wildcards: str) -> list[Path]:
        """The inputs of one kind whose wildcards are these, in the recipe's order."""
        return [self.object(entry) for entry in self._chosen(kind, wildcards)]

    def path(self, kind: str, **wildcards: str) -> Path:
        """The one input of that kind with these wildcards."""
        (found,) = self.paths(kind, **wildcards)
        return found

    def one_by(self, kind: str, *names: str, **wildcards: str) -> dict[str, Path]:
        """As `by`, where every group is one input."""
        return {group: path for group, (path,) in self.by(kind, *names, **wildcards).items()}

    def file_by(self, kind: str, file: str, *names: str) -> dict[str, Path]:
        """As `one_by`, that file of each input; inputs that are made without it are left out."""
        having = [entry for entry in self._chosen(kind, {}) if file in entry["files"]]
        return {_value(entry, names): self.object(entry) / file for entry in having}

    def _chosen(self, kind: str, wildcards: dict[str, str]) -> list[dict[str, Any]]:
        return [
            entry
            for entry in self.inputs
            if entry["kind"] == kind and wildcards.items() <= entry["wildcards"].items()
        ]

    def by_kind(self, *names: str) -> dict[str, dict[str, Path]]:
        """All inputs that are whole: kind to what `one_by` gives, by those of the wildcards `names` that it has."""
        return self._by_kind(names, self.object)

    def shown_by_kind(self, *names: str) -> dict[str, dict[str, str]]:
        """The same with the paths under results/ that people know."""
        return self._by_kind(names, lambda entry: entry["path"])

    def _by_kind(self, names: tuple[str, ...], told: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        found: dict[str, dict[str, Any]] = {}
        for entry in self.inputs:
            if "part" not in entry["wildcards"]:
                key = "/".join(entry["wildcards"][name] for name in names if name in entry["wildcards"])
                found.setdefault(entry["kind"], {})[key] = told(entry)
        return found

    def files_by(self, suffix: str, *names: str) -> dict[str, Path]:
        """The files with that suffix of all inputs, by those of the wildcards `names` that one has, and their stem."""
        return {
            "/".join(
                [*(entry["wildcards"][name] for name in names if name in entry["wildcards"]), Path(file).stem]
            ): self.object(entry) / file
            for entry in self.inputs
            for file in entry["files"]
            if file.endswith(suffix)
        }

    def only(self, name: str) -> "Job":
        """The same job with one artifact, its parameters and its own inputs."""
        own = copy.copy(self)
        own.artifacts = {name: self.artifacts[name]}
        own.inputs = [entry for entry in self.inputs if entry["key"] in own.artifacts[name]["inputs"]]
        return own

    def run(self, make: Make) -> None:
        """Make what the store lacks in one call; bad input is told in one line, anything else with its traceback."""
        if not self._succeeds(lambda: build(self, make)):
            sys.exit(1)

    def each(self, **makers: Maker) -> None:
        """Make what the store lacks one by one, each artifact by the maker of its kind; errors are told as by `run`.

        One that fails keeps none of the others from being made but those that are made from it.
        """

        def one(name: str) -> None:
            own, make = self.only(name), makers[self.artifacts[name]["kind"]]
            build(own, lambda out: make(own, out[name]))

        failed: set[str] = set()
        for name, artifact in self.artifacts.items():
            if failed & set(artifact["inputs"]):
                log.error("%s: not made, since what it is made from failed", artifact["recipe"]["path"])
            elif self._succeeds(partial(one, name)):
                continue
            failed.add(artifact["recipe"]["key"])
        if failed:
            sys.exit(1)

    def _succeeds(self, work: Callable[[], Any]) -> bool:
        """Do the work, and tell in the log what ends it."""
        try:
            work()
        except InputError as error:
            log.error("%s", self._shown(str(error)))
        except Exception:
            log.exception("the job failed")
        else:
            return True
        return False

    def _shown(self, text: str) -> str:
        """The text with the paths under results/ that people know."""
        for entry in self.inputs:
            if entry["key"] in self._objects:
                text = text.replace(str(self._objects[entry["key"]]), entry["path"])
        return text


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _became(held: str | None, found: str | None) -> str:
    if held is None:
        return "a file that was not there when the run began"
    return "it was changed since the run began" if found else "no file any more"


def _seen(files: Iterable[str]) -> dict[str, Any]:
    """How files look, and the links on the way to them: one that is turned elsewhere and back leads to the same file."""
    places = {place for file in files for place in (Path(file).absolute(), *Path(file).absolute().parents)}
    links = {str(place): place.lstat() for place in places if place.is_symlink()}
    turned = {f"the link {link}": [stat.st_ino, stat.st_ctime_ns] for link, stat in links.items()}
    return turned | {file: looks([file]) for file in files if Path(file).exists()}


def _folders(files: Iterable[str]) -> dict[Path, os.stat_result]:
    """The folders above files, and above where links among these lead."""
    near = {Path(file).absolute().parent for file in files}
    ends = {end for folder in near for end in (folder, folder.resolve())}
    ways = {way for end in ends for way in (end, *end.parents)}
    return {way: way.stat() for way in ways if way.is_dir()}


def _was_moved(before: os.stat_result, now: os.stat_result) -> bool:
    """Whether a folder was renamed: that changes its ctime alone, and what is put into it the mtime, too (POSIX)."""
    if now.st_ino != before.st_ino:
        return True
    return now.st_ctime_ns != before.st_ctime_ns and now.st_ctime_ns - now.st_mtime_ns > _AT_ONCE


def _check_unwritten(files: Iterable[str], seen: dict[str, Any], folders: dict[Path, os.stat_result]) -> None:
    """Raise InputError where a file was written since it looked so, or a folder above it moved: an edit that was taken
    back, or another folder in its place, may have been read."""
    now, above = _seen(files), _folders(files)
    for folder, looked in folders.items():
        if folder in above and _was_moved(looked, above[folder]):
            raise InputError(
                folder,
                found="it was moved (or its rights were changed) since the job began, though it is there again",
                expected="a folder that is left alone while its files are read; nothing was stored",
                mend="run snakemake again",
            )
    for file, looked in seen.items():
        if now.get(file) != looked:
            raise InputError(
                file,
                found="it was written since the job began, though it says the same again",
                expected="a file that is left alone while it is read; nothing was stored",
                mend="run snakemake again",
            )


def _value(entry: dict[str, Any], names: tuple[str, ...]) -> str:
    return "/".join(entry["wildcards"][name] for name in names)


@contextlib.contextmanager
def _files_kept(job: Job, leases: Mapping[str, Lease], contents: Mapping[str, list[str]]) -> Iterator[None]:
    """Files of the user's are what the keys hold before and after; from work that saw others nobody resumes.

    Nor from work on inputs of other bytes (`contents`: the objects that each artifact is made from): what is made anew
    under the same key may differ, as on a machine of other arithmetic.
    """
    seen, folders = _seen(job.files), _folders(job.files)
    job.check_files()
    for name, lease in leases.items():
        if not lease.begin(digest([seen, contents[name]])):
            path = job.artifacts[name]["recipe"]["path"]
            log.info("%s: begun anew; what an earlier job left was made from other bytes", path)
    try:
        yield
    finally:
        try:
            job.check_files()
            _check_unwritten(job.files, seen, folders)
        except InputError:
            for lease in leases.values():
                lease.clear()
            raise


def build(job: Job, make: Make) -> None:
    """Make the artifacts of `job` that the store lacks, with one call of `make({name: path to write})`.

    An artifact whose key is unknown is looked up again by its own recipe and the content of its inputs
    (early cutoff): inputs that were made anew with the same bytes remake nothing.
    """
    store = job.store
    inputs = [{**entry, "object": job.object(entry).name} for entry in job.inputs]
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        leases: dict[str, Lease] = {}
        cutoffs, contents = {}, {}
        for name, artifact in job.artifacts.items():
            recipe = artifact["recipe"]
            contents[name] = [entry["object"] for entry in inputs if entry["key"] in artifact["inputs"]]
            cutoffs[name] = digest(["cutoff", recipe["own"], contents[name]]) if contents[name] else None
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
        worked = time.monotonic()
        if outputs:
            job.check_code()
            with writable(store.own), _files_kept(job, leases, contents):
                make(outputs)
        record = {
            "threads": job.threads,
            # Its share of the call that made it, so that a study's records add up to the work of its jobs.
            "work_seconds": round((time.monotonic() - worked) / max(1, len(outputs)), 3),
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
                store.publish(key, target, {"recipe": recipe, "object": target.name, **record})
            seal(store, target)  # last: publishing makes it young again
    for name, artifact in job.artifacts.items():
        if cutoffs[name]:
            recipe = artifact["recipe"]
            store.publish(
                cutoffs[name], store.object(recipe["key"]), {"recipe": recipe, "same_as": recipe["key"]}
            )
