"""What people and clusters ask of the workflow without computing anything."""

import re
import subprocess
import sys

import pytest
from checkouts import TOY


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
    assert not imported & {"torch", "transformers", "tokenizers", "sklearn", "scipy", "zarr", "matplotlib"}


def test_lint_has_no_complaints(fresh):
    assert "Congratulations, your workflow is in a good condition!" in fresh.snakemake("--lint")


@pytest.mark.parametrize("option", ["--dag", "--rulegraph", "--summary"])
def test_it_can_be_shown(built_once, option):
    said = built_once.snakemake(option)
    assert ("digraph" in said) if option != "--summary" else ("results/toy/report/index.html" in said)


def test_named_targets_are_up_to_date_after_all(built_once):
    targets = ("all", "all_activations", "all_saes", "all_analyses", "all_figures", "report")
    assert built_once.planned(*targets) == {}


def test_bad_settings_end_with_one_message(fresh):
    fresh.configure("toy", {**TOY, "sites": ["99"]})
    said = fresh.snakemake("-n", fails=True)
    assert (
        len(re.findall(r"config/studies/toy\.yaml, key sites: found layer 99; expected .* To mend: ", said))
        == 1
    )


@pytest.mark.parametrize("where", ["target", "run"])
def test_an_unknown_study_is_told_with_those_that_exist(fresh, where):
    if where == "run":
        (fresh.folder / "config/config.yaml").write_text("run: [toyy]\n")
    said = fresh.snakemake("-n", *(["results/toyy/layers/1.json"] if where == "target" else []), fails=True)
    assert re.search(r"study 'toyy': found no file .*: mini, toy \(did you mean toy\?\)\. To mend: ", said)
    assert "Traceback" not in said


def test_an_unknown_key_of_the_main_config_is_told(fresh):
    (fresh.folder / "config/config.yaml").write_text("run: [toy]\nstudy: x\n")
    said = fresh.snakemake("-n", fails=True)
    assert "config/config.yaml: found unknown key study" in said and "Traceback" not in said
