"""The table of artifacts against the rules, the scripts and the functions that its names lead to, for every study."""

import ast
import copy
import importlib
import re
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from crosslens.artifacts.kinds import wildcards_of
from crosslens.artifacts.table import Studies, Table
from crosslens.store.digests import FileDigests
from crosslens.study.controls import CONTROLS
from crosslens.study.study import Study

ROOT = Path(__file__).parents[2]
STUDIES = sorted(file.stem for file in (ROOT / "config/studies").glob("*.yaml"))
BLOCK = r"^(?:use )?rule (\w+)(?: as (\w+) with)?:\n(.*?)(?=^\S|\Z)"
BLOCKS = [
    block
    for file in sorted((ROOT / "rules").glob("*.smk"))
    for block in re.findall(BLOCK, file.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
]
RULES = {name or base: text for base, name, text in BLOCKS}
BASES = {name: base for base, name, _ in BLOCKS if name}
"""Rule that has another's script and resources, to that one."""
PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())


@pytest.fixture
def table(monkeypatch):
    """All shipped studies; their data need not be there."""
    monkeypatch.chdir(ROOT)
    digests = FileDigests(Path("/nowhere/files.json"))

    def read(name: str) -> Study:
        return Study(
            name,
            Path("config/studies"),
            Path("workflow/schemas/study.schema.yaml"),
            digests,
            data_needed=False,
        )

    controls = [f"{study}__{control}" for study in STUDIES for control in CONTROLS]
    return Table(Studies(read, dict.fromkeys([*STUDIES, *controls], 2)))


def test_every_kind_has_a_rule_and_every_rule_makes_something(table):
    assert {kind.by for kind in table.kinds.values()} == table.works.keys()
    assert table.works.keys() == RULES.keys() - {"planted_model", "certificate", "explore", "link_pages"}


def test_docs_storage_lists_the_artifacts(table):
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", (ROOT / "docs/storage.md").read_text(), re.MULTILINE)
    assert set(rows) == {
        (kind.name, kind.path.removeprefix("results/{study}/")) for kind in table.kinds.values()
    }


def test_a_kind_leads_to_its_rule_script_and_function_by_name(table):
    """One name for rule, script and function; a script that makes several kinds binds each to its own function."""
    for kind in table.kinds.values():
        rule, function = BASES.get(kind.by, kind.by), kind.function or kind.by
        assert (kind.script or kind.by) == rule
        script = (ROOT / f"workflow/scripts/{rule}.py").read_text(encoding="utf-8")
        assert f"from {kind.module} import {function}\n" in script, (
            f"{kind.name}: {function} of {kind.module}"
        )
        bound = f"{kind.like or kind.role or kind.name}=lambda own, out: {function}("
        assert bound in script or function == rule, f"{rule} does not bind {kind.name} to {function}"
        assert callable(getattr(importlib.import_module(kind.module), function))
        for helper in ("done", "logged", "job"):
            assert f'{helper}("{kind.by}")' in RULES[kind.by]


def test_what_a_script_imports_is_in_the_keys_of_what_it_makes(table):
    """Of a script the key holds the text alone, and of what it imports the functions that make its artifacts."""
    for kind in table.kinds.values():
        script = ROOT / f"workflow/scripts/{kind.script or kind.by}.py"
        lines = ast.walk(ast.parse(script.read_text(encoding="utf-8")))
        imported = {line.module for line in lines if isinstance(line, ast.ImportFrom | ast.Import)}
        of_others = {
            other.module
            for other in table.kinds.values()
            if (other.script or other.by) == (kind.script or kind.by)
        }
        ours = {name for name in imported if name.startswith("crosslens.")} - {"crosslens.store.job"}
        assert ours <= of_others, f"{kind.name}: {ours - of_others}"


