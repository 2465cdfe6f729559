import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from crosslens.errors import InputError
from crosslens.store import job as module
from crosslens.store import seals
from crosslens.store.changed import changed_code
from crosslens.store.digests import FileDigests, content_digest
from crosslens.store.fingerprint import closure
from crosslens.store.job import build
from crosslens.store.maintenance import explain, verify
from crosslens.store.store import Store


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
        "work_seconds",
        "peak_megabytes",
        "host",
        "python",
        "git_commit",
        "made",
    } <= record.keys()
    assert record["peak_megabytes"] > 0


@pytest.mark.parametrize("used", [False, True])
def test_the_record_names_the_gpu_of_a_job_that_computed_there_and_leaves_others_alone(
    bench, monkeypatch, used
):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: used)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: asked.append("name") or "H200")
    build(bench.job("a"), Make())
    record = json.loads(bench.store.action("k-a").with_suffix(".json").read_text())
    assert record["host"].endswith(", H200") == used and bool(asked) == used


def chain(bench):
    """A job that makes `a`, and `b` from it."""
    job = bench.job("a", "b")
    job.artifacts["b"] |= {"kind": "other", "inputs": ["k-a"]}
    job.inputs = [{"key": "k-a", "path": str(bench.store.action("k-a")), "files": [], "kind": "a"}]
    job.inputs[0]["wildcards"] = {}
    return job


def test_artifacts_are_made_one_by_one_by_the_maker_of_their_kind(bench):
    """Each is told its own inputs and parameters, and may be made from one that stands before it."""
    read = []

    def toy(own, out):
        read.append((own.params["name"], [str(path) for path in own.paths("a")]))
        out.write_text("a text")

    def other(own, out):
        read.append((own.params["name"], own.path("a").read_text()))
        out.write_text("b text")

    chain(bench).each(toy=toy, other=other)
    assert read == [("a", []), ("b", "a text")]
    assert bench.store.object("k-b").read_text() == "b text"
    chain(bench).each(toy=toy, other=other)
    assert len(read) == 2
    bench.store.action("k-b").unlink()
    assert not bench.store.has("k-b") and bench.store.has("k-a")
    chain(bench).each(toy=toy, other=other)
    assert len(read) == 2, "found again by the content of what it is made from"


def test_what_was_made_before_a_failure_stays(bench):
    def fails(own, out):
        raise InputError("b", found="nothing", expected="something", mend="wait")

    with pytest.raises(SystemExit):
        chain(bench).each(toy=lambda own, out: out.write_text("a text"), other=fails)
    assert bench.store.object("k-a").read_text() == "a text" and not bench.store.has("k-b")


def test_the_work_of_a_call_is_shared_among_what_it_made(bench):
    def make(out):
        time.sleep(0.2)
        Make()(out)

    build(bench.job("a", "b"), make)
    records = [json.loads(bench.store.action(f"k-{name}").with_suffix(".json").read_text()) for name in "ab"]
    assert 0.2 <= sum(record["work_seconds"] for record in records) < 2


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
    # What is known by content says whose it is, so that no action stands without a record.
    assert explain(bench.link("2-y", "toy/y"))["made"]
    assert verify(bench.store) == []


def test_a_job_reads_what_its_key_names_whatever_the_links_show(bench):
    """A job that outlived its snakemake reads on while a later run relinks its inputs to what is made anew."""
    build(bench.job("a", "b"), Make())
    source = bench.link("k-a", "source")
    job = bench.job("c", inputs=(("k-a", source),), local={"folder": str(source)})

    def read(out):
        bench.link("k-b", "source")
        out["c"].write_text(job.path("input").read_text() + Path(job.local["folder"]).read_text())

    build(job, read)
    assert bench.store.object("k-c").read_text() == "a texta text"


def test_an_input_that_is_gone_ends_the_job(bench, monkeypatch):
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    make = Make()
    with pytest.raises(InputError, match=r"source: found nothing of key k-a .* run snakemake again"):
        build(bench.job("c", inputs=(("k-a", Path("results/source")),)), make)
    assert not make.calls


def test_an_input_that_appears_late_is_waited_for(bench, monkeypatch):
    """Network file systems show what was made to other hosts only after a while."""
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if seconds == 2:
            build(bench.job("a"), Make())

    monkeypatch.setattr(module.time, "sleep", sleep)
    build(bench.job("b", inputs=(("k-a", bench.folder / "results" / "source"),)), Make())
    assert waits[:3] == [0, 1, 2]


