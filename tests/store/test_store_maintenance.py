import errno
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from crosslens import cli
from crosslens.errors import InputError
from crosslens.store import lease as leases
from crosslens.store.checkouts import register_checkout, registered, unregister
from crosslens.store.durable import read_sealed
from crosslens.store.garbage import collect_garbage, find_garbage
from crosslens.store.job import build
from crosslens.store.maintenance import explain, forget, verify
from crosslens.store.store import Store, action_of


@pytest.fixture
def world(bench):
    """Three artifacts; `a` and `b` are linked by a registered checkout, `folder` is one whose files are."""

    def make(out):
        for name, path in out.items():
            if name == "folder":
                path.mkdir()
                (path / "cfg.json").write_text("{}")
                (path / "weights").write_text("numbers")
            else:
                path.write_text(name)

    build(bench.job("a", "b", "folder", "loose"), make)
    for name in ("a", "b"):
        bench.link(f"k-{name}", f"toy/{name}")
    shown = bench.folder / "results/toy/sae/weights"
    shown.parent.mkdir()
    shown.symlink_to(os.path.relpath(bench.store.action("k-folder") / "weights", shown.parent))
    register_checkout(bench.store, bench.folder / "results")
    return bench


def flip(file, at=0):
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)


def test_a_sound_store(world):
    assert verify(world.store) == []


def test_one_flipped_byte_is_found_and_named_by_the_artifacts_path(world):
    flip(world.store.object("k-folder") / "weights", at=3)
    (fault,) = verify(world.store)
    assert fault.startswith("results/toy/folder: ") and "crosslens store forget" in fault
    flip(world.store.object("k-a"))
    assert len(verify(world.store)) == 2


@pytest.mark.parametrize("break_it", ["remove", "add", "rename", "truncate"])
def test_every_other_change_is_found_too(world, break_it):
    folder = world.store.object("k-folder")
    if break_it == "remove":
        (folder / "cfg.json").unlink()
    elif break_it == "add":
        (folder / "more").write_text("")
    elif break_it == "rename":
        (folder / "cfg.json").rename(folder / "config.json")
    else:
        (folder / "weights").chmod(0o644)
        os.truncate(folder / "weights", 2)
    assert len(verify(world.store)) == 1


def test_an_action_that_leads_to_another_object_is_found(world):
    """Every byte is right, and under the name of another artifact."""
    action, other = world.store.action("k-a"), world.store.action("k-b")
    action.unlink()
    action.symlink_to(other.readlink())
    (fault,) = verify(world.store)
    assert fault.startswith("results/toy/a: ") and other.readlink().name[:12] in fault and "forget" in fault


def test_copies_in_the_place_of_links_are_found(world, tmp_path):
    """Of a store that was copied by `scp -r`; whoever remakes what they stand for removes them."""
    store = Store(str(shutil.copytree(world.store.own, tmp_path / "copy")))
    (fault,) = verify(store)
    assert "4 copies in the place of links" in fault and "cp -a" in fault
    for action in world.store.own.glob("actions/*/*"):
        if action.is_symlink():
            store.publish(
                action.name, store.own / "objects" / action.readlink().name[:2] / action.readlink().name
            )
    assert verify(store) == []


def test_shared_roots_are_verified_too(world, tmp_path):
    flip(world.store.object("k-a"))
    assert len(verify(Store(f"{tmp_path / 'own'}:{world.store.own}"))) == 1


def test_a_path_leads_to_its_artifact(world):
    results = world.folder / "results/toy"
    assert action_of(results / "a") == world.store.action("k-a")
    assert action_of(results / "sae" / "weights") == world.store.action("k-folder")
    with pytest.raises(InputError, match="no link into the store"):
        action_of(results / "nothing")


def test_explain_tells_recipe_and_history(world):
    found = explain(world.folder / "results/toy/a")
    assert found["key"] == "k-a" and found["object"] == world.store.object("k-a").name
    assert found["recipe"]["params"] == {"name": "a"} and found["made"]


def test_explain_of_a_folder_says_what_is_in_it(world):
    with pytest.raises(
        InputError, match=r"a folder of \d+ links into the store.*name one of .*results/toy/a"
    ):
        explain(world.folder / "results")
    with pytest.raises(InputError, match="no link into the store.*name a path that exists"):
        explain(world.folder / "results/nowhere")


