"""A job that makes several artifacts makes the same bytes whichever of them the store already holds."""

import os
import re
import runpy
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from checkouts import ANSWERS, TOY

from crosslens.artifacts.kinds import Need
from crosslens.artifacts.table import STAGES, Studies, Table
from crosslens.registry import member, names
from crosslens.store.digests import FileDigests
from crosslens.store.job import Job
from crosslens.store.maintenance import record_of
from crosslens.store.store import Store
from crosslens.study.study import Study

ROOT = Path(__file__).parents[2]
STUDIES = {
    "small": {
        **TOY,
        "source": {"planted": {"images": 30, "seed": 7}},
        "sites": ["1", "2"],
        "sae": {**TOY["sae"], "sites": ["1"], "corpora": ["joint", "en"], "seeds": [0]},
        "sweep": {"k": [4]},
        "gender": {**TOY["gender"], "conditions": ["prompt", "caption", "generated"]},
        "embeddings": {"methods": ["pca"], "permutations": 10},
        "geometry": {"permutations": 19},
        "describe": {"features": 1, "examples": 1},
    },
    "answers": ANSWERS,
}
SLOW = (
    "analyse_activations",
    "analyse_codes",
    "describe_features",
    "draw_layer_figures",
    "draw_maps",
    "draw_study_figures",
    "measure_geometry",
    "splice_saes",
    "splice_swept_saes",
)
ASKING = "ask_endpoint"
"""Asks a server, which need not say the same twice."""
SEVERAL = [
    work.rule
    for stage in names(STAGES)
    for work in member(STAGES, stage).WORK
    if work.per is not None and work.rule != ASKING
]
BORROWED = {
    name: of
    for file in sorted((ROOT / "rules").glob("*.smk"))
    for of, name in re.findall(r"^use rule (\w+) as (\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
}
"""Rules that run the script of another."""


class World:
    """Studies whose jobs run in this process, without Snakemake."""

    def __init__(self, folder: Path):
        digests, schema = FileDigests(folder / "files.json"), Path("workflow/schemas/study.schema.yaml")
        for name, settings in STUDIES.items():
            (folder / f"{name}.yaml").write_text(
                yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8"
            )
        self.table = Table(Studies(lambda name: Study(name, folder, schema, digests)))
        self.folder, self.store = folder, Store(str(folder / "store"))

    def jobs(self, rule: str) -> list[dict[str, str]]:
        """The wildcards of every job of a rule."""
        found = {}
        for study in STUDIES:
            for kind, wildcards in self.table.everything(study):
                if self.table.kinds[kind].by == rule:
                    own = {name: wildcards[name] for name in self.table.per(rule)}
                    found[tuple(own.items())] = own
        return list(found.values())

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


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.chdir(ROOT)
    for name in ("CROSSLENS_STORE", "OMP_NUM_THREADS"):
        patch.setenv(name, "")
    patch.setattr(Job, "_log_to", staticmethod(lambda file: None))
    yield World(tmp_path_factory.mktemp("world"))
    patch.undo()


def half(outputs: list[str]) -> list[tuple[str, ...]]:
    """Every second."""
    return [tuple(outputs[::2])]


def subsets(outputs: list[str]) -> list[tuple[str, ...]]:
    """All but the whole; of many, each alone and the halves."""
    if len(outputs) < 5:
        return [chosen for size in range(1, len(outputs)) for chosen in combinations(outputs, size)]
    return [*((name,) for name in outputs), tuple(outputs[::2]), tuple(outputs[1::2])]


@pytest.mark.parametrize(
    ("rule", "forgetting"),
    [
        *(pytest.param(rule, half, id=rule) for rule in SEVERAL if rule not in SLOW),
        *(pytest.param(rule, subsets, id=f"{rule}-each", marks=pytest.mark.long) for rule in SEVERAL),
    ],
)
def test_any_of_its_artifacts_forgotten_come_back_with_the_same_bytes(world, rule, forgetting):
    place = max(world.jobs(rule), key=lambda place: len(world.table.makes(rule, place)))
    keys = {name: world.table.key(*need) for name, need in world.make(rule, place).items()}
    assert len(keys) > 1, f"no study here has a job of {rule} that makes several artifacts"
    whole = {name: world.store.object(key).name for name, key in keys.items()}
    for number, forgotten in enumerate(forgetting(sorted(keys))):
        kept = world.without({keys[name] for name in forgotten}, f"{rule}_{forgetting.__name__}_{number}")
        own = Store(f"{kept}_own:{kept}")
        world.run(rule, place, ":".join(str(root) for root in own.roots))
        found = {name: own.object(keys[name]).name for name in forgotten}
        assert found == {name: whole[name] for name in forgotten}, f"without {forgotten}"
        made = {action.name for action in own.own.glob("actions/*/*") if not action.suffix}
        assert not made & {keys[name] for name in keys.keys() - set(forgotten)}
