"""Kills, failures, flipped bytes, several writers: nothing half-made is ever taken for complete."""

import os
import random
import re
import shutil
import signal
import time

import pytest
from checkouts import MINI_SAE, Checkout, counted, kill_group, wait_for

from crosslens.tables.documents import read_json

# Progress is no part of any key (fingerprint.NEUTRAL): jobs can be slowed and held there without changing what they make.
PROGRESS = "src/crosslens/progress.py"


def slow(checkout):
    """Every step that is logged takes a while."""
    checkout.edit(
        PROGRESS,
        "        now = time.monotonic()\n",
        "        now = time.monotonic()\n        time.sleep(0.2)\n",
    )


def hold(checkout, title):
    """Jobs whose progress has that title wait, once they have begun, until there is a file `go`."""
    wait = f"""\
        if title.startswith({title!r}):
            import os
            import pathlib

            pathlib.Path(f"waiting-{{os.getpid()}}").touch()
            while not pathlib.Path("go").exists():
                time.sleep(0.05)
"""
    checkout.edit(PROGRESS, "        self.began = self.last", f"{wait}        self.began = self.last")


def mini_digests(checkout):
    return {path: sha256 for path, sha256 in checkout.digests().items() if path.startswith("results/mini/")}


def test_verify_names_the_artifact_of_one_flipped_byte_and_forget_heals_it(built):
    before = built.digests()
    shown = "results/toy/features/joint/en/layer_1"
    file = (built.folder / shown / "rankings.json").resolve()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)

    found = built.crosslens("verify")
    assert found.returncode == 1
    assert [line.split(": ")[0] for line in found.stdout.splitlines()] == [shown]
    assert shown in built.snakemake("verify", fails=True)

    forget, target = re.search(
        r"`crosslens store forget (\S+)`, then `snakemake (\S+)`", found.stdout
    ).groups()
    assert built.crosslens("forget", forget).returncode == 0
    # Snakemake removes the mark of a work job after the links are made; a kill in between leaves it (here: --notemp) …
    assert built.run(target, "--notemp")["analyse_codes"] == 1
    assert built.crosslens("verify").returncode == 0
    assert built.digests() == before
    assert built.work() == {}
    # … and it is no proof that the work was done
    assert [file.name for file in (built.folder / "results/.jobs/analyse_codes").rglob("*") if file.is_file()]
    assert built.crosslens("forget", forget).returncode == 0
    assert built.work(target) == {"analyse_codes": 1}


def at_work(checkout, since):
    """True if a job began to work after that time."""
    return any(lease.stat().st_mtime > since for lease in checkout.stored.glob("partial/*/*/lease.json"))


def kill_at_random(checkout, kills, seed):
    """Make mini's activations and SAE anew, kill that often, check after each, and let it finish."""
    chance, reference = random.Random(seed), mini_digests(checkout)
    anew = ("tokens", "activations", "sae")
    checkout.drop("mini", *anew)
    slow(checkout)
    while kills:
        began = time.time()
        process = checkout.start(MINI_SAE)
        wait_for(lambda began=began: at_work(checkout, began), process)
        time.sleep(chance.uniform(0, 4))
        if process.poll() is None:
            kill_group(process)
            kills -= 1
            checkout.unlock()
        else:  # it was done before
            assert process.returncode == 0 and mini_digests(checkout) == reference
            checkout.drop("mini", *anew)
        checkout.assert_sound()
        assert mini_digests(checkout).items() <= reference.items(), "a half-made artifact is shown"
    checkout.snakemake(MINI_SAE)
    assert mini_digests(checkout) == reference
    # A kill after publishing leaves a folder that nobody needs, for gc.
    assert all(checkout.has(folder.name) for folder in checkout.stored.glob("partial/*"))
    assert checkout.crosslens("gc", "--grace-hours", "0").returncode == 0
    assert not list(checkout.stored.glob("partial/*/*"))
    assert mini_digests(checkout) == reference
    checkout.assert_sound()


@pytest.mark.long
def test_a_run_killed_at_random_resumes_to_the_same_bytes(built):
    kill_at_random(built, kills=2, seed=0)


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_killed_many_times_resumes_to_the_same_bytes(built, seed):
    kill_at_random(built, kills=6, seed=seed)


