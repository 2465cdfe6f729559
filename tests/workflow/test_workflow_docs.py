"""Everything that README.md and the pages of docs/ tell a reader to type is run, planned, or stands below with its reason."""

import copy
import csv
import io
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

import documented
import pytest
import readme
import yaml
from checkouts import START, TOY, Checkout, counted
from documented import ROOT, TITLE, blocks, commands, of_small_study, words_of

from crosslens.cli import parser
from crosslens.study.claims import SCHEMA as CLAIM
from crosslens.study.settings import load_yaml, study_schema, validate

OWN_DATA, EXTENDING = (ROOT / "docs" / name for name in ("own_data.md", "extending.md"))
SCHEMA = ROOT / "workflow/schemas/study.schema.yaml"
NOT_RUN = {
    r"python3 -m venv ": "makes the environment that runs this: what CI begins with",
    r"\.venv/bin/pip install ": "changes the environment that runs this",
    r"git clone ": "needs the network; tests/workflow/test_workflow_mt_geneval.py lays such files",
    r".*crosslens source fetch-messages": "takes packages of Debian's archive; tests/sources reads such",
    r".*snakemake .*results/(captions|topics|french)\b|.*\{topics,french\}": "the reader's own data; "
    "tests/workflow/test_workflow_examples.py runs the two that README.md writes out",
    r".*snakemake .*results/(emoji|mt_geneval|brain_surgery)": "a model or texts out of optional packages; the tests of "
    "these run where they are installed",
    r"snakemake --report report\.zip": "tests/workflow/test_workflow_report.py",
    r"snakemake (results/planted/layers/4\.json )?--(dag|rulegraph|summary|lint)$": "test_workflow_interface.py",
    r"snakemake --profile slurm": "dry runs: test_workflow_readme.py; jobs: tests/slurm, which need a cluster",
    r"CROSSLENS_STORE=\S+/shared/store": "a folder of the reader's; test_workflow_caching.py builds with two stores",
    r"crosslens compare ": "the results of another checkout; tests/results/test_compare.py",
    r"crosslens plan gemma3_4b ": "test_workflow_readme.py",
    r"crosslens store unregister ": "a checkout that is gone; tests/store/test_store_maintenance.py",
    r"\.(peers|venv)/bin/python tests/benchmarks/": "measures for minutes, some beside libraries that are not here",
    r"\.peers/bin/pytest ": "needs the libraries of others",
    r"python -m crosslens\.certificate ": "takes a minute a seed; tests/certificate runs its parts",
}
"""How a command begins, and why it is not run here."""
TESTED = {"README.md": "tests/results/test_open_study.py", "storage.md": "tests/test_storage.py"}
"""Pages whose Python is run elsewhere."""
KNOWN = {*documented.SHELL, "yaml", "snakemake"}
"""What blocks are that are no Python and no files: commands, settings, and a Snakefile (test_workflow_module.py)."""
PLAIN = {"-n", "--cores", "all", "1"}
"""Words of `snakemake` that are no targets, where `all` stands behind --cores."""


def left() -> dict[str, list[str]]:
    """The commands that are run here, by program."""
    found: dict[str, list[str]] = {}
    for command in commands():
        if not any(re.match(pattern, command) for pattern in NOT_RUN):
            found.setdefault(words_of(command)[0], []).append(command)
    return found


def lay_own_data(folder: Path) -> None:
    """The files that own_data.md writes out."""
    for block in blocks(OWN_DATA):
        if title := TITLE.match(block.info):
            (folder / title[1]).parent.mkdir(parents=True, exist_ok=True)
            (folder / title[1]).write_text(block.text, encoding="utf-8")


def test_every_command_is_run_planned_or_declared():
    """By programs that are known here; and no reason is left of a command that is gone."""
    assert left().keys() == {"snakemake", "crosslens"}
    assert all(any(re.match(pattern, command) for command in commands()) for pattern in NOT_RUN)
    assert not [
        c for c in left()["snakemake"] if [w for w in words_of(c)[1:] if w[0] == "-" and w not in PLAIN]
    ]


@pytest.mark.usefixtures("source")
def test_targets_can_be_planned_where_nothing_is_built(tmp_path):
    """All of them in one dry run, beside the study that own_data.md writes out."""
    run = readme.in_new_checkout(tmp_path, (Checkout.python, START, sys.executable))
    (tmp_path / "config").unlink()
    shutil.copytree(ROOT / "config", tmp_path / "config")
    lay_own_data(tmp_path)
    targets = {word for command in left()["snakemake"] for word in words_of(command)[1:] if word not in PLAIN}
    studies = {target.split("/")[1] for target in targets}
    assert {
        "planted",
        "planted_control",
        "planted_full",
        "planted_sweep",
        "workers",
        "certificate",
    } <= studies
    planned = counted(run(f"snakemake -n all {' '.join(sorted(targets))}"))
    assert planned["page"] == 4 and planned["certificate"] == planned["explore"] == 1
    assert planned["sweep_figure"] and planned["patching"] == 1


def test_commands_on_a_built_study_do_what_they_say(built, monkeypatch, capsys):
    """Those of crosslens, in the order of the pages, on the small study; plans are of the study that own_data.md writes out."""
    monkeypatch.chdir(built.folder)
    lay_own_data(built.folder)
    done = Counter()
    for command in left()["crosslens"]:
        words = words_of(of_small_study(command))
        args = parser().parse_args(words[1:])
        assert not args.run(args), command
        done[words[1]] += 1
    assert done["store"] >= 4 and done["sae"] >= 2 and done["export"] == 2
    assert done["overview"] == done["plan"] == 1
    said = capsys.readouterr().out
    assert "topk" in said and "workers: " in said
    assert (built.folder / "converted").is_dir() and (built.folder / "toy.json").is_file()
    assert list((built.folder / "exported").rglob("features/batch-0.jsonl.gz"))


@pytest.mark.parametrize(
    "page", [page for page in documented.PAGES if page.name not in TESTED], ids=lambda page: page.name
)
def test_python_of_the_pages_runs(page, built_once, monkeypatch):
    """One block after the other, on the small study; blocks with a title are files, which other tests lay out."""
    monkeypatch.chdir(built_once.folder)
    names: dict = {}
    for block in blocks(page):
        if block.info == "python":
            exec(compile(of_small_study(block.text), page.name, "exec"), names)
        else:
            assert block.info in KNOWN or (page in (OWN_DATA, EXTENDING) and "title=" in block.info), (
                block.info
            )


def test_settings_that_pages_show_are_settings():
    """Whole studies as they stand, parts of one in the place of those of the small study, and files of claims/."""
    shown = [block for block in blocks() if block.info == "yaml"]
    assert len(shown) >= 8
    for block in shown:
        settings = yaml.safe_load(block.text)
        if "statement" in settings:
            validate(settings, block.page, load_yaml(ROOT / CLAIM))
            continue
        whole = block.text.startswith("# config/studies/")
        # defaults are filled in place
        merged = settings if whole else copy.deepcopy(TOY) | settings
        if not whole and "source" in settings:
            merged["source"] = settings["source"]
        validate(merged, block.page, study_schema(SCHEMA, merged))


def test_the_table_of_own_data_has_a_row_for_every_line():
    """Both genders among them, in two languages, and none has more columns than the header."""
    (text,) = (block.text for block in blocks(OWN_DATA) if block.info.startswith("csv"))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == text.count("\n") - 1 and all(None not in row for row in rows)
    assert Counter(row["ground_truth_gender"] for row in rows) == {"female": 8, "male": 8, "unknown": 4}
