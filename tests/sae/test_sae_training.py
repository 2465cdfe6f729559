"""Training as a whole: planted features come back, and a run is the same whatever interrupts it."""

import json
import multiprocessing
import random
import time

import numpy as np
import pytest
import torch
from sae_store import IDENTITY, planted, train_slowly, write_store

from crosslens.errors import InputError
from crosslens.sae.io import load_sae, sae_identity
from crosslens.sae.normalise import centre_and_scale, geometric_median
from crosslens.sae.settings import Settings
from crosslens.sae.state import load_checkpoint, save_checkpoint
from crosslens.sae.stream import TokenStream, select_sources
from crosslens.sae.training import (
    CHECKPOINT,
    derive_seed,
    descend,
    fresh_state,
    learning_rate,
    topk_loss,
    train,
    train_sae,
)
from crosslens.tables.documents import read_json


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_planted_features_are_recovered(tmp_path):
    offset = 5 * np.random.default_rng(9).standard_normal(32).astype(np.float32)
    x, directions = planted(20_000, d=32, m=64, active=3, seed=0)
    inputs = write_store(tmp_path, {"en": 40 * x[:12_000] + offset, "ar": 40 * x[12_000:] + offset})
    settings = {"k": 3, "expansion": 4, "train_tokens": 300_000, "batch_tokens": 512, "lr": 3e-3}
    train_sae(**inputs, identity=IDENTITY, settings=settings, out=tmp_path / "sae")

    sae, account = load_sae(tmp_path / "sae"), read_json(tmp_path / "sae" / "training.json", "training")
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(128))
    best = (torch.tensor(directions) @ sae.W_dec.T).max(1).values
    assert best.mean() > 0.95
    held_out = torch.tensor(40 * planted(2000, d=32, m=64, active=3, seed=1)[0] + offset)
    error = (held_out - sae(held_out)).square().sum() / (held_out - held_out.mean(0)).square().sum()
    assert error < 0.1
    assert account["tokens"] == {"en": 12_000, "ar": 8_000} and account["sinks"] == {"en": 0, "ar": 0}
    curve = account["curve"]
    assert set(curve[0]) == {"step", "tokens", "fvu", "aux", "l0", "dead", "lr"}
    assert (curve[0]["step"], curve[-1]["step"]) == (1, 586) and 100 < len(curve) < 300
    assert curve[-1]["fvu"] < 0.1 < curve[0]["fvu"] and curve[-1]["l0"] <= 3
    assert sae_identity(tmp_path / "sae") == IDENTITY


def stream_of(tmp_path, x, **kwargs) -> TokenStream:
    sources = select_sources(
        **write_store(tmp_path, {"en": x}), site="4", roles=["caption"], sink_factor=None
    )
    return TokenStream(sources, seed=1, **{"block_tokens": 64, "buffer_tokens": 256, **kwargs})


def test_exported_weights_hold_the_normalisation(tmp_path):
    x = 300 * planted(1000, d=8, m=16, active=2, seed=0)[0] + 1000
    stream = stream_of(tmp_path, x)
    config = Settings(k=3, expansion=2, batch_tokens=64, epochs=3, lr=1e-2).resolve(d_model=8, tokens=1000)
    state = train(stream, config, seed=0, checkpoint=tmp_path / "checkpoint", title="toy")
    raw = torch.tensor(x)
    normalised = (raw - state.centre) * state.scale
    with torch.no_grad():
        values, indices = state.exported().encode(raw)
        expected, same = state.sae.encode(normalised)
        assert torch.equal(indices, same)
        # decoder rows have unit norm in both spaces, so activations carry the unit of the space
        torch.testing.assert_close(values * state.scale, expected, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(
            state.exported()(raw), state.sae(normalised) / state.scale + state.centre, rtol=1e-4, atol=0.02
        )


def test_centre_and_scale():
    x = torch.randn(4000, 6, generator=torch.Generator().manual_seed(0)) * 20 + 100
    centre, scale = centre_and_scale(x)
    assert ((x - centre) * scale).square().sum(1).mean().item() == pytest.approx(6, rel=1e-5)
    with pytest.raises(InputError, match="not all the same"):
        centre_and_scale(torch.ones(5, 3))
    with pytest.raises(InputError, match="finite"):
        centre_and_scale(torch.full((5, 3), torch.nan))


def test_geometric_median_is_not_the_mean():
    line = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, 0.5], [1000.0, 1000.0]])
    median = geometric_median(line, iterations=500)

    def distance(point):
        return (line - point).norm(dim=1).sum()

    assert median.max() < 1.01
    for nudge in torch.eye(2):
        assert distance(median) <= distance(median + 0.01 * nudge) + 1e-3
        assert distance(median) <= distance(median - 0.01 * nudge) + 1e-3


