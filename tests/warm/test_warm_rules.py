"""When the workflow starts a warm process, and with which libraries."""

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

import crosslens.warm.start
from crosslens.warm.start import ANALYSIS, TORCH

RULES = Path(__file__).parents[2] / "rules/warm.smk"


@pytest.fixture
def loads(monkeypatch):
    """Given what is planned, what a process is started with: None if none is."""
    monkeypatch.delenv("CROSSLENS_WARM")

    def loaded(torch=0, analysis=0, **differs):
        begun = []

        @contextmanager
        def serving(libraries):
            begun.append(libraries)
            yield "warm"

        monkeypatch.setattr(crosslens.warm.start, "serving", serving)
        planned = [("../envs/torch.yaml", torch), ("../envs/analysis.yaml", analysis)]
        jobs = [
            SimpleNamespace(is_script=True, rule=SimpleNamespace(conda_env=environment))
            for environment, number in planned
            for _ in range(number)
        ]
        names = SimpleNamespace(is_script=False, rule=SimpleNamespace(conda_env=None))
        workflow = SimpleNamespace(
            touch=False,
            local_exec=True,
            is_main_process=True,
            deployment_settings=SimpleNamespace(deployment_method=set()),
            dag=SimpleNamespace(needrun_jobs=lambda: [*jobs, *9 * [names]]),
        )
        vars(workflow).update(differs)
        process, ending = SimpleNamespace(executable="cold"), []
        given = {
            "workflow": workflow,
            "Path": Path,
            "sys": process,
            "atexit": SimpleNamespace(register=ending.append),
        }
        text = RULES.read_text(encoding="utf-8")
        exec("import os\n" + text, given)
        given["warm_up"]()
        assert process.executable == ("warm" if begun else "cold") and len(ending) == 1
        return set(*begun) if begun else None

    return loaded


def test_it_loads_what_several_planned_jobs_need(loads):
    assert loads(torch=4, analysis=9) == {*TORCH, *ANALYSIS}
    assert loads(torch=4, analysis=3) == set(TORCH)
    assert loads(torch=3, analysis=4) == set(ANALYSIS)
    assert loads(torch=3, analysis=3) is None
    assert loads() is None


def test_jobs_elsewhere_or_in_environments_of_their_own_have_none(loads, monkeypatch):
    many = {"torch": 9, "analysis": 9}
    assert loads(**many)
    for differs in (
        {"touch": True},
        {"local_exec": False},
        {"is_main_process": False},
        {"deployment_settings": SimpleNamespace(deployment_method={"conda"})},
    ):
        assert loads(**many, **differs) is None, differs
    monkeypatch.setenv("CROSSLENS_WARM", "0")
    assert loads(**many) is None