def test_bad_input_is_told_with_the_path_that_people_know(bench):
    build(bench.job("a"), Make())
    job = bench.job("b", inputs=(("k-a", Path("results/source")),))

    def fail(out):
        raise InputError(job.path("input"), found="x", expected="y", mend="z")

    with pytest.raises(SystemExit):
        job.run(fail)
    assert " results/source: found x" in (bench.folder / "job.log").read_text()


def flip(file: Path) -> None:
    """Change one bit, as a user or a disk may."""
    file.chmod(0o644)
    first, *rest = file.read_bytes()
    file.write_bytes(bytes([first ^ 1, *rest]))


@pytest.mark.parametrize("part", ["", "part"])
def test_a_flipped_bit_of_an_input_ends_the_job_that_reads_it(bench, part):
    def make(out):
        if part:
            out["a"].mkdir()
        (out["a"] / part).write_text("text")

    build(bench.job("a"), make)
    inputs = (("k-a", bench.link("k-a", "source")),)
    build(bench.job("b", inputs=inputs), Make())
    flip(bench.store.object("k-a") / part)
    with pytest.raises(InputError, match=r"results/source: found bytes .*store forget .*results/source`"):
        build(bench.job("c", inputs=inputs), Make())
    assert not bench.store.has("k-c")
    flip(bench.store.object("k-a") / part)
    build(bench.job("c", inputs=inputs), Make())


@pytest.mark.parametrize("part", ["", "part"])
def test_damaged_bytes_are_not_taken_for_those_that_are_made_anew(bench, part):
    """Of another key, after a change of code or settings: they would be sealed, and no reader would see the damage."""

    def make(out):
        for path in out.values():
            if part:
                path.mkdir()
            (path / part).write_text("text")

    build(bench.job("a"), make)
    flip(bench.store.object("k-a") / part)
    build(bench.job("a", key="other"), make)
    target = bench.store.object("other-a")
    assert (target / part).read_text() == "text" and target == bench.store.object("k-a")
    assert seals.is_sealed(bench.store, target)
    build(bench.job("c", inputs=(("other-a", bench.link("other-a", "source")),)), Make())


@pytest.mark.parametrize("when", ["before", "meanwhile"])
@pytest.mark.parametrize("change", ["edit", "remove"])
def test_a_file_that_is_not_what_the_key_holds_ends_the_job(bench, tmp_path, when, change):
    """Captions that are edited during a run would stand under the key of those before, for good."""
    file = tmp_path / "captions.csv"
    file.write_text("one")
    job, make = bench.job("a", files={str(file): content_digest(file)}), Make()

    def edit():
        file.unlink() if change == "remove" else file.write_text("two")

    def read(out):
        if when == "meanwhile":
            edit()
        make(out)

    if when == "before":
        edit()
    with pytest.raises(InputError, match=r"captions.csv: found .*nothing was stored.*snakemake again"):
        build(job, read)
    assert not bench.store.has("k-a") and len(make.calls) == (when == "meanwhile")
    assert when == "before" or not list(bench.store.own.glob("partial/*/*"))
    file.write_text("one")
    build(job, Make())
    assert bench.store.has("k-a")


def test_an_edit_that_is_taken_back_while_a_job_reads_ends_it(bench, tmp_path):
    """As a branch that is checked out and left again: under the key of the one content stood what was made of the other."""
    file = tmp_path / "captions.csv"
    file.write_text("one")
    job = bench.job("a", files={str(file): content_digest(file)})

    def read(out):
        file.write_text("two")
        out["a"].write_text(file.read_text())
        file.write_text("one")

    with pytest.raises(InputError, match=r"captions.csv: found it was written .*nothing was stored"):
        build(job, read)
    assert not bench.store.has("k-a") and not list(bench.store.own.glob("partial/*/*"))
    build(job, lambda out: out["a"].write_text(file.read_text()))
    assert bench.store.object("k-a").read_text() == "one"


