"""Copies of this checkout with toy studies, and what their `snakemake` says and does."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import yaml
from mt_geneval_files import lay, planted_sentences

from crosslens.store.digests import content_digest

REPOSITORY = Path(__file__).parents[2]
START = str(REPOSITORY / "tests/workflow/start_snakemake.py")
COPIED = (
    "src",
    "rules",
    "workflow",
    "Snakefile",
    "profiles",
    "envs",
    "claims",
    "resources/lexicons",
    "resources/rates.json",
    "config/config.yaml",
)
WORK = {script.stem for script in (REPOSITORY / "workflow/scripts").glob("*.py")} - {"link", "link_pages"}
"""The rules that compute; the others name or collect."""

TOY = {
    "model": {"id": "resources/planted"},
    "languages": ["en", "ar"],
    "source": {"planted": {"images": 60, "seed": 7}},
    "prompts": {"en": "Describe the picture.", "ar": "صف الصورة."},
    "lexicons": {language: f"resources/lexicons/planted_{language}.yaml" for language in ("en", "ar")},
    "splits": {"train": 0.5, "select": 0.25, "test": 0.25},
    "sites": ["1"],
    "activations": {"part_rows": 30, "batch_tokens": 2048, "shard_mb": 0.25},
    "sae": {"corpora": ["joint"], "k": 8, "expansion": 2, "epochs": 2, "batch_tokens": 256},
    "quality": {"spliced_samples": 4},
    "features": {"top_examples": 2},
    "gender": {"bootstraps": 20, "permutations": 799, "grammar_permutations": 199},
    "stereotype": {"samples_per_image": 2, "max_new_tokens": 12, "batch": 64},
}
MINI = {
    **TOY,
    "languages": ["en"],
    "source": {"planted": {"images": 30, "seed": 7}},
    "prompts": {"en": "Describe the picture."},
    "lexicons": {"en": "resources/lexicons/planted_en.yaml"},
    "activations": {**TOY["activations"], "batch_tokens": 512},
    "sae": {**TOY["sae"], "corpora": ["en"], "epochs": 4, "checkpoint_tokens": 512},
    "gender": {"bootstraps": 20, "permutations": 799},
}
"""One language, one part: the shortest chain to an SAE."""
UNGENDERED = {name: value for name, value in MINI.items() if name not in ("lexicons", "stereotype")} | {
    "gender": None
}
"""The same of texts that nobody asks for a gender."""
MINI_SAE = "results/mini/sae/en/layer_1/seed_0/cfg.json"

ANSWERS = {
    **{name: TOY[name] for name in ("model", "splits", "quality", "features")},
    "languages": ["ar"],
    "source": {"prompts": ["صف الصورة.", "من في الصورة؟", "ماذا ترى؟", "أين هذا؟"]},
    "generation": {"samples": 4, "max_new_tokens": 8, "temperature": 1.0},
    "gender": None,
    "sites": ["1", "2"],
    "activations": {"roles": ["prompt", "generated"], "batch_tokens": 512, "shard_mb": 0.25},
    "sae": {
        "sites": ["1"],
        "roles": ["generated"],
        "k": 4,
        "expansion": 1,
        "epochs": 4,
        "batch_tokens": 32,
    },
}
"""A generation study: the model answers four prompts, and one of two sites gets an SAE."""
ANSWERS_PAGE = "results/answers/report/index.html"

SENTENCES = {
    **{name: TOY[name] for name in ("model", "languages", "quality", "features", "sites")},
    "source": {"mt_geneval": {"folder": "data/mt_geneval"}},
    "prompts": {"en": "", "ar": ""},
    "activations": {"batch_tokens": 2048, "shard_mb": 0.25},
    "sae": {**TOY["sae"], "epochs": 1},
    "gender": {**TOY["gender"], "conditions": ["caption"]},
}
"""Sentences in two genders, in files such as MT-GenEval's (see `lay_sentences`)."""
SENTENCES_PAGE = "results/sentences/report/index.html"