def test_a_rule_says_what_it_makes(table):
    for rule, text in RULES.items():
        if rule in table.works and rule not in BASES:
            makes = re.search(r'"""(.*?)"""', text, re.DOTALL)
            assert makes, f"rule {rule} has no docstring"
            for kind in table.kinds_of(rule):
                assert kind.path.removeprefix("results/{study}/") in makes[1], (
                    f"{rule} does not name {kind.path}"
                )


def test_gpu_rules_are_those_of_the_rules_and_of_the_slurm_profile(table):
    gpu = {rule for rule, work in table.works.items() if work.gpu}
    assert gpu == {rule for rule in table.works if "gpu=1" in RULES[BASES.get(rule, rule)]}
    assert gpu == PROFILE["set-resources"].keys()
    assert all(
        chosen == {"slurm_partition": "gpu", "gres": "gpu:1"} for chosen in PROFILE["set-resources"].values()
    )
    assert PROFILE["default-resources"]["slurm_partition"] == "cpu"
    assert PROFILE["set-threads"].keys() <= gpu


def test_figures_are_grouped_and_none_waits_for_another(table):
    """A SLURM job of several begins once all that any of them reads is there."""
    groups = PROFILE["groups"]
    assert {rule for rule, work in table.works.items() if rule.startswith("draw_") and work.minutes <= 30} - {
        "draw_source"
    } == groups.keys()
    assert not groups.keys() & {rule for rule, work in table.works.items() if work.gpu}
    assert PROFILE["group-components"].keys() == set(groups.values())
    behind = defaultdict(set)  # of a rule all whose jobs come before its own, and their own
    for study in ("planted_full", "planted_sweep"):  # which between them draw every figure
        for kind, w in table.everything(study):
            for before, _ in table.reads((kind, w)):
                own = table.kinds[before].by
                behind[table.kinds[kind].by] |= {own, *behind[own]}
    assert groups.keys() <= behind.keys()
    for rule in groups:
        assert not {other for other in behind[rule] if groups.get(other) == groups[rule]}, rule


@pytest.mark.parametrize("study", STUDIES)
def test_what_a_study_has_is_made_and_read_within_the_table(table, study):
    """Every need is an artifact that `every` of its kind names; every artifact is made by the job of its own rule."""
    artifacts = table.everything(study)
    declared = {
        name: {
            (kind, *sorted(w.items()))
            for kind in table.kinds
            for _, w in table.at({"study": name}).every(kind)
        }
        for name in {w["study"] for _, w in artifacts}
    }
    seen = set()
    for kind, w in artifacts:
        mark = (kind, *sorted(w.items()))
        assert mark in declared[w["study"]], f"{kind} {w} is needed, and no artifact of the study"
        assert (
            set(w) == set(wildcards_of(table.kinds[kind].path))
            and (kind, w) in table.makes(table.kinds[kind].by, w).values()
        )
        for need in table.reads((kind, w)):
            assert (need[0], *sorted(need[1].items())) in seen, f"{need} comes after {kind}, which reads it"
        seen.add(mark)
        assert table.megabytes(table.kinds[kind].by, w) > 0


@pytest.mark.parametrize("study", STUDIES)
def test_names_of_a_job_are_unique(table, study):
    for kind, w in table.everything(study):
        rule = table.kinds[kind].by
        made = [n for other in table.kinds_of(rule) for n in table.at(w).every(other.name)]
        same = [n for n in made if all(n[1].get(name, w[name]) == w[name] for name in table.per(rule))]
        assert len(table.makes(rule, w)) == len(same), f"{rule} {w}: two artifacts of one name"


def test_snakemake_records_and_prints_a_line_of_what_a_job_is_told(table):
    """Of two jobs two lines; the script itself is given the text (as a copy is), whatever it can import."""
    jobs = [table.job("train_saes", {"study": "planted", "site": site}) for site in ("2", "4", "4")]
    assert len({*map(repr, jobs)}) == 2 and all(len(repr(job)) < 50 < len(job) for job in jobs)
    given = copy.copy(jobs[0])
    assert type(given) is str and given == jobs[0]