def test_explain_of_what_was_reused_tells_who_made_it(world):
    for key in ("1", "2"):
        build(world.job("y", key=key, own="same", inputs=(("k-a", world.folder / "results/toy/a"),)), _touch)
    world.link("2-y", "toy/y")
    found = explain(world.folder / "results/toy/y")
    assert found["key"] == "2-y" and found["recipe"]["key"] == "2-y"
    assert found["made"] and found["inputs"][0]["key"] == "k-a"


@pytest.mark.parametrize("damage", ["gone", "record", "no record", "fields", "link", "unreadable"])
def test_what_is_gone_or_damaged_is_told(world, damage, monkeypatch):
    action, target = world.store.action("k-a"), world.store.object("k-a")
    record = action.with_suffix(".json")
    if damage == "gone":
        target.unlink()
        expected = "results/toy/a: object .* is gone; to mend: .*forget results/toy/a`, then `snakemake results/toy/a`"
    elif damage == "record":
        record.write_text(record.read_text()[:-40])
        expected = f"{record}: found a damaged record"
    elif damage == "no record":
        record.unlink()
        expected = f"{action}: its record k-a.json is gone"
    elif damage == "fields":
        record.write_text('{"recipe": {"path": "results/toy/a", "shown": []}}')
        expected = f"{record}: found a damaged record"
    elif damage == "link":
        action.unlink()
        action.symlink_to("../../..")
        expected = f"{action}: found a link to ../../.."
    else:
        real = Path.open  # as root may read everything

        def opened(path, *args, **named):
            return _denied(path) if path == target else real(path, *args, **named)

        monkeypatch.setattr(Path, "open", opened)
        expected = "results/toy/a: .* cannot be read \\(Permission denied\\)"
    (fault,) = verify(world.store)
    assert re.match(expected, fault) and "mend" in fault.lower()
    if damage in ("record", "fields"):
        with pytest.raises(InputError, match="damaged record"):
            explain(world.folder / "results/toy/a")
    if damage == "link":
        with pytest.raises(InputError, match="remove the link"):
            forget(world.folder / "results/toy/a", world.store)
        assert world.store.has("k-b")


def _denied(path):
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


def _touch(out):
    for path in out.values():
        path.write_text("y")


def test_forget_removes_one_artifact_so_that_it_is_made_anew(world):
    forget(world.folder / "results/toy/a", world.store)
    assert not world.store.has("k-a") and world.store.has("k-b")
    assert not (world.folder / "results/toy/a").exists()
    assert verify(world.store) == []
    for care in (lambda path: forget(path, world.store), explain):
        with pytest.raises(
            InputError, match=r"results/toy/a: found a link to what the store has no more.*`snakemake"
        ):
            care(world.folder / "results/toy/a")


def test_forget_refuses_what_lies_in_a_read_only_root(world, tmp_path):
    both = Store(f"{tmp_path / 'own'}:{world.store.own}")
    with pytest.raises(InputError, match="forget it where it was made"):
        forget(world.folder / "results/toy/a", both)
    assert world.store.has("k-a")


def age(store, days=2.0):
    """Make everything in the store look that old."""
    then = time.time() - days * 86400
    for path in store.own.rglob("*"):
        os.utime(path, (then, then), follow_symlinks=False)


def collect(world, **options):
    collect_garbage(find_garbage(world.store, **options))


def test_gc_removes_what_no_registered_checkout_links_to(world):
    age(world.store)
    garbage = find_garbage(world.store)
    assert garbage.bytes >= len("loose")
    collect_garbage(garbage)
    assert [world.store.has(f"k-{name}") for name in ("a", "b", "folder", "loose")] == [
        True,
        True,
        True,
        False,
    ]
    assert len(list(world.store.own.glob("objects/*/*"))) == 3
    assert not world.store.action("k-loose").with_suffix(".json").exists()
    assert (world.folder / "results/toy/sae/weights").read_text() == "numbers"


def test_gc_keeps_all_that_is_young(world):
    collect(world)
    assert world.store.has("k-loose")
    age(world.store, days=0.5)
    collect(world)
    assert world.store.has("k-loose")
    collect(world, grace_seconds=3600)
    assert not world.store.has("k-loose")


def test_gc_keeps_what_any_checkout_uses_until_it_is_deleted(world, tmp_path):
    other = tmp_path / "other" / "results"
    (other / "toy").mkdir(parents=True)
    (other / "toy" / "loose").symlink_to(world.store.action("k-loose"))
    register_checkout(world.store, other)
    age(world.store)
    collect(world)
    assert world.store.has("k-loose")
    (other / "toy" / "loose").unlink()
    collect(world)
    assert not world.store.has("k-loose")