def test_learning_rate():
    config = Settings(lr=1.0, warmup_fraction=0.1, decay_fraction=0.2)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == 1 and rates[79] == 1 and rates[80] == 1
    assert rates[90] == pytest.approx(0.5) and rates[99] == pytest.approx(0.05)
    assert Settings().resolve(d_model=128, tokens=10).lr == pytest.approx(8e-4)


def test_seeds_differ_by_all_that_tells_runs_apart():
    changes = [{}, {"seed": 1}, {"study": "b"}, {"site": "5"}, {"site": "4.mlp_out"}, {"corpus": "en"}]
    assert len({derive_seed({**IDENTITY, **change}) for change in changes}) == len(changes)
    assert derive_seed(IDENTITY) == derive_seed({**IDENTITY, "revision": "2"})


def test_settings():
    with pytest.raises(InputError, match="key 'l1'"):
        Settings.from_dict({"l1": 1})
    for wrong in (
        {"k": 0},
        {"architecture": "topp"},
        {"roles": ["title"]},
        {"decay_fraction": 2},
        {"aux_k": -1},
        {"grad_clip": None},
    ):
        with pytest.raises(InputError, match=next(iter(wrong))):
            Settings.from_dict(wrong)
    with pytest.raises(InputError, match="k 2000; expected at most d_sae = 1024"):
        Settings(k=2000).resolve(d_model=128, tokens=10)
    resolved = Settings(epochs=2.5).resolve(d_model=128, tokens=1000)
    assert (resolved.train_tokens, resolved.aux_k, resolved.dead_after_tokens) == (2500, 64, 250)
    assert Settings(aux_k=0).resolve(d_model=128, tokens=10).aux_k == 0


def test_a_diverging_run_stops_with_a_message(tmp_path):
    stream = stream_of(tmp_path, planted(1000, d=8, m=16, active=2, seed=0)[0])
    config = Settings(k=3, expansion=2, batch_tokens=64, epochs=3, lr=1e30).resolve(d_model=8, tokens=1000)
    with pytest.raises(InputError, match="toy: found loss .* at step .*lower lr"):
        train(stream, config, seed=0, checkpoint=tmp_path / "checkpoint", title="toy")


def test_checkpoint_is_exact_and_knows_its_run(tmp_path):
    stream = stream_of(tmp_path, planted(1000, d=8, m=16, active=2, seed=0)[0])
    config = Settings(k=3, expansion=2, batch_tokens=64, epochs=3).resolve(d_model=8, tokens=1000)

    def fresh(**kwargs):
        return fresh_state(stream, config, 0, torch.device("cpu"), **kwargs)

    def steps(state, count):
        for batch in [b for _, b in zip(range(count), stream.batches(64, start=state.step), strict=False)]:
            x = (torch.tensor(batch) - state.centre) * state.scale
            loss = topk_loss(state.sae, x, state.silent > 100, aux_k=4, alpha=0.1)
            descend(state, loss, config, 100)
            state.silent += 1
            state.step += 1

    state, path = fresh(), tmp_path / "checkpoint"
    for count in (0, 5):
        steps(state, count)
        save_checkpoint(path, state, {"run": 1})
        again = fresh(resuming=True)
        load_checkpoint(path, again, {"run": 1})
        assert (again.step, again.scale, again.curve) == (state.step, state.scale, state.curve)
        continued = again.tensors()
        for name, tensor in state.tensors().items():
            assert torch.equal(tensor, continued[name]), name
    steps(state, 5)
    steps(again, 5)
    assert all(torch.equal(tensor, again.tensors()[name]) for name, tensor in state.tensors().items())
    with pytest.raises(InputError, match="expected {'run': 2}"):
        load_checkpoint(path, fresh(resuming=True), {"run": 2})
    path.write_bytes(b"half a file")
    with pytest.raises(InputError, match="delete the file"):
        load_checkpoint(path, fresh(resuming=True), {"run": 1})


