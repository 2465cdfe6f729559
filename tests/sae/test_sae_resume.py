"""A run that is interrupted, in whatever way and wherever, ends with the bytes of one that was not."""

import errno
import json
import logging
import multiprocessing
import os
import random
import signal
import time

import pytest
import torch
from damage import damaged
from sae_store import files_of, planted, sae_in, train_slowly, write_store
from safetensors import SafetensorError

from crosslens.errors import InputError
from crosslens.sae import run, state
from crosslens.sae.io import IDENTITY, save_sae
from crosslens.sae.run import CHECKPOINT, Run
from crosslens.sae.settings import ARCHITECTURES, Settings
from crosslens.sae.state import load_checkpoint, save_checkpoint
from crosslens.sae.step import fresh_state, normalisations, train_step
from crosslens.sae.training import train_saes

SMALL = {"k": 3, "d_sae": 160, "batch_tokens": 64, "lr": 3e-3, "dead_after_tokens": 300}
# so few of so many that products are sparse where the architecture is; and features die
SMALL |= {"block_tokens": 32, "buffer_mb": 2 * 256 * 16 * 2 / 2**20}
FILES = {"sae_weights.safetensors", "cfg.json", "training.json"}
VARIANTS = {name: {"architecture": name} for name in ARCHITECTURES}
VARIANTS |= {"tied": {"tied": True}, "transcoder": {"target": "4.mlp_out"}}
OFTEN = "transcoder"
"""Of most tensors; that a checkpoint brings back every tensor of each is tested below, and topk and batchtopk are in the
jobs that are killed there."""


def checkpoint_step(path) -> int:
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return json.loads(header["__metadata__"]["crosslens"])["step"]