@pytest.fixture
def other(world, tmp_path):
    """A second checkout, which alone uses `loose`; everything is old."""
    results = tmp_path / "other" / "results"
    (results / "toy").mkdir(parents=True)
    (results / "toy" / "loose").symlink_to(world.store.action("k-loose"))
    register_checkout(world.store, results)
    age(world.store)
    return results


def unmount(results):
    """Where it was is an empty folder now."""
    results.rename(results.with_name("elsewhere"))
    results.mkdir()


def link_study(results):
    """A study's folder was moved to another disk, which is not there."""
    (results / "toy").rename(results.parent / "disk")
    (results / "toy").symlink_to(results.parent / "disk is not mounted")


def halve(results):
    (entry,) = [
        e for e in (results.parents[1] / "results/.store/checkouts").iterdir() if "other" in e.read_text()
    ]
    entry.write_text(entry.read_text()[:30])


def empty(results):
    (entry,) = [
        e for e in (results.parents[1] / "results/.store/checkouts").iterdir() if "other" in e.read_text()
    ]
    entry.write_text("")


@pytest.mark.parametrize(
    "lose", [lambda path: path.rename(path.with_name("moved")), unmount, link_study, halve, empty]
)
def test_a_checkout_that_cannot_be_read_keeps_everything_and_is_named(world, other, lose):
    lose(other)
    unused = world.store.scratch("old") / "0"
    unused.mkdir(parents=True)
    before = sorted(world.store.own.glob("[ao]*/*/*"))
    found = find_garbage(world.store, grace_seconds=0)
    collect_garbage(found)
    assert sorted(world.store.own.glob("[ao]*/*/*")) == before
    assert not unused.exists()  # of that, leases tell
    (told,) = found.unreadable
    place = re.search(r"`crosslens store unregister (\S+)`", told)[1]
    assert lose in (halve, empty) or place == str(other)
    unregister(world.store, Path(place))
    collect(world)
    assert not world.store.has("k-loose") and world.store.has("k-a")


def test_no_permission_keeps_everything(world, other, monkeypatch):
    real = os.scandir

    def scan(path):
        return _denied(path) if Path(path) == other / "toy" else real(path)

    monkeypatch.setattr("crosslens.store.checkouts.os.scandir", scan)
    assert find_garbage(world.store).places == []
    assert "Permission denied" in find_garbage(world.store).unreadable[0]


def test_a_study_that_was_moved_behind_a_link_counts(world, other):
    (other / "toy").rename(other.parent / "disk")
    (other / "toy").symlink_to(other.parent / "disk")
    (other / "toy" / "round").symlink_to(other)
    collect(world)
    assert find_garbage(world.store).unreadable == [] and world.store.has("k-loose")


def test_checkouts_that_are_gone_for_long_are_forgotten_when_told_so(world, other):
    shutil.rmtree(other)
    day = 86400.0
    assert find_garbage(
        world.store, forget_older_seconds=3 * day
    ).unreadable  # a workflow began there 2 days ago
    found = find_garbage(world.store, forget_older_seconds=1 * day)
    assert found.unreadable == []
    assert len(list(registered(world.store.own))) == 2  # nothing was removed by looking
    collect_garbage(found)
    (left,) = registered(world.store.own)
    assert left.results == str(world.folder / "results") and not world.store.has("k-loose")


def test_a_checkout_that_moved_with_its_store_is_itself_again_once_it_runs(world, other):
    moved = other.with_name("moved")
    other.rename(moved)
    register_checkout(world.store, moved)
    assert len(find_garbage(world.store).unreadable) == 1
    with pytest.raises(InputError, match=f"expected one of: .*{other}"):
        unregister(world.store, other / "nothing")
    unregister(world.store, other)
    collect(world)
    assert find_garbage(world.store).unreadable == [] and world.store.has("k-loose")


def test_a_registration_is_written_whole_and_mended_by_the_next(world):
    (entry,) = world.store.own.glob("checkouts/*")
    value = read_sealed(entry)
    for text in ("", "half", entry.read_text().replace("results", "result")):
        entry.write_text(text)
        register_checkout(world.store, world.folder / "results")
        assert read_sealed(entry) == value
    assert list(entry.parent.iterdir()) == [entry]