def lay_sentences(checkout: "Checkout") -> None:
    """The study `sentences` and its files: 32 sentences of dev and 12 of test that the embedded model could have written."""
    planted = planted_sentences(44)
    lay(checkout.folder / "data/mt_geneval", {"dev": planted[:32], "test": planted[32:]})
    checkout.configure("sentences", SENTENCES)


def snapshot(folder: Path) -> Path:
    """Copy the files of this repository that the workflow consists of, and beside them the model, to `folder`."""
    shutil.copytree(REPOSITORY / "resources/planted", folder / "planted")
    for name in COPIED:
        source, target = REPOSITORY / name, folder / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    (folder / "source/slurm").symlink_to("profiles/slurm")
    return folder / "source"


class Checkout:
    """A folder with the workflow and the studies `toy` and `mini`."""

    python = sys.executable
    """What runs its jobs, and Snakemake where it is waited for (see crosslens.warm)."""

    def __init__(self, folder: Path, store: str | None = None):
        self.folder, self.store = folder, store
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("CROSSLENS_STORE", "SNAKEMAKE_PROFILE", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
        }
        self.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        # A fork has one thread.
        self.environment["OMP_NUM_THREADS"] = "1"
        if store:
            self.environment["CROSSLENS_STORE"] = store

    @classmethod
    def create(cls, folder: Path, source: Path, store: str | None = None) -> "Checkout":
        """A fresh checkout of the files in `source` (see snapshot): nothing made yet."""
        shutil.copytree(source, folder, symlinks=True)
        (folder / "resources/planted").symlink_to(source.with_name("planted"))
        checkout = cls(folder, store)
        checkout.configure("toy", TOY)
        checkout.configure("mini", MINI)
        (folder / "config/config.yaml").write_text("run: [toy]\n")
        return checkout

    def copy(self, folder: Path) -> "Checkout":
        """The same folder elsewhere, links as they are."""
        subprocess.run(["cp", "-a", str(self.folder), str(folder)], check=True)
        return Checkout(folder)

    def configure(self, study: str, settings: dict) -> None:
        """Write the study's file."""
        file = self.folder / f"config/studies/{study}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace the first `old` by `new` in a file, which has it."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{file} has no {old!r}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def append(self, file: str, text: str) -> None:
        """Add text at the end of a file."""
        path = self.folder / file
        path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")

    def command(self, *args: str, by: str = sys.executable) -> list[str]:
        """The command line of snakemake, run `by` that interpreter."""
        return [by, START, self.python, "--cores", "2", *args]

    def snakemake(self, *args: str, fails: bool = False) -> str:
        """Everything that snakemake says; it must end with success, or `fails`."""
        ended = subprocess.run(
            self.command(*args, by=self.python),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = ended.stdout
        if (ended.returncode != 0) != fails:
            logs = [
                f"--- {log}\n{log.read_text()}"
                for log in self.folder.glob("logs/*/*.log")
                if log.stat().st_size
            ]
            raise AssertionError(
                f"snakemake {args} ended with {ended.returncode}\n{said}\n{''.join(logs)[-6000:]}"
            )
        return said

    def planned(self, *targets: str) -> Counter:
        """Rule to number of jobs that a dry run would start; collecting rules are left out."""
        jobs = counted(self.snakemake("-n", *targets))
        return Counter(
            {rule: count for rule, count in jobs.items() if not rule.startswith("all") and rule != "report"}
        )

    def work(self, *targets: str) -> Counter:
        """As `planned`, only the rules that compute."""
        return Counter({rule: count for rule, count in self.planned(*targets).items() if rule in WORK})

    def run(self, *targets: str, fails: bool = False) -> Counter:
        """Build the targets; rule to number of jobs."""
        return counted(self.snakemake(*targets, fails=fails))

    def start(self, *targets: str) -> subprocess.Popen:
        """Build the targets in a process group of its own."""
        with (self.folder / "snakemake.out").open("w") as out:
            return subprocess.Popen(
                self.command(*targets),
                cwd=self.folder,
                env=self.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def crosslens(self, *args: str) -> subprocess.CompletedProcess:
        """`crosslens store …`."""
        return subprocess.run(
            [sys.executable, "-m", "crosslens.cli", "store", *args],
            cwd=self.folder,
            env=self.environment | {"PYTHONPATH": str(self.folder / "src")},
            capture_output=True,
            text=True,
        )

    @property
    def stored(self) -> Path:
        """The store that is written."""
        return Path(self.store.split(":")[0]) if self.store else self.folder / "results/.store"

    def records(self) -> list[dict]:
        """What is kept of every artifact, with its object's name."""
        return [
            {
                "object": action.readlink().name,
                "action": action,
                **json.loads(action.with_suffix(".json").read_text()),
            }
            for action in self.stored.glob("actions/*/*")
            if action.is_symlink() and action.with_suffix(".json").exists()
        ]

    def has(self, key: str) -> bool:
        """True if the store holds what `key` names."""
        return (self.stored / "actions" / key[:2] / key).exists()

    def drop(self, study: str, *kinds: str) -> None:
        """Remove the objects of these kinds of artifacts, with all that points at them."""
        names = {
            record["object"]
            for record in self.records()
            if record["recipe"]["kind"] in kinds and record["recipe"]["path"].startswith(f"results/{study}/")
        }
        for action in self.stored.glob("actions/*/*"):
            if action.is_symlink() and action.readlink().name in names:
                action.unlink()
        for name in names:
            place = self.stored / "objects" / name[:2] / name
            shutil.rmtree(place) if place.is_dir() else place.unlink()

    def digests(self) -> dict[str, str]:
        """Shown path to digest of every artifact that is linked under results/ (of each file of a folder artifact)."""
        return {
            path.relative_to(self.folder).as_posix(): content_digest(path)
            for path in sorted((self.folder / "results").rglob("*"))
            if path.is_symlink() and ".store" not in path.parts and path.exists()
        }

    def assert_sound(self) -> None:
        """Every object is what its name says, and no work in progress counts as done."""
        for target in self.stored.glob("objects/*/*"):
            assert content_digest(target) == target.name.split(".")[0], target
        for action in self.stored.glob("actions/*/*"):
            assert not action.is_symlink() or action.exists(), f"{action} points at nothing"

    def unlock(self) -> None:
        """After a kill."""
        self.snakemake("--unlock")


def write_tiny_gguf(path: Path) -> Path:
    """A random Gemma-3 of seven blocks as a GGUF file. Needs the package gguf."""
    sys.path.insert(0, str(REPOSITORY / "tests/models"))
    from test_gguf import tiny, write_gguf

    path.parent.mkdir(parents=True, exist_ok=True)
    model, vocabulary = tiny("gemma3")
    return write_gguf(path, model, "gemma3", vocabulary)


def counted(said: str) -> Counter:
    """Rule to number of jobs of the first table `Job stats`; empty if nothing is to be done."""
    found = re.search(r"^Job stats:\njob +count\n[- ]+\n(.*?)^total", said, re.MULTILINE | re.DOTALL)
    if found is None:
        assert "Nothing to be done" in said, said
        return Counter()
    return Counter({line.split()[0]: int(line.split()[1]) for line in found[1].splitlines()})


def kill_group(process: subprocess.Popen) -> None:
    """SIGKILL snakemake and all of its jobs."""
    with contextlib.suppress(ProcessLookupError):  # it ended by itself this very moment
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(condition, process: subprocess.Popen | None = None, seconds: float = 240.0):
    """The first true value of `condition()`; None once `process` has ended without one."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        if process is not None and process.poll() is not None:
            return condition() or None
        time.sleep(0.05)
    raise AssertionError("nothing happened")
