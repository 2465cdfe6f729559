"""The workflow on a real SLURM, by the literal `snakemake --profile slurm`, told by SLURM's own records."""

import os
import re
import signal
import time
import warnings
from collections import Counter
from datetime import datetime
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from checkouts import MINI_SAE, WORK, Checkout, counted, wait_for
from cluster import Cluster, lacking

pytestmark = pytest.mark.slurm

ROOT = Path(__file__).parents[2]
PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
PROGRESS = "src/crosslens/progress.py"
"""No part of any key: what happens there changes nothing that jobs make (see tests/workflow/test_workflow_faults.py)."""
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL"}


class Submitting(Checkout):
    """A checkout whose jobs go to SLURM."""

    def on(self, cluster: Cluster) -> "Submitting":
        ours = cluster.environment
        path = f"{self.environment['PATH'].split(':')[0]}:{ours['PATH']}"
        self.cluster, self.environment = cluster, self.environment | ours | {"PATH": path}
        return self

    def command(self, *args: str, by: str = "") -> list[str]:
        return ["snakemake", "--profile", "slurm", *args]

    def submitted(self) -> list[dict[str, str]]:
        """SLURM's records of the jobs of this checkout."""
        return [job for job in self.cluster.jobs() if job["WorkDir"] == str(self.folder)]


@pytest.fixture(scope="module")
def cluster():
    if why := lacking():
        warnings.warn(f"NOTHING IS TESTED ON SLURM: {why}", stacklevel=1)
        pytest.skip(why)
    with Cluster() as running:
        yield running


@pytest.fixture
def fresh(cluster, source, tmp_path):
    return Submitting.create(tmp_path / "fresh", source).on(cluster)


@pytest.fixture(scope="module")
def ran(cluster, source, tmp_path_factory):
    """A checkout in which SLURM has built all of `toy`; the controller was gone for a while in which jobs ran."""
    checkout = Submitting.create(tmp_path_factory.mktemp("submitted") / "checkout", source).on(cluster)
    checkout.planned_before = counted(checkout.snakemake("-n", "all"))
    process = checkout.start("all")
    assert wait_for(lambda: {"extract"} & rules(checkout.submitted(), "RUNNING"), process)
    cluster.stop_controller()
    time.sleep(5)
    cluster.start_controller()
    assert process.wait() == 0, (checkout.folder / "snakemake.out").read_text()[-6000:]
    return checkout


def rules(jobs: list[dict[str, str]], *states: str) -> set[str]:
    return {job["rule"] for job in jobs if not states or job["JobState"] in states}


def span(job: dict[str, str]) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(job["StartTime"]), datetime.fromisoformat(job["EndTime"])


def minutes(job: dict[str, str]) -> int:
    hours, minutes, _ = job["TimeLimit"].split(":")
    return 60 * int(hours) + int(minutes)


def megabytes(job: dict[str, str]) -> int:
    """As SLURM rounds them."""
    number, unit = re.fullmatch(r"([\d.]+)([MG])", job["MinMemoryNode"]).groups()
    return round(float(number) * (1024 if unit == "G" else 1))


def test_gpu_rules_asked_for_a_gpu_and_the_others_for_none(ran):
    jobs = ran.submitted()
    gpu = [job for job in jobs if job["rule"] in PROFILE["set-resources"]]
    assert {"extract", "train_saes", "splice_saes", "generate_captions"} <= rules(gpu)
    for job in jobs:
        asked = job["Partition"], job["NodeList"], job.get("TresPerNode"), job.get("TresPerJob")
        expected = ("gpu", "g1", "gres:gpu:1", "gres:gpu:1") if job in gpu else ("cpu", "c1", None, None)
        assert asked == expected, job