@pytest.mark.parametrize(
    ("title", "kinds", "rule"),
    [
        ("activations", ("tokens", "activations", "sae"), "extract"),
        ("SAE", ("sae",), "train_saes"),
    ],
)
@pytest.mark.long  # stages are killed in test_extraction_resume.py and test_sae_resume.py, and their jobs outlive Snakemake below
def test_a_kill_in_the_middle_of_a_stage_leaves_nothing_taken_for_complete(built, title, kinds, rule):
    """The stage is held where it has begun, killed there, and resumed by the next run."""
    before = mini_digests(built)
    built.drop("mini", *kinds)
    hold(built, title)
    process = built.start(MINI_SAE)
    wait_for(lambda: list(built.folder.glob("waiting-*")), process)
    kill_group(process)
    built.assert_sound()
    assert list(built.stored.glob("partial/*/*"))
    built.unlock()
    assert rule in built.work(MINI_SAE)
    (built.folder / "go").touch()
    built.snakemake(MINI_SAE)
    assert mini_digests(built) == before
    assert not list(built.stored.glob("partial/*"))


@pytest.mark.long
def test_a_job_that_outlived_its_snakemake_and_the_restarted_run_do_the_same_work(built):
    """As on a cluster: the first job goes on in its own folder, the second in another, and they agree."""
    before = mini_digests(built)
    built.drop("mini", "sae")
    hold(built, "SAE")
    first = built.start(MINI_SAE)
    (waiting,) = wait_for(lambda: list(built.folder.glob("waiting-*")), first)
    orphan = int(waiting.name.split("-")[1])
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    built.unlock()
    second = built.start(MINI_SAE)
    wait_for(lambda: len(list(built.folder.glob("waiting-*"))) == 2, second)
    os.kill(orphan, 0)
    assert len(list(built.stored.glob("partial/*/*/lease.json"))) == 2
    (built.folder / "go").touch()
    assert second.wait() == 0, (built.folder / "snakemake.out").read_text()
    wait_for(lambda: not list(built.stored.glob("partial/*")))
    assert mini_digests(built) == before
    built.assert_sound()
    assert built.planned(MINI_SAE) == {}


def test_a_job_that_outlived_its_snakemake_reads_what_its_key_names(built):
    """Not what the next run, of other settings, links in its place."""
    before = mini_digests(built)
    built.drop("mini", "sae")
    hold(built, "SAE")
    first = built.start(MINI_SAE)
    wait_for(lambda: list(built.folder.glob("waiting-*")), first)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    built.unlock()
    built.edit("config/studies/mini.yaml", "seed: 7", "seed: 8")
    built.snakemake("results/mini/activations/en/layer_1/part_0000.zarr")
    (built.folder / "go").touch()
    wait_for(lambda: not list(built.stored.glob("partial/*")))
    built.edit("config/studies/mini.yaml", "seed: 8", "seed: 7")
    assert "train_saes" not in built.run(MINI_SAE)
    assert mini_digests(built) == before


def test_code_that_is_edited_before_a_job_loads_it_and_a_lexicon_while_it_is_read_end_the_job(fresh):
    """The key holds what it was when the run began: what an experiment makes would stand under it once that is taken back."""
    wait = 'import pathlib, time\npathlib.Path("waiting").touch()\n'
    wait += 'while not pathlib.Path("go").exists():\n    time.sleep(0.05)\n'
    fresh.edit("workflow/scripts/draw_source.py", "job.run(", f"{wait}job.run(")
    target, edit = "results/mini/dataset/summary.json", ('"rows": len(rows)', '"rows": 7')
    process = fresh.start(target)
    assert wait_for((fresh.folder / "waiting").exists, process)
    fresh.edit("src/crosslens/data/dataset.py", *edit)
    (fresh.folder / "go").touch()
    assert process.wait() != 0
    said = (fresh.folder / "logs/mini/build_dataset.log").read_text()
    assert "crosslens.data.dataset: found it was changed since the run began" in said
    assert "Traceback" not in said
    assert {record["recipe"]["kind"] for record in fresh.records()} == {"source"}
    fresh.edit("src/crosslens/data/dataset.py", *reversed(edit))

    (fresh.folder / "go").unlink()
    hold(fresh, "verify images")
    process = fresh.start(target)
    assert wait_for(lambda: list(fresh.folder.glob("waiting-*")), process)
    fresh.append("resources/lexicons/planted_en.yaml", "# edited\n")
    (fresh.folder / "go").touch()
    assert process.wait() != 0
    said = (fresh.folder / "logs/mini/build_dataset.log").read_text()
    assert "planted_en.yaml: found it was changed since the run began" in said and "Traceback" not in said
    assert {record["recipe"]["kind"] for record in fresh.records()} == {"source"}
    assert fresh.run(target)["build_dataset"] == 1
    assert read_json(fresh.folder / target, "dataset_summary")["rows"] == 30


