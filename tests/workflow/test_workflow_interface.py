"""What people and clusters ask of the workflow without computing anything."""

import subprocess
import sys

import pytest
import yaml
from checkouts import REPOSITORY, TOY, WORK


def test_nothing_heavy_is_imported_to_read_the_workflow(built_once):
    """Every cluster job reads it anew."""
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "snakemake", "--cores", "1", "-n"],
        cwd=built_once.folder,
        env=built_once.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {
        line.split("|")[-1].strip().split(".")[0] for line in ended.stderr.splitlines() if "|" in line
    }
    assert "crosslens" in imported
    assert not imported & {
        "torch",
        "transformers",
        "tokenizers",
        "sklearn",
        "scipy",
        "zarr",
        "matplotlib",
        "pyarrow",
    }


def test_lint_has_no_complaints(fresh):
    assert "Congratulations, your workflow is in a good condition!" in fresh.snakemake("--lint")


@pytest.mark.parametrize("option", ["--dag", "--rulegraph", "--summary"])
def test_it_can_be_shown(built_once, option):
    said = built_once.snakemake(option)
    assert ("digraph" in said) if option != "--summary" else ("results/toy/report/index.html" in said)


def test_the_slurm_profile_plans(fresh):
    said = fresh.snakemake("--profile", "slurm", "-n")
    assert "train_sae" in said


def test_the_slurm_profile_sends_every_gpu_rule_to_the_gpu_partition(fresh):
    profile = yaml.safe_load((REPOSITORY / "profiles/slurm/config.yaml").read_text())
    said = fresh.snakemake("-n", "--quiet", "none")
    gpu = {
        block.split(":")[0].split()[-1]
        for block in said.split("\n\n")
        if "gpu=1" in block and "rule " in block
    }
    assert gpu and gpu == profile["set-resources"].keys()


def test_every_work_job_declares_memory_and_runtime(fresh):
    said = fresh.snakemake("-n")
    blocks = [block for block in said.split("\n\n") if block.lstrip().split(":")[0].split()[-1:] != []]
    seen = set()
    for block in blocks:
        for rule in WORK:
            if f"rule {rule}:" in block:
                seen.add(rule)
                assert "mem_mb=" in block and "runtime=" in block, block
    assert seen == WORK


@pytest.mark.parametrize(
    "target", ["all", "all_activations", "all_saes", "all_analyses", "all_figures", "report"]
)
def test_named_targets_are_up_to_date_after_all(built_once, target):
    assert built_once.planned(target) == {}


def test_bad_settings_end_with_one_message_and_no_traceback(fresh):
    fresh.configure("toy", {**TOY, "sites": ["99"]})
    said = fresh.snakemake("-n", fails=True)
    assert "config/studies/toy.yaml, key sites: found layer 99" in said and "To mend:" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("where", ["target", "run"])
def test_an_unknown_study_is_told_with_those_that_exist(fresh, where):
    if where == "run":
        (fresh.folder / "config/config.yaml").write_text("run: [toyy]\n")
    said = fresh.snakemake("-n", *(["results/toyy/layers/1.json"] if where == "target" else []), fails=True)
    assert "study 'toyy'" in said and "mini, toy" in said and "Traceback" not in said


def test_an_unknown_key_of_the_main_config_is_told(fresh):
    (fresh.folder / "config/config.yaml").write_text("run: [toy]\nstudy: x\n")
    said = fresh.snakemake("-n", fails=True)
    assert "config/config.yaml: found unknown key study" in said and "Traceback" not in said