def test_every_planned_job_ran_once_and_small_ones_together(ran):
    """Though the controller was restarted meanwhile; names are made here and not submitted."""
    jobs, groups = ran.submitted(), PROFILE["groups"]
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    work = Counter({rule: count for rule, count in ran.planned_before.items() if rule in WORK})
    figures = sum(work.pop(rule, 0) for rule in groups)
    found = Counter(job["rule"] for job in jobs)
    together = sum(count for rule, count in found.items() if "figures" in rule)
    assert found - Counter({rule: count for rule, count in found.items() if "figures" in rule}) == work
    assert together == -(-figures // PROFILE["group-components"]["figures"]) < figures


def test_analyses_ran_at_the_same_time(ran):
    cpu = [job for job in ran.submitted() if job["Partition"] == "cpu"]
    together = [
        (one["rule"], other["rule"])
        for one, other in combinations(cpu, 2)
        if max(span(one)[0], span(other)[0]) < min(span(one)[1], span(other)[1])
    ]
    assert together


def test_memory_and_time_are_those_of_the_rules(ran):
    for job in ran.submitted():
        assert megabytes(job) >= 800 and minutes(job) >= 10, job
    (training,) = [job for job in ran.submitted() if job["rule"] == "train_saes"]
    assert minutes(training) == 60 and 1500 < megabytes(training) < 4000


def test_its_results_are_those_of_one_machine(ran, built_once):
    local = {path: sha256 for path, sha256 in built_once.digests().items() if path.startswith("results/toy/")}
    assert ran.digests() == local
    ran.assert_sound()


def test_a_warm_store_submits_no_job(ran, source, tmp_path):
    before = len(ran.cluster.jobs())
    assert "Nothing to be done" in ran.snakemake("all")
    other = Submitting.create(tmp_path / "other", source, store=f"{tmp_path / 'own'}:{ran.stored}").on(
        ran.cluster
    )
    other.snakemake("all")
    assert other.digests() == ran.digests()
    assert len(ran.cluster.jobs()) == before


def once(checkout: Checkout, title: str, what: str) -> None:
    """Jobs whose progress has that title do `what` once they have begun, and leave a file `begun-N`, N their process."""
    code = f"""\
        if title.startswith({title!r}):
            import os
            import pathlib

            attempts = len(list(pathlib.Path().glob("begun-{title[:3]}-*")))
            pathlib.Path(f"begun-{title[:3]}-{{os.getpid()}}").touch()
            {what}
"""
    checkout.edit(PROGRESS, "        self.began = self.last", f"{code}        self.began = self.last")


def test_jobs_cancelled_out_of_memory_and_out_of_time_are_retried_with_more(fresh, built_once):
    """Three rules of one chain: the first is cancelled, the second wants more than it asked for, the third is too slow."""
    once(fresh, "verify images", "time.sleep(0 if attempts else 600)")
    # Within what is asked for at the second attempt, and beyond what is at the first.
    once(fresh, "activations", "held = bytearray(b'x') * (2 << 30); time.sleep(6); del held")
    once(fresh, "SAE", "time.sleep(0 if attempts else 600)")
    fresh.edit(
        "profiles/slurm/config.yaml",
        "train_saes: *gpu",
        "train_saes: {<<: *gpu, runtime: 1 if attempt == 1 else 10}",
    )
    process = fresh.start(MINI_SAE)
    wait_for(lambda: list(fresh.folder.glob("begun-ver-*")), process)
    (job,) = [job for job in fresh.submitted() if job["rule"] == "build_dataset"]
    fresh.cluster.command("scancel", job["JobId"])
    assert process.wait(600) == 0, (fresh.folder / "snakemake.out").read_text()[-6000:]

    jobs = fresh.submitted()
    states = {rule: [job["JobState"] for job in jobs if job["rule"] == rule] for rule in rules(jobs)}
    assert states == {
        "draw_source": ["COMPLETED"],
        "build_dataset": ["CANCELLED", "COMPLETED"],
        "extract": [states["extract"][0], "COMPLETED"],
        "train_saes": ["TIMEOUT", "COMPLETED"],
    }
    assert states["extract"][0] in ("FAILED", "OUT_OF_MEMORY")
    assert "exceeded memory limit" in "".join(
        log.read_text() for log in (fresh.folder / "logs/slurm").rglob("*.log")
    )
    for rule in ("build_dataset", "extract", "train_saes"):
        first, second = (job for job in jobs if job["rule"] == rule)
        assert minutes(second) > minutes(first) and megabytes(second) == pytest.approx(
            2 * megabytes(first), rel=0.05
        )
    reference = {
        path: sha256 for path, sha256 in built_once.digests().items() if path.startswith("results/mini/")
    }
    assert fresh.digests() == reference
    fresh.assert_sound()


def test_snakemake_killed_and_restarted_ends_with_the_same_bytes_though_its_jobs_go_on(fresh, built_once):
    """The restarted run submits the work of the orphan again, which is at it still: each writes a folder of its own."""
    once(
        fresh,
        "activations",
        "\n            ".join(["while not pathlib.Path('go').exists():", "    time.sleep(0.1)"]),
    )
    process = fresh.start(MINI_SAE)
    wait_for(lambda: list(fresh.folder.glob("begun-act-*")), process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (orphan,) = [job for job in fresh.submitted() if job["rule"] == "extract"]
    run_id = re.search(r"SLURM run ID: (\S+)", (fresh.folder / "snakemake.out").read_text())[1]
    assert orphan["JobName"] == run_id and run_id.startswith("crosslens_")

    said = fresh.snakemake(MINI_SAE, fails=True)
    assert "--unlock" in said
    fresh.snakemake("--unlock")
    again = fresh.start(MINI_SAE)
    wait_for(lambda: len(list(fresh.folder.glob("begun-act-*"))) == 2, again)
    assert Counter(job["rule"] for job in fresh.submitted() if job["JobState"] == "RUNNING") == {"extract": 2}
    (fresh.folder / "go").touch()
    assert again.wait() == 0, (fresh.folder / "snakemake.out").read_text()[-6000:]
    wait_for(lambda: {job["JobState"] for job in fresh.submitted()} <= ENDED)
    reference = {
        path: sha256 for path, sha256 in built_once.digests().items() if path.startswith("results/mini/")
    }
    assert fresh.digests() == reference
    fresh.assert_sound()
    assert not list(fresh.stored.glob("partial/*"))
    assert counted(fresh.snakemake("-n", MINI_SAE)) == {}


def test_what_the_page_of_the_profile_says_ends_orphans(fresh):
    """`scancel --name` with the id of the run."""
    once(fresh, "verify images", "time.sleep(600)")
    process = fresh.start(MINI_SAE)
    wait_for(lambda: list(fresh.folder.glob("begun-ver-*")), process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    log = max((fresh.folder / ".snakemake/log").iterdir(), key=lambda file: file.stat().st_mtime)
    run_id = re.search(r"SLURM run ID: (\S+)", log.read_text())[1]
    fresh.cluster.command("scancel", f"--name={run_id}")
    wait_for(lambda: {job["JobState"] for job in fresh.submitted()} <= ENDED, seconds=60)
    assert fresh.submitted()[-1]["JobState"] == "CANCELLED"