@pytest.mark.parametrize("turned", ["captions.csv", "data/captions.csv"])
def test_a_link_that_is_turned_elsewhere_and_back_ends_the_job(bench, tmp_path, turned):
    """To the file or to a folder above it: what it leads to was never written."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "captions.csv").write_text(name)
    file, link = tmp_path / turned, tmp_path / Path(turned).parts[0]
    inside = "" if link == file else "."

    def turn(to):
        link.unlink(missing_ok=True)
        link.symlink_to(Path(to, inside or "captions.csv"))

    turn("one")
    job = bench.job("a", files={str(file): content_digest(file)})

    def read(out):
        turn("two")
        out["a"].write_text(file.read_text())
        turn("one")

    with pytest.raises(
        InputError, match=rf"^the link .*{link.name}: found it was written .*nothing was stored"
    ):
        build(job, read)
    assert not bench.store.has("k-a") and not list(bench.store.own.glob("partial/*/*"))
    build(job, lambda out: out["a"].write_text(file.read_text()))
    assert bench.store.object("k-a").read_text() == "one"


@pytest.mark.parametrize("moved", ["data", "data/pictures"])
def test_a_folder_that_is_moved_away_and_back_ends_the_job(bench, tmp_path, moved):
    """Another stood in its place meanwhile: no file of it was ever written. What is put beside the files is no move."""
    folder, away = tmp_path / moved, tmp_path / "away"
    file = tmp_path / "data/pictures/a.png"
    file.parent.mkdir(parents=True)
    file.write_text("one")
    for place in (file.parent, file.parent.parent, tmp_path):
        os.utime(place, (1e9, 1e9))
    job = bench.job("a", files={str(file): content_digest(file)})

    def read(out):
        folder.rename(away)
        file.parent.mkdir(parents=True)
        file.write_text("two")
        out["a"].write_text(file.read_text())
        shutil.rmtree(folder)
        away.rename(folder)

    with pytest.raises(InputError, match=rf"^{folder}: found it was moved .*nothing was stored"):
        build(job, read)
    assert not bench.store.has("k-a") and not list(bench.store.own.glob("partial/*/*"))

    def beside(out):
        (file.parent / "b.png").write_text("more")
        (folder.parent / "log").write_text("more")
        out["a"].write_text(file.read_text())

    build(job, beside)
    assert bench.store.object("k-a").read_text() == "one"


@pytest.mark.parametrize("changed", [None, "crosslens.data.splits", "workflow/scripts/build_dataset.py"])
def test_code_that_is_not_what_the_key_holds_ends_the_job(bench, changed):
    held = closure("crosslens.data.dataset", script="build_dataset").modules
    assert changed is None or changed in held
    (artifact,) = bench.job("a").artifacts.values()
    artifact["recipe"]["modules"] = {name: "0" if name == changed else held[name] for name in held}
    job, make = bench.job("a", artifacts={"a": artifact}), Make()
    if changed is None:
        build(job, make)
    else:
        with pytest.raises(InputError, match=f"^{changed}: found it was changed .*nothing was stored"):
            build(job, make)
    assert bench.store.has("k-a") == bool(make.calls) == (changed is None)


@pytest.mark.parametrize("edit", ["EDITED = 1\n", "def half(", None])
def test_an_edit_is_seen_and_a_comment_is_none(tmp_path, edit):
    module = tmp_path / "src/mine/stage.py"
    module.parent.mkdir(parents=True)
    module.write_text("VALUE = 1\n")
    held = closure("mine.stage", src=tmp_path / "src").modules
    module.write_text("VALUE = 1  # one\n")
    assert changed_code(held, [tmp_path], tmp_path / "src") == []
    module.write_text(edit) if edit else module.unlink()
    assert changed_code(held, [tmp_path], tmp_path / "src") == ["mine.stage"]


def test_a_file_that_was_not_there_and_would_be_read_instead_ends_the_job(bench, tmp_path):
    """As a.jpg beside the a.png that a run began with."""
    file = tmp_path / "a.jpg"
    job, make = bench.job("a", files={str(file): None}), Make()

    def appears(out):
        file.write_text("one")
        make(out)

    with pytest.raises(InputError, match=r"a.jpg: found a file that was not there .*nothing was stored"):
        build(job, appears)
    assert not bench.store.has("k-a") and make.calls
    file.unlink()
    build(job, Make())
    assert bench.store.has("k-a")


@pytest.mark.parametrize("edited", [False, True])
def test_a_killed_job_is_resumed_only_where_it_read_what_is_there(bench, tmp_path, edited):
    """An edit that was taken back leaves no trace in the key, but in what the killed job wrote."""
    file, left = tmp_path / "weights", []
    file.write_text("one")
    job = bench.job("a", files={str(file): content_digest(file)})

    def killed(out):
        (out["a"].parent / "part").write_text(file.read_text())
        raise Killed

    def resumed(out):
        left.extend(path.name for path in out["a"].parent.glob("part"))
        Make()(out)

    with pytest.raises(Killed):
        build(job, killed)
    if edited:
        file.write_text("two")
        file.write_text("one")
    build(job, resumed)
    assert left == ([] if edited else ["part"])


class Killed(BaseException):
    """As by a signal."""


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("damage", [None, "no note", "a torn note"])
def test_a_killed_job_is_resumed_only_on_inputs_of_the_same_bytes(bench, same, damage):
    """An input that was forgotten and made anew, as on a machine of other arithmetic, has the key of the one before."""
    build(bench.job("a"), Make())
    inputs, left = (("k-a", bench.link("k-a", "source")),), []

    def killed(out):
        for path in out.values():
            (path.parent / "half").write_text("of a text")
        raise Killed

    def resumed(out):
        left.extend(name for name, path in out.items() if (path.parent / "half").exists())
        Make()(out)

    with pytest.raises(Killed):
        build(bench.job("b", "c", inputs=inputs), killed)
    bench.store.action("k-a").unlink()
    build(bench.job("a"), Make("text" if same else "other"))
    for note in bench.store.own.glob("partial/*/*/basis") if damage else ():
        note.unlink() if damage == "no note" else note.write_bytes(note.read_bytes()[:7] + b"\xff")
    build(bench.job("b", "c", inputs=inputs), resumed)
    kept = same and not damage
    assert left == (["b", "c"] if kept else [])
    told = (bench.folder / "job.log").read_text()
    assert [f"results/toy/{name}: begun anew; " in told for name in "bc"] == [not kept] * 2


def test_an_artifact_is_resumed_where_another_of_its_job_is_begun_anew(bench):
    """What each is made from decides it, and no input of the others."""
    build(bench.job("a", "b"), Make())
    inputs = tuple((f"k-{name}", bench.link(f"k-{name}", name)) for name in "ab")

    def job():
        two = bench.job("c", "d", inputs=inputs)
        two.artifacts["c"]["inputs"], two.artifacts["d"]["inputs"] = ["k-a"], ["k-b"]
        return two

    def killed(out):
        for path in out.values():
            (path.parent / "half").write_text("of a text")
        raise Killed

    with pytest.raises(Killed):
        build(job(), killed)
    bench.store.action("k-a").unlink()
    build(bench.job("a"), Make("other"))
    left = []
    build(job(), lambda out: [left.extend(path.parent.glob("half")) for path in out.values()] + [Make()(out)])
    assert [path.parent.parent.name for path in left] == ["k-d"]


@pytest.mark.parametrize(
    ("held", "refused"), [(version("numpy"), False), ("0.1", True), ("not installed", True)]
)
def test_a_package_of_another_version_than_the_key_holds_ends_the_job(bench, held, refused):
    """As of a conda environment, a node of a cluster, or an upgrade while a workflow runs."""
    artifacts = bench.job("a").artifacts
    artifacts["a"]["recipe"]["versions"] = {"numpy": held, "no-such-package": "1"}
    job, make = bench.job("a", artifacts=artifacts), Make()
    if refused:
        with pytest.raises(
            InputError, match=rf"^numpy: found version .* expected {held}.*nothing was stored"
        ):
            build(job, make)
    else:
        build(job, make)
    assert bench.store.has("k-a") == bool(make.calls) != refused


def test_all_packages_of_other_versions_are_told_with_the_commands_that_make_them_equal(bench):
    """Those that an adapter of the model imports among them."""
    artifacts = bench.job("a").artifacts
    artifacts["a"]["recipe"] |= {
        "versions": {"numpy": "0.1", "pandas": "not installed", "no-such-package": "1"},
        "params": {"model": {"packages": {"pyyaml": "0.2"}}},
    }
    with pytest.raises(InputError, match="^numpy, pandas, pyyaml: found version ") as told:
        build(bench.job("a", artifacts=artifacts), Make())
    here = f"`{sys.executable} -m pip install numpy==0.1 pyyaml==0.2`"
    assert f"{here} and `pip install pandas=={version('pandas')}` where snakemake runs" in str(told.value)


@pytest.mark.parametrize("same", [True, False])
def test_another_python_is_no_edit_of_the_code(bench, same):
    """What a module says is written down by Python: one of another version may do it otherwise."""
    artifacts = bench.job("a").artifacts
    held = dict(closure("crosslens.data.splits").modules)
    artifacts["a"]["recipe"]["modules"] = held if same else held | {"crosslens.data.splits": "0" * 64}
    job = bench.job("a", artifacts=artifacts, python="3.99")
    if same:
        return build(job, Make())
    with pytest.raises(InputError, match=r"Python 3\.\d+ where this job runs.*3\.99.*envs/\*\.yaml"):
        build(job, Make())


def test_files_that_look_the_same_are_not_read_again(bench, tmp_path, monkeypatch):
    """Weights have gigabytes."""
    file = tmp_path / "weights"
    file.write_text("one")
    os.utime(file, (1, 1))
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 60_000_000_000)
    digests = FileDigests(bench.store.own / "files.json")
    held = digests(file)
    digests.save()
    monkeypatch.setattr("crosslens.store.digests.content_digest", lambda path: pytest.fail("read again"))
    build(bench.job("a", files={str(file): held}), Make())


def test_an_input_is_read_for_its_check_once(bench, monkeypatch, tmp_path):
    """In a store that was copied, or made by an older version; and never where it was stored in this one."""
    build(bench.job("a"), Make())
    inputs, read = (("k-a", bench.link("k-a", "source")),), []
    monkeypatch.setattr(seals, "content_digest", lambda path: read.append(path) or content_digest(path))
    build(bench.job("b", inputs=inputs), Make())
    assert not read

    shutil.copytree(bench.store.own, tmp_path / "copy", symlinks=True)
    for name, roots in {"c": "copy", "d": "copy", "e": "own:copy"}.items():
        store = Store(":".join(str(tmp_path / root) for root in roots.split(":")))
        bench.store = store
        build(bench.job(name, inputs=inputs), Make())
    assert read == [Store(str(tmp_path / "copy")).object("k-a")]


def test_a_stage_that_writes_nothing_is_an_error(bench):
    with pytest.raises(RuntimeError, match=r"crosslens\.toy did not write a"):
        build(bench.job("a"), lambda out: None)
    assert not bench.store.has("k-a")


def test_an_output_that_leads_out_of_the_store_is_an_error(bench, tmp_path):
    """What it leads to can change, and was made read-only."""
    file = tmp_path / "of the user"
    file.write_text("text")

    def linked(out):
        out["a"].mkdir()
        (out["a"] / "part").symlink_to(file)

    with pytest.raises(RuntimeError, match="part is a link"):
        build(bench.job("a"), linked)
    assert not bench.store.has("k-a") and os.access(file, os.W_OK)


def test_a_store_that_was_copied_with_its_links_followed_is_made_anew_and_told(bench, tmp_path):
    """As by `scp -r`: what stands in the place of an action was taken for an artifact that no reader could use."""
    build(bench.job("a", "b"), Make())
    copy = shutil.copytree(bench.store.own, tmp_path / "copy")
    bench.store = Store(str(copy))
    assert not bench.store.has("k-a")
    make = Make()
    build(bench.job("a"), make)
    build(bench.job("c", inputs=(("k-a", bench.link("k-a", "source")),)), Make())
    assert make.calls and bench.store.action("k-a").is_symlink()


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
    def killed(*args):
        raise Killed

    monkeypatch.setattr(bench.store, "publish", killed)
    with pytest.raises(Killed):
        build(bench.job("a"), Make())
    assert not bench.store.has("k-a")
    monkeypatch.undo()
    build(bench.job("a"), Make())
    assert bench.store.object("k-a").read_text() == "a text"


def test_the_benchmark_of_checks_counts_every_input_of_every_record(bench, monkeypatch, capsys):
    """Of two artifacts made from a third, with work that is said, against bytes that were read by hand."""
    build(bench.job("a"), Make("one" * 1000))
    build(bench.job("b", "c", inputs=(("k-a", bench.link("k-a", "a")),)), Make())
    script = Path(__file__).parents[1] / "benchmarks/reader_checks.py"
    monkeypatch.setattr(sys, "argv", [str(script), "--store", str(bench.store.own), "--json", "--no-check"])
    runpy.run_path(str(script), run_name="__main__")
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    records = [json.loads(file.read_text()) for file in bench.store.own.glob("actions/k-/k-*.json")]
    assert sum(len(record["inputs"]) for record in records) == 2
    assert found["work_s"] == pytest.approx(sum(record["work_seconds"] for record in records), abs=1e-3)
    assert 0 < found["looks_s"] < 0.1 and 0 < found["bytes_s"] < 0.1