def curve_of(sae: dict) -> list[dict]:
    return json.loads(files_of(sae)["training.json"])["curve"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Activations of two sites; the second is what a transcoder writes."""
    folder, (x, _) = tmp_path_factory.mktemp("store"), planted(2000, d=16, m=64, active=3, seed=0)
    values = {"en": x[:1200], "ar": x[1200:]}
    inputs = write_store(folder, values, dtype="bfloat16")
    values = {language: x[:, ::-1] for language, x in values.items()}
    target = write_store(folder / "target", values, dtype="bfloat16", site="4.mlp_out")
    return {**inputs, "targets": target["activations"]}


# the state and its file


def batches(count: int) -> torch.Tensor:
    """(count, 64, 16)."""
    return torch.tensor(planted(64 * count, d=16, m=64, active=3, seed=1)[0]).view(count, 64, 16)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_checkpoint_brings_back_every_tensor(architecture, tmp_path):
    config = Settings(architecture=architecture, **SMALL).resolve(d_model=16, tokens=1000)
    x, path = batches(12), tmp_path / "checkpoint"

    def fresh(scale=1.0, fast=False):
        return fresh_state(config, *normalisations(scale * x.view(-1, 16), 16), seed=0, fast=fast)

    def same(one, other):
        ours, theirs = one.tensors(), other.tensors()
        return ours.keys() == theirs.keys() and all(torch.equal(t, theirs[name]) for name, t in ours.items())

    before = fresh()
    for done, todo in ((0, 5), (5, 7)):
        save_checkpoint(path, before, {"run": 1})
        # the normalisation and the products of the run that began are kept, whatever this one would have taken
        again = fresh(scale=3.0, fast=True)
        load_checkpoint(path, again, {"run": 1})
        assert (again.step, again.curve, again.model.fast) == (done, before.curve, False)
        assert again.reads.scale == before.reads.scale and same(again, before)
        for batch in x[done : done + todo]:
            train_step(before, batch, steps=12)
            train_step(again, batch, steps=12)
        assert same(again, before)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    config, path = Settings(**SMALL).resolve(d_model=16, tokens=1000), tmp_path / "checkpoint"
    fresh = fresh_state(config, *normalisations(batches(1)[0], 16), seed=0)
    save_checkpoint(path, fresh, {"run": 1})
    with pytest.raises(InputError, match="expected {'run': 2}.*delete the file"):
        load_checkpoint(path, fresh, {"run": 2})


@pytest.mark.parametrize("damage", ["half", "empty", "folder", "another file"])
def test_what_is_no_whole_checkpoint_is_removed_and_said(tmp_path, caplog, damage):
    """Whatever is in its place; 1,000 damaged ones are tried in `test_no_damaged_checkpoint_is_taken_for_whole`."""
    config, path = Settings(**SMALL).resolve(d_model=16, tokens=1000), tmp_path / "checkpoint"
    fresh = fresh_state(config, *normalisations(batches(1)[0], 16), seed=0)
    save_checkpoint(path, fresh, {"run": 1})
    whole = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    else:
        path.write_bytes(
            {"half": whole[: len(whole) // 2], "empty": b"", "another file": b"PK" * 5000}[damage]
        )
    before = {name: tensor.clone() for name, tensor in fresh.tensors().items()}
    with caplog.at_level(logging.WARNING):
        load_checkpoint(path, fresh, {"run": 1})
    assert f"{path} is damaged" in caplog.text and not path.exists()
    assert fresh.step == 0 and all(torch.equal(before[name], t) for name, t in fresh.tensors().items())


def test_no_damaged_checkpoint_is_taken_for_whole(tmp_path):
    """Of 400 such, 81 used to be accepted."""
    config, path = Settings(**SMALL).resolve(d_model=16, tokens=1000), tmp_path / "checkpoint"
    current = fresh_state(config, *normalisations(batches(2).view(-1, 16), 16), seed=0)
    for batch in batches(2):
        train_step(current, batch, steps=10)
    save_checkpoint(path, current, {"run": 1})
    whole, chance = path.read_bytes(), random.Random(12)
    for _ in range(1000):
        path.write_bytes(damaged(whole, chance))
        load_checkpoint(
            path, current, {"run": 2}
        )  # of another run: refused with an error if it were taken for whole
        assert not path.exists()


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    config, path = Settings(**SMALL).resolve(d_model=16, tokens=1000), tmp_path / "checkpoint"
    current = fresh_state(config, *normalisations(batches(1)[0], 16), seed=0)
    save_checkpoint(path, current, {"run": 1})
    before = path.read_bytes()
    write = state.save_tensors

    def half(tensors, to, **kwargs):
        write(tensors, to, **kwargs)
        to.write_bytes(to.read_bytes()[: len(before) // 2])
        raise OSError("no space left on device")

    monkeypatch.setattr(state, "save_tensors", half)
    train_step(current, batches(1)[0], steps=10)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(path, current, {"run": 1})
    assert path.read_bytes() == before
    monkeypatch.setattr(state, "save_tensors", write)
    save_checkpoint(path, current, {"run": 1})  # over the half
    assert checkpoint_step(path) == 1 and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_an_error_of_the_system(tmp_path, monkeypatch):
    """Of checkpoints and SAEs: so that a job tells it with its mend, and the run goes on from the last whole checkpoint."""
    config, path = Settings(**SMALL).resolve(d_model=16, tokens=1000), tmp_path / "checkpoint"
    current = fresh_state(config, *normalisations(batches(1)[0], 16), seed=0)
    save_checkpoint(path, current, {"run": 1})

    def full(*args, **kwargs):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("crosslens.tables.tensors.save_file", full)
    identity = dict.fromkeys(IDENTITY, "1")
    for save in (
        lambda: save_checkpoint(path, current, {"run": 1}),
        lambda: save_sae(tmp_path / "sae", current.exported(), identity=identity),
    ):
        with pytest.raises(OSError, match="No space left") as told:
            save()
        assert told.value.errno == errno.ENOSPC
    load_checkpoint(path, current, {"run": 1})
    assert path.exists()


# training interrupted within the process, for every architecture


class Interrupted(Exception):
    pass


def interrupt(monkeypatch, at_call: int, action) -> None:
    """Do `action` before the call of that number of `train_step`, once."""
    calls = 0

    def counted(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == at_call:
            action()
        return train_step(*args, **kwargs)

    monkeypatch.setattr(run, "train_step", counted)


def raise_interrupted() -> None:
    raise Interrupted


def send_sigterm() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == OFTEN else pytest.mark.long) for name in VARIANTS]
)
def test_an_interrupted_sae_of_any_kind_ends_with_the_same_bytes(store, tmp_path, monkeypatch, name):
    settings = SMALL | {"epochs": 1.5, "checkpoint_tokens": 64 * 7} | VARIANTS[name]
    whole, halted = (sae_in(tmp_path / folder, **settings) for folder in ("whole", "halted"))
    train_saes(**store, saes=[whole])
    assert set(files_of(whole)) == FILES and len(curve_of(whole)) == 47

    moments = random.Random(name)
    interrupt(monkeypatch, moments.randint(1, 20), raise_interrupted)
    with pytest.raises(Interrupted):
        train_saes(**store, saes=[halted])
    interrupt(monkeypatch, moments.randint(8, 20), send_sigterm)
    with pytest.raises(SystemExit) as ended:
        train_saes(**store, saes=[halted])
    assert ended.value.code == 143
    checkpoint = halted["out"].parent / CHECKPOINT
    at = checkpoint_step(checkpoint)
    assert 8 <= at < 47
    # what a kill may leave lying about
    checkpoint.with_name(CHECKPOINT + ".part").write_bytes(b"half")
    halted["out"].mkdir()
    (halted["out"] / "sae_weights.safetensors").write_bytes(b"half")
    (halted["out"] / "rest.part").write_bytes(b"half")
    interrupt(monkeypatch, 0, raise_interrupted)
    train_saes(**store, saes=[halted])
    assert files_of(halted) == files_of(whole)


@pytest.mark.parametrize(
    "architecture",
    ["topk", *(pytest.param(name, marks=pytest.mark.long) for name in ("batchtopk", "jumprelu"))],
)
def test_a_run_ends_with_the_products_that_it_began_with(store, tmp_path, monkeypatch, architecture):
    """Another machine, or the same one on another day, may take float32 products for quicker."""
    monkeypatch.setattr("crosslens.sae.step.FAST_FROM", 1)
    settings = SMALL | {"epochs": 1, "checkpoint_tokens": 64 * 7, "architecture": architecture}
    whole, halted = (sae_in(tmp_path / folder, **settings) for folder in ("whole", "halted"))
    monkeypatch.setattr("crosslens.sae.step.bfloat16_is_faster", lambda device: True)
    train_saes(**store, saes=[whole])
    interrupt(monkeypatch, 12, raise_interrupted)
    with pytest.raises(Interrupted):
        train_saes(**store, saes=[halted])
    monkeypatch.setattr("crosslens.sae.step.bfloat16_is_faster", lambda device: False)
    interrupt(monkeypatch, 0, raise_interrupted)
    train_saes(**store, saes=[halted])
    assert b"bfloat16 candidates" in files_of(whole)["training.json"]
    assert files_of(halted) == files_of(whole)


def job(folder) -> list[dict]:
    """SAEs of two corpora, of several architectures, lengths, and steps between checkpoints."""
    variants = {
        "topk": {},
        "batchtopk": {"architecture": "batchtopk", "checkpoint_tokens": 64 * 5},
        "short": {"seed": 1, "epochs": 0.7},
        "en": {"corpus": "en", "languages": ("en",), "checkpoint_tokens": 64 * 4},
    }
    given = SMALL | {"epochs": 1.5, "checkpoint_tokens": 64 * 7}
    return [sae_in(folder / name, **(given | variant)) for name, variant in variants.items()]


@pytest.fixture(scope="module")
def whole_job(store, tmp_path_factory):
    saes = job(tmp_path_factory.mktemp("whole"))
    train_saes(**store, saes=saes)
    assert max(point["dead"] for point in curve_of(saes[0])) > 0
    return [files_of(sae) for sae in saes]


@pytest.mark.parametrize("saves", [3, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 2, 9, 14))])
def test_a_job_killed_between_two_saves_ends_with_the_same_bytes(
    store, whole_job, tmp_path, monkeypatch, saves
):
    """SAEs then go on from different steps, and one that begins anew catches up with them."""
    saes = job(tmp_path)
    save, done = Run.save, 0

    def counted(self):
        nonlocal done
        save(self)
        done += 1
        if done == saves:
            raise Interrupted

    monkeypatch.setattr(Run, "save", counted)
    with pytest.raises(Interrupted):
        train_saes(**store, saes=saes)
    monkeypatch.setattr(Run, "save", save)
    checkpoints = [sae["out"].parent / CHECKPOINT for sae in saes]
    steps = [checkpoint_step(path) if path.exists() else 0 for path in checkpoints]
    assert len(set(steps)) > 1
    # killed once more while the last is catching up
    interrupt(monkeypatch, 3, send_sigterm)
    with pytest.raises(SystemExit):
        train_saes(**store, saes=saes)
    interrupt(monkeypatch, 0, raise_interrupted)
    train_saes(**store, saes=saes)
    assert [files_of(sae) for sae in saes] == whole_job


def test_a_finished_job_whose_files_were_lost_is_written_again_without_a_step(store, tmp_path, monkeypatch):
    saes = job(tmp_path)[:2]
    train_saes(**store, saes=saes)
    before = [files_of(sae) for sae in saes]
    for sae in saes:
        (sae["out"] / "cfg.json").unlink()
    interrupt(monkeypatch, 1, raise_interrupted)
    train_saes(**store, saes=saes)
    assert [files_of(sae) for sae in saes] == before


# Processes that are killed. They come from a server that has imported torch, so that each starts at once.


class Jobs:
    """The same two SAEs trained again and again, in processes of their own."""

    def __init__(self, folder, store):
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["crosslens.sae.training", "torch._inductor"])
        self.folder, self.store = folder, store

    def saes(self, name: str) -> list[dict]:
        settings = SMALL | {"train_tokens": 64 * 120, "checkpoint_tokens": 64 * 20}
        return [
            sae_in(self.folder / name / architecture, architecture=architecture, **settings)
            for architecture in ("topk", "batchtopk")
        ]

    def start(self, name: str, pause: float = 0.005, sigterm_in_step: int = 0):
        given = {**self.store, "saes": self.saes(name)}
        process = self.context.Process(target=train_slowly, args=(pause, sigterm_in_step), kwargs=given)
        process.start()
        return process

    def finish(self, name: str) -> list[dict[str, bytes]]:
        process = self.start(name, pause=0)
        process.join(300)
        assert process.exitcode == 0
        return [files_of(sae) for sae in self.saes(name)]

    def checkpoints(self, name: str) -> list:
        return [sae["out"].parent / CHECKPOINT for sae in self.saes(name)]

    def wait_for_checkpoint(self, name: str, after_step: int) -> int:
        """The step of the first checkpoint after `after_step`."""
        path = self.checkpoints(name)[0]
        for _ in range(6000):
            if path.exists() and (step := checkpoint_step(path)) > after_step:
                return step
            time.sleep(0.01)
        raise AssertionError("no checkpoint within a minute")


@pytest.fixture(scope="module")
def jobs(tmp_path_factory, store):
    return Jobs(tmp_path_factory.mktemp("jobs"), store)


@pytest.fixture(scope="module")
def undisturbed(jobs):
    result = jobs.finish("undisturbed")
    assert [set(files) for files in result] == [FILES, FILES]
    return result


def test_killed_at_random_moments_and_repeated_gives_the_same_bytes(jobs, undisturbed):
    moments, step = random.Random(7), 0
    process = jobs.start("killed")
    time.sleep(moments.uniform(0.05, 0.5))  # before or after the first steps, whichever it is
    process.kill()
    process.join()
    assert process.exitcode == -9
    for _ in range(2):
        process = jobs.start("killed")
        step = jobs.wait_for_checkpoint("killed", after_step=step)
        time.sleep(moments.uniform(0, 0.2))
        process.kill()
        process.join()
        assert process.exitcode == -9
    assert jobs.finish("killed") == undisturbed


def test_sigterm_leaves_checkpoints_and_exits_with_143(jobs, undisturbed):
    process = jobs.start("terminated", pause=0, sigterm_in_step=2 * 46 + 1)
    process.join(300)
    assert process.exitcode == 143
    # not a multiple of 20, and both SAEs have made the step in which it came
    assert [checkpoint_step(path) for path in jobs.checkpoints("terminated")] == [47, 47]
    assert jobs.finish("terminated") == undisturbed