def test_a_failed_stage_never_leaves_stale_results_called_up_to_date(built):
    before = built.digests()
    built.edit(
        "src/crosslens/sae/training.py",
        "    runs = [Run(",
        '    raise RuntimeError("poisoned")\n    runs = [Run(',
    )
    said = built.snakemake(fails=True)
    assert "train_saes" in said
    assert "poisoned" in (built.folder / "logs/toy/train_saes_1.log").read_text()
    work = built.work()
    assert {"train_saes", "apply_saes", "analyse_codes", "layer_summary", "build_report"} <= work.keys()
    built.assert_sound()

    built.edit("src/crosslens/sae/training.py", '    raise RuntimeError("poisoned")\n', "")
    assert built.work() == {}
    built.snakemake()
    assert built.digests() == before


@pytest.mark.long
def test_two_checkouts_that_write_one_store_at_once_stay_correct(built_once, source, tmp_path):
    shared = tmp_path / "shared"
    checkouts = [Checkout.create(tmp_path / name, source, store=str(shared)) for name in ("first", "second")]
    running = [checkout.start(MINI_SAE) for checkout in checkouts]
    for checkout, process in zip(checkouts, running, strict=True):
        assert process.wait() == 0, (checkout.folder / "snakemake.out").read_text()
        assert mini_digests(checkout) == mini_digests(built_once)
    checkouts[0].assert_sound()
    assert not list(shared.glob("partial/*"))
    assert len(list(shared.glob("checkouts/*"))) == 2
    for checkout in checkouts:
        assert checkout.planned(MINI_SAE) == {}


def test_paths_with_spaces_and_quotes_and_links_work(source, tmp_path):
    """The checkout's, the store's, and `results` and the store as links."""
    checkout = Checkout.create(tmp_path / 'it\'s "here"', source, store='../a link/it\'s a "store"')
    for link, disk in ((checkout.folder / "results", "one disk"), (tmp_path / "a link", "another disk")):
        (tmp_path / disk).mkdir()
        link.symlink_to(tmp_path / disk)
    assert checkout.run(MINI_SAE)["train_saes"] == 1
    assert (checkout.folder / MINI_SAE).is_file() and checkout.planned(MINI_SAE) == {}
    assert checkout.crosslens("verify").returncode == 0
    assert checkout.crosslens("gc", "--grace-hours", "0").returncode == 0
    assert checkout.planned(MINI_SAE) == {}
    assert checkout.crosslens("forget", MINI_SAE).returncode == 0
    assert checkout.work(MINI_SAE) == {"train_saes": 1}


def test_links_that_lead_nowhere_are_told_at_the_start(fresh):
    (fresh.folder / "results").symlink_to("unmounted")
    said = fresh.snakemake("results/mini/source", fails=True)
    assert "a link to unmounted, which is not there" in said and "Traceback" not in said


def test_a_store_that_cannot_be_written_is_told_with_its_mend(fresh):
    (fresh.folder / "file").write_text("")
    blocked = Checkout(fresh.folder, store=str(fresh.folder / "file/store"))
    said = blocked.snakemake("results/mini/source", fails=True)
    assert "the store cannot be written" in said and "CROSSLENS_STORE" in said


def test_a_store_that_was_deleted_is_made_anew_and_a_dry_run_says_so(fresh):
    """Its links lead nowhere; whether Snakemake's own records are there or not, and whichever profile is asked."""
    table = "results/mini/dataset/en.parquet"
    fresh.snakemake(table)
    for lost, profile in ((".store", ("--profile", "slurm")), ("../.snakemake", ())):
        shutil.rmtree(fresh.folder / "results" / lost)
        planned = counted(fresh.snakemake(*profile, "-n", table))
        assert planned["draw_source"] == planned["build_dataset"] == planned["dataset"] == 1
    fresh.snakemake(table)
    assert (fresh.folder / table).is_file() and fresh.planned(table) == {}