def test_a_store_that_cannot_note_the_checkout_says_so(world, monkeypatch, caplog):
    monkeypatch.setattr("crosslens.store.checkouts.write_sealed", lambda entry, value: _denied(entry))
    new = world.folder / "new"
    with pytest.raises(InputError, match="the store cannot be written"):
        register_checkout(world.store, new)
    monkeypatch.setattr(
        "crosslens.store.checkouts._register",
        lambda root, results: _denied(root) if root.name == "shared" else None,
    )
    register_checkout(Store(f"{world.store.own}:{world.folder / 'shared'}"), new)
    assert "takes no note of this checkout" in caplog.text


def test_what_was_published_again_since_gc_looked_stays(world):
    """The same bytes under a new key, of an object that was garbage."""
    age(world.store)
    found = find_garbage(world.store)
    build(world.job("loose", key="new"), lambda out: out["loose"].write_text("loose"))
    collect_garbage(found)
    assert world.store.object("new-loose").read_text() == "loose"
    assert not world.store.has("k-loose") and verify(world.store) == []


@pytest.mark.parametrize("looked", [False, True])
def test_what_a_new_key_points_at_is_young_however_old_it_is(world, looked):
    """By early cutoff, before or after gc looked."""
    age(world.store)
    found = find_garbage(world.store) if looked else None
    world.store.publish("other", world.store.object("k-loose"))
    collect_garbage(found or find_garbage(world.store))
    assert world.store.object("other").read_text() == "loose"


def test_what_is_about_to_be_linked_is_young(world):
    age(world.store)
    for key in ("k-loose", "not there"):
        world.store.renew(key)
    collect(world)
    assert world.store.object("k-loose").read_text() == "loose"


def test_what_is_about_to_be_linked_keeps_its_record(world):
    """Though only its action became young, after gc had looked."""
    age(world.store)
    found = find_garbage(world.store)
    world.store.renew("k-loose")
    collect_garbage(found)
    assert world.store.has("k-loose") and verify(world.store) == []


@pytest.mark.parametrize("care", ["forget", "gc"])
def test_no_link_out_of_the_store_is_followed(world, tmp_path, care):
    name = "a" if care == "forget" else "loose"
    target = world.store.object(f"k-{name}")
    outside = tmp_path / "outside"
    age(world.store)
    target.parent.rename(outside)
    target.parent.symlink_to(outside)
    with pytest.raises(InputError, match="leads out of it"):
        forget(world.folder / "results/toy/a", world.store) if care == "forget" else collect(world)
    assert (outside / target.name).read_text() == name


def test_results_behind_a_link_lead_to_their_artifacts(world, tmp_path):
    real = tmp_path / "disk"
    (world.folder / "results/toy").rename(real)
    (world.folder / "results/toy").symlink_to(real)
    link = world.folder / "results/toy/a"
    link.unlink()
    link.symlink_to(os.path.relpath(world.store.action("k-a"), real))
    assert action_of(link) == world.store.action("k-a")
    forget(link, world.store)
    assert not world.store.has("k-a")


@pytest.mark.parametrize("place", ["store", "results"])
def test_a_dangling_link_is_told_in_one_line(tmp_path, place):
    link = tmp_path / place
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=f"{link}.*a link to .*nowhere, which is not there"):
        if place == "store":
            Store(str(link / "below"))
        else:
            register_checkout(Store(str(tmp_path / "other")), link)


def test_gc_never_touches_a_shared_root(world, tmp_path):
    age(world.store)
    before = sorted(world.store.own.rglob("*"))
    collect_garbage(find_garbage(Store(f"{tmp_path / 'own'}:{world.store.own}"), grace_seconds=0))
    assert sorted(world.store.own.rglob("*")) == before


def test_gc_keeps_the_work_of_the_living_and_removes_that_of_the_dead(world, monkeypatch):
    abandoned = world.store.scratch("old") / "0"
    abandoned.mkdir(parents=True)
    (abandoned / "checkpoint").write_text("half")
    with world.store.workspace("new") as lease:
        age(world.store)
        collect(world)
        assert lease.folder.exists()
        # in another container, where its pid tells nothing
        monkeypatch.setattr(leases, "_place", lambda: "another")
        monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.05)
        monkeypatch.setattr(leases, "STALE_SECONDS", 0.3)
        threading.Timer(0.1, lambda: os.utime(lease.file)).start()
        collect(world)
        assert lease.folder.exists()
    assert not abandoned.exists()


