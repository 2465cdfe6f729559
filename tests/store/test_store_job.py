import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from crosslens.errors import InputError
from crosslens.store import job as module
from crosslens.store.digests import content_digest
from crosslens.store.job import build


class Make:
    """A stage that writes a constant and counts its calls."""

    def __init__(self, text="text"):
        self.text, self.calls = text, []

    def __call__(self, out):
        self.calls.append(sorted(out))
        for name, path in out.items():
            path.write_text(f"{name} {self.text}")


def test_a_job_makes_only_what_the_store_lacks(bench):
    make = Make()
    build(bench.job("a"), make)
    build(bench.job("a", "b"), make)
    build(bench.job("a", "b"), make)
    assert make.calls == [["a"], ["b"]]
    assert bench.store.object("k-a").read_text() == "a text"
    assert not list(bench.store.own.glob("partial/*"))


def test_the_record_says_how_it_was_made(bench):
    build(bench.job("a"), Make())
    source = bench.link("k-a", "source")
    build(bench.job("b", inputs=(("k-a", source),)), Make())
    record = json.loads(bench.store.action("k-b").with_suffix(".json").read_text())
    assert record["recipe"]["params"] == {"name": "b"}
    assert record["inputs"] == [{"key": "k-a", "path": str(source), "object": bench.store.object("k-a").name}]
    assert {
        "threads",
        "wall_seconds",
        "peak_megabytes",
        "host",
        "python",
        "git_commit",
        "made",
    } <= record.keys()
    assert record["peak_megabytes"] > 0


def made_from(bench, text, *, key, own="own"):
    """Make an input with that text under `in-<key>`, then a job on it; True if the job computed."""
    build(bench.job("x", key=f"in-{key}", own=f"in-{key}"), Make(text))
    make = Make("result")
    source = bench.link(f"in-{key}-x", "source")
    build(bench.job("y", key=key, own=own, inputs=((f"in-{key}-x", source),)), make)
    assert bench.store.has(f"{key}-y")
    return bool(make.calls)


def test_early_cutoff_inputs_made_anew_with_the_same_bytes_remake_nothing(bench):
    assert made_from(bench, "same", key="1")
    assert not made_from(bench, "same", key="2")
    assert bench.store.object("1-y") == bench.store.object("2-y")
    record = json.loads(bench.store.action("2-y").with_suffix(".json").read_text())
    assert bench.store.has(record["same_as"])


def test_no_cutoff_for_other_bytes_or_another_recipe(bench):
    assert made_from(bench, "same", key="1")
    assert made_from(bench, "other", key="2")
    assert made_from(bench, "same", key="3", own="another")


def test_what_is_reused_by_key_counts_for_the_cutoff_too(bench):
    """An artifact of an older run, known by key alone, is found by content after the next refactor."""
    assert made_from(bench, "same", key="1")
    cutoffs = [path for path in bench.store.own.glob("actions/*/*") if len(path.name) == 64]
    for path in cutoffs:
        path.unlink()
    assert not made_from(bench, "same", key="1")
    assert not made_from(bench, "same", key="2")


def test_an_input_that_shows_another_artifact_ends_the_job(bench, monkeypatch):
    """A link that a stale snakemake left must not be computed on under the new key."""
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    build(bench.job("a", "b"), Make())
    source = bench.link("k-a", "source")
    make = Make()
    with pytest.raises(InputError, match="run snakemake again"):
        build(bench.job("c", inputs=(("k-b", source),)), make)
    assert not make.calls


def test_a_link_that_appears_late_is_waited_for(bench, monkeypatch):
    """Network file systems show a new link to other hosts only after a while."""
    build(bench.job("a"), Make())
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if seconds >= 2:
            bench.link("k-a", "source")

    monkeypatch.setattr(module.time, "sleep", sleep)
    build(bench.job("b", inputs=(("k-a", bench.folder / "results" / "source"),)), Make())
    assert waits[:3] == [0, 1, 2]


def test_a_stage_that_writes_nothing_is_an_error(bench):
    with pytest.raises(RuntimeError, match=r"crosslens\.toy did not write a"):
        build(bench.job("a"), lambda out: None)
    assert not bench.store.has("k-a")


def test_a_failure_publishes_nothing_and_is_told_in_the_log(bench, capsys):
    def fail(out):
        out["a"].write_text("half")
        raise InputError("captions.csv", found="x", expected="y", mend="z")

    with pytest.raises(SystemExit) as stopped:
        bench.job("a").run(fail)
    assert stopped.value.code == 1
    assert not bench.store.has("k-a") and not list(bench.store.own.glob("objects/*/*"))
    for said in ((bench.folder / "job.log").read_text(), capsys.readouterr().err):
        assert "captions.csv: found x; expected y. To mend: z" in said and "Traceback" not in said

    with pytest.raises(SystemExit):
        bench.job("a").run(lambda out: 1 / 0)
    assert "ZeroDivisionError" in (bench.folder / "job.log").read_text()


def test_a_writer_that_slept_while_another_took_over_does_not_commit(bench):
    def slept(out):
        out["a"].write_text("mine")
        out["a"].parent.rename(out["a"].parent.with_name("theirs"))

    with pytest.raises(RuntimeError, match="took .* over"):
        build(bench.job("a"), slept)
    assert not bench.store.has("k-a") and not list(bench.store.own.glob("objects/*/*"))


def test_two_jobs_of_one_key_at_once_agree(bench):
    """The one that outlived its snakemake and the one that the restarted run began."""

    def outer(out):
        build(bench.job("a"), Make("inner"))
        out["a"].write_text("a outer")

    build(bench.job("a"), outer)
    assert bench.store.object("k-a").read_text() == "a inner"
    assert all(content_digest(path) == path.stem for path in bench.store.own.glob("objects/*/*"))
    assert not list(bench.store.own.glob("partial/*"))


KILLED = """
    import os, signal, sys
    sys.path.insert(0, {here!r})
    from pathlib import Path
    from conftest import Bench
    from crosslens.store.job import build
    from crosslens.store.store import Store

    def make(out):
        for name, path in out.items():
            (path.parent / "steps").open("a").write("x")
            if len((path.parent / "steps").read_text()) < 3:
                path.write_text("half of " + name)
                os.kill(os.getpid(), signal.SIGKILL)
            path.write_text(name + " whole")

    folder = Path({folder!r})
    build(Bench(Store(str(folder / "results/.store")), folder).job("a"), make)
"""


def test_a_killed_job_leaves_nothing_taken_for_complete_and_is_resumed(bench):
    code = textwrap.dedent(KILLED).format(here=str(Path(__file__).parent), folder=str(bench.folder))
    for run in range(3):
        assert not bench.store.has("k-a")
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert ended.returncode == (-signal.SIGKILL if run < 2 else 0), ended.stderr
        if run < 2:
            assert len(list(bench.store.scratch("k-a").iterdir())) == 1
    assert bench.store.object("k-a").read_text() == "a whole"
    assert not list(bench.store.own.glob("partial/*"))


def test_a_kill_between_storing_and_publishing_costs_only_the_work(bench, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(*args):
        raise Killed

    monkeypatch.setattr(bench.store, "publish", killed)
    with pytest.raises(Killed):
        build(bench.job("a"), Make())
    assert not bench.store.has("k-a")
    monkeypatch.undo()
    build(bench.job("a"), Make())
    assert bench.store.object("k-a").read_text() == "a text"
