import os
import sys
import time

import pytest

from crosslens import cli
from crosslens.errors import InputError
from crosslens.store.job import build
from crosslens.store.maintenance import (
    action_of,
    collect_garbage,
    explain,
    find_garbage,
    forget,
    register_checkout,
    verify,
)
from crosslens.store.store import Store


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


def test_explain_of_what_was_reused_tells_who_made_it(world):
    for key in ("1", "2"):
        build(world.job("y", key=key, own="same", inputs=(("k-a", world.folder / "results/toy/a"),)), _touch)
    world.link("2-y", "toy/y")
    found = explain(world.folder / "results/toy/y")
    assert found["key"] == "2-y" and found["recipe"]["key"] == "2-y"
    assert found["made"] and found["inputs"][0]["key"] == "k-a"


def _touch(out):
    for path in out.values():
        path.write_text("y")


def test_forget_removes_one_artifact_so_that_it_is_made_anew(world):
    forget(world.folder / "results/toy/a", world.store)
    assert not world.store.has("k-a") and world.store.has("k-b")
    assert not (world.folder / "results/toy/a").exists()
    assert verify(world.store) == []


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


def test_gc_never_touches_a_shared_root(world, tmp_path):
    age(world.store)
    before = sorted(world.store.own.rglob("*"))
    collect_garbage(find_garbage(Store(f"{tmp_path / 'own'}:{world.store.own}"), grace_seconds=0))
    assert sorted(world.store.own.rglob("*")) == before


def test_gc_keeps_the_work_of_the_living_and_removes_that_of_the_dead(world):
    abandoned = world.store.scratch("old") / "0"
    abandoned.mkdir(parents=True)
    (abandoned / "checkpoint").write_text("half")
    with world.store.workspace("new") as lease:
        age(world.store)
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