def test_registering_twice_is_once_and_an_unwritable_root_is_no_hindrance(world, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    register_checkout(Store(f"{world.store.own}:{file / 'below'}"), world.folder / "results")
    assert len(list(world.store.own.glob("checkouts/*"))) == 1


def run_cli(monkeypatch, world, *args):
    monkeypatch.setenv("CROSSLENS_STORE", str(world.store.own))
    monkeypatch.chdir(world.folder)
    monkeypatch.setattr(sys, "argv", ["crosslens", "store", *args])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_the_commands(world, monkeypatch, capsys):
    assert run_cli(monkeypatch, world, "verify") == 0
    assert run_cli(monkeypatch, world, "explain", "results/toy/a") == 0
    assert '"key": "k-a"' in capsys.readouterr().out
    age(world.store)
    assert run_cli(monkeypatch, world, "gc", "--dry-run") == 0
    assert "would free" in capsys.readouterr().out and world.store.has("k-loose")
    assert run_cli(monkeypatch, world, "gc", "--grace-hours", "1") == 0
    assert not world.store.has("k-loose")
    flip(world.store.object("k-a"))
    assert run_cli(monkeypatch, world, "verify") == 1
    assert "results/toy/a: " in capsys.readouterr().out
    assert run_cli(monkeypatch, world, "forget", "results/toy/a") == 0
    assert run_cli(monkeypatch, world, "verify") == 0
    assert run_cli(monkeypatch, world, "forget", "results/toy/nothing") == 2
    assert "To mend:" in capsys.readouterr().err
    (world.folder / "results").rename(world.folder / "moved")
    world.store = Store(str(world.folder / "moved/.store"))
    assert run_cli(monkeypatch, world, "gc") == 1
    assert "cannot be read" in capsys.readouterr().err
    assert run_cli(monkeypatch, world, "gc", "--forget-checkouts-older", "3") == 1
    assert run_cli(monkeypatch, world, "unregister", "results") == 0
    assert run_cli(monkeypatch, world, "unregister", "results") == 2
    assert run_cli(monkeypatch, world, "gc") == 0


@pytest.fixture
def read_only(world, tmp_path):
    """The store on a file system that is mounted read-only."""
    age(world.store)
    place = str(world.store.own)
    try:
        mounted = subprocess.run(
            ["mount", "--bind", "-o", "ro", place, place], capture_output=True, text=True
        )
        mounted = subprocess.run(["mount", "-o", "remount,bind,ro", place], capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"cannot mount: {error}")
    if mounted.returncode:
        pytest.skip(f"cannot mount: {mounted.stderr.strip()}")
    yield world
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("command", [["gc"], ["forget", "results/toy/a"], ["unregister", "results"]])
def test_commands_on_a_read_only_store_say_so_in_one_line(read_only, monkeypatch, capsys, command):
    assert run_cli(monkeypatch, read_only, *command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the store cannot be written (Read-only file system" in line
    assert run_cli(monkeypatch, read_only, "verify") == 0


def test_what_a_checkout_links_between_the_look_and_the_removal_is_kept(world):
    """It begins while gc counts what is there, and takes an artifact that nobody used."""
    found = find_garbage(world.store, grace_seconds=0)
    key, target = world.store.action("k-loose"), world.store.object("k-loose")
    assert {key, target} <= {place if place == key else place.resolve() for place in found.places}
    results = world.folder / "second/results"
    results.mkdir(parents=True)
    register_checkout(world.store, results)
    (results / "loose").symlink_to(key)
    collect_garbage(found)
    assert (results / "loose").read_text() == "loose" and key.with_suffix(".json").exists()


def test_a_checkout_that_goes_between_the_look_and_the_removal_keeps_everything(world):
    found = find_garbage(world.store, grace_seconds=0)
    (world.folder / "results").rename(world.folder / "moved")
    found.root = world.folder / "moved/.store"
    with pytest.raises(InputError, match="cannot be read any more .* nothing was removed"):
        collect_garbage(found)
    assert (found.root / "actions/k-/k-loose").exists()


def test_a_store_below_results_is_none_of_its_links(bench):
    """Under any name: an action whose object is gone would keep everything, as a checkout that cannot be read."""
    bench.store = Store(str(bench.folder / "results/mine"))
    build(bench.job("a", "loose"), lambda out: [path.write_text(name) for name, path in out.items()])
    bench.link("k-a", "toy/a")
    register_checkout(bench.store, bench.folder / "results")
    bench.store.object("k-loose").unlink()
    found = find_garbage(bench.store, grace_seconds=0)
    assert found.unreadable == [] and found.places
    collect_garbage(found)
    assert bench.store.has("k-a") and not bench.store.action("k-loose").is_symlink()
