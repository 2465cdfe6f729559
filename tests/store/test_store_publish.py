import json
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from crosslens.store.digests import content_digest
from crosslens.store.store import Store

PROCESSES = multiprocessing.get_context("spawn")


def folder(path, **files):
    path.mkdir(parents=True)
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def test_an_object_is_named_by_its_content_and_read_only(store, tmp_path):
    target = store.commit(folder(tmp_path / "made.zarr", a="1", b="2"))
    assert target.parent.name == target.name[:2] and target.suffix == ".zarr"
    assert target.name == content_digest(target) + ".zarr"
    assert not (tmp_path / "made.zarr").exists()
    for file in target.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o444


def test_the_same_content_is_stored_once(store, tmp_path):
    first = store.commit(folder(tmp_path / "one.zarr", a="1"))
    assert store.commit(folder(tmp_path / "two.zarr", a="1")) == first
    assert not (tmp_path / "two.zarr").exists()
    assert len(list(store.own.glob("objects/*/*"))) == 1


def test_a_key_is_unknown_until_it_is_published(store, tmp_path):
    target = store.commit(folder(tmp_path / "made.zarr", a="1"))
    assert not store.has("abc")
    store.publish("abc", target, {"note": "ب"})
    assert store.has("abc") and store.object("abc") == target.resolve()
    assert json.loads(store.action("abc").with_suffix(".json").read_text()) == {"note": "ب"}
    assert not store.action("abc").readlink().is_absolute()


def test_a_record_is_durable_before_its_action_shows(store, tmp_path, monkeypatch):
    """A power cut leaves an action with its record and its object, or none."""
    done, fsync, link = [], os.fsync, Path.symlink_to

    def synced(descriptor):
        done.append(Path(f"/proc/self/fd/{descriptor}").resolve())
        fsync(descriptor)

    def linked(path, target):
        done.append("link")
        link(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "symlink_to", linked)
    target = store.commit(folder(tmp_path / "made.zarr", a="1"))
    store.publish("abc", target, {"note": 1})
    root, at = store.own.resolve(), done.index("link")
    # the object's file came by its new name with the folder, whose entries are synced after
    before = {str(path.relative_to(root.parent)) for path in done[:at] if path.is_relative_to(root.parent)}
    for parent in ("objects", "actions"):
        assert f".store/{parent}" in before  # the entry of the folder of two digits
    assert {f".store/objects/{target.parent.name}", ".store/actions/ab"} <= before
    record = next(i for i, path in enumerate(done) if ".abc.json." in str(path))
    assert record < done.index(root / "actions/ab") < at
    assert done[at + 1 :] == [root / "actions/ab"]


def test_the_first_to_publish_a_key_wins(store, tmp_path):
    first = store.commit(folder(tmp_path / "one.zarr", a="1"))
    second = store.commit(folder(tmp_path / "two.zarr", a="2"))
    store.publish("abc", first, {"by": "first"})
    store.publish("abc", second, {"by": "second"})
    assert store.object("abc") == first.resolve()
    assert json.loads(store.action("abc").with_suffix(".json").read_text()) == {"by": "first"}


def test_a_key_whose_object_is_gone_is_a_miss_and_can_be_published_again(store, tmp_path):
    target = store.commit(folder(tmp_path / "one.zarr", a="1"))
    store.publish("abc", target)
    target.rename(tmp_path / "lost")
    assert not store.has("abc")
    store.publish("abc", store.commit(folder(tmp_path / "two.zarr", a="1")))
    assert store.object("abc") == target.resolve()


def test_further_roots_are_read_and_never_written(store, tmp_path):
    shared = Store(str(tmp_path / "shared"))
    shared.publish("abc", shared.commit(folder(tmp_path / "one.zarr", a="1")))
    both = Store(f"{tmp_path / 'own'}:{tmp_path / 'shared'}")
    assert both.has("abc") and both.object("abc") == shared.object("abc")
    before = sorted((tmp_path / "shared").rglob("*"))
    both.publish("def", both.commit(folder(tmp_path / "two.zarr", a="2")))
    assert sorted((tmp_path / "shared").rglob("*")) == before
    assert not shared.has("def")


def test_the_store_is_named_by_the_environment(monkeypatch):
    monkeypatch.setenv("CROSSLENS_STORE", "mine:ours:theirs")
    assert [str(root) for root in Store().roots] == ["mine", "ours", "theirs"]
    monkeypatch.delenv("CROSSLENS_STORE")
    assert [str(root) for root in Store().roots] == ["results/.store"]


def _publish(root, scratch, barrier, queue, text):
    store = Store(str(root))
    made = folder(scratch, a="1" * 10_000, b="2", c=text)
    barrier.wait()
    target = store.commit(made)
    store.publish("abc", target, {"by": scratch.name})
    queue.put((target.name, store.object("abc").name))


@pytest.mark.parametrize("texts", [("same", "same", "same"), ("1", "2", "3")])
def test_writers_that_commit_and_publish_at_once(store, tmp_path, texts):
    """The same folder is stored once; of different ones the first is what the key means, for all of them."""
    barrier, queue = PROCESSES.Barrier(3), PROCESSES.Queue()
    writers = [
        PROCESSES.Process(
            target=_publish, args=(store.own, tmp_path / f"writer-{i}.zarr", barrier, queue, text)
        )
        for i, text in enumerate(texts)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    told = [queue.get(timeout=60) for _ in writers]
    objects = list(store.own.glob("objects/*/*"))
    assert len(objects) == len(set(texts))
    assert all(content_digest(target) + ".zarr" == target.name for target in objects)
    assert {seen for _, seen in told} == {store.object("abc").name}


def test_a_workspace_is_kept_after_an_error_and_handed_again(store):
    with pytest.raises(RuntimeError), store.workspace("abc") as lease:
        (lease.folder / "checkpoint").write_text("half")
        raise RuntimeError
    with store.workspace("abc") as lease:
        assert (lease.folder / "checkpoint").read_text() == "half"
    assert not store.scratch("abc").exists()


def test_two_workspaces_of_one_key_are_different_folders(store):
    with store.workspace("abc") as first:
        with store.workspace("abc") as second:
            assert first.folder != second.folder
        assert first.folder.exists() and not second.folder.exists()
    assert not store.scratch("abc").exists()


def test_success_removes_what_abandoned_writers_left(store):
    left = store.scratch("abc") / "1"
    left.mkdir(parents=True)
    (left / "object.zarr").write_text("half")
    with store.workspace("abc"):
        pass
    assert not store.scratch("abc").exists()