# A run that is killed. Processes come from a server that has imported torch, so that each starts at once.


class Runs:
    """The same training again and again, in processes of their own."""

    def __init__(self, folder):
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["crosslens.sae.training", "torch._inductor"])
        x, _ = planted(3000, d=16, m=64, active=3, seed=0)
        self.folder = folder
        self.settings = {"k": 3, "batch_tokens": 64, "train_tokens": 64 * 300, "dead_after_tokens": 2000}
        self.settings |= {
            "block_tokens": 256,
            "buffer_tokens": 1024,
            "checkpoint_tokens": 64 * 30,
            "lr": 3e-3,
        }
        self.inputs = write_store(folder, {"en": x[:2000], "ar": x[2000:]}, dtype="bfloat16")

    def start(self, name: str, pause: float = 0.01, sigterm_in_step: int = 0):
        work = self.folder / name
        work.mkdir(exist_ok=True)
        process = self.context.Process(
            target=train_slowly,
            args=(pause, sigterm_in_step),
            kwargs={**self.inputs, "identity": IDENTITY, "settings": self.settings, "out": work / "out"},
        )
        process.start()
        return process

    def finish(self, name: str) -> dict[str, bytes]:
        process = self.start(name, pause=0)
        process.join(300)
        assert process.exitcode == 0
        return {path.name: path.read_bytes() for path in (self.folder / name / "out").iterdir()}

    def wait_for_checkpoint(self, name: str, after_step: int) -> int:
        """The step of the first checkpoint after `after_step`."""
        path = self.folder / name / CHECKPOINT
        for _ in range(6000):
            if path.exists() and (step := checkpoint_step(path)) > after_step:
                return step
            time.sleep(0.01)
        raise AssertionError("no checkpoint within a minute")


def checkpoint_step(path) -> int:
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return json.loads(header["__metadata__"]["crosslens"])["step"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def undisturbed(runs):
    result = runs.finish("undisturbed")
    assert set(result) == {"sae_weights.safetensors", "cfg.json", "training.json"}
    return result


def test_killed_and_repeated_gives_the_same_bytes(runs, undisturbed):
    moments, step = random.Random(7), 0
    process = runs.start("killed")
    time.sleep(moments.uniform(0.05, 0.5))  # before or after the first steps, whichever it is
    process.kill()
    process.join()
    assert process.exitcode == -9
    for _ in range(3):
        process = runs.start("killed")
        step = runs.wait_for_checkpoint("killed", after_step=step)
        time.sleep(moments.uniform(0, 0.2))
        process.kill()
        process.join()
        assert process.exitcode == -9
    half = runs.folder / "killed" / "out"
    half.mkdir(exist_ok=True)
    (half / "sae_weights.safetensors").write_bytes(b"half")
    (half / "rest.part").write_bytes(b"half")
    assert runs.finish("killed") == undisturbed


def test_sigterm_leaves_a_checkpoint_and_exits_with_143(runs, undisturbed):
    process = runs.start("terminated", pause=0, sigterm_in_step=47)
    process.join(300)
    assert process.exitcode == 143
    assert checkpoint_step(runs.folder / "terminated" / CHECKPOINT) == 47  # not a multiple of 30
    assert runs.finish("terminated") == undisturbed
