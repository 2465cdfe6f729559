"""SAEs from their settings to their files: alone, many in one job, and transcoders."""

import logging

import numpy as np
import pytest
import torch
from sae_store import IDENTITY, files_of, planted, sae_in, write_store

from crosslens.errors import InputError
from crosslens.sae import training
from crosslens.sae.io import load_sae, sae_identity
from crosslens.sae.normalise import centre_and_scale, geometric_median
from crosslens.sae.run import derive_seed
from crosslens.sae.settings import Settings
from crosslens.sae.step import fresh_state, normalisations, train_step
from crosslens.sae.training import train_saes
from crosslens.tables.activations import Activations
from crosslens.tables.documents import read_json

D = 32


def unexplained(x: torch.Tensor, predicted: torch.Tensor) -> float:
    """Σ‖x − x̂‖² / Σ‖x − x̄‖²."""
    return ((x - predicted).square().sum() / (x - x.mean(0)).square().sum()).item()


def test_planted_features_are_recovered(tmp_path):
    offset = 5 * np.random.default_rng(9).standard_normal(D).astype(np.float32)
    x, directions = planted(20_000, d=D, m=64, active=3, seed=0)
    inputs = write_store(tmp_path, {"en": 40 * x[:12_000] + offset, "ar": 40 * x[12_000:] + offset})
    sae = sae_in(tmp_path / "sae", k=3, expansion=4, train_tokens=300_000, batch_tokens=512, lr=3e-3)
    train_saes(**inputs, saes=[sae])

    found, account = load_sae(sae["out"]), read_json(sae["out"] / "training.json", "training")
    torch.testing.assert_close(found.W_dec.norm(dim=1), torch.ones(128))
    best = (torch.tensor(directions) @ found.W_dec.T).max(1).values
    assert best.mean() > 0.95
    held_out = torch.tensor(40 * planted(2000, d=D, m=64, active=3, seed=1)[0] + offset)
    assert unexplained(held_out, found(held_out)) < 0.1
    assert account["tokens"] == {"en": 12_000, "ar": 8_000} and account["sinks"] == {"en": 0, "ar": 0}
    assert account["products"] == "float32 products" and account["settings"]["d_sae"] == 128
    curve = account["curve"]
    assert {"step", "tokens", "fvu", "aux", "penalty", "l0", "dead", "lr"} <= set(curve[0])
    assert (curve[0]["step"], curve[-1]["step"]) == (1, 586) and 100 < len(curve) < 300
    assert curve[-1]["fvu"] < 0.1 < curve[0]["fvu"] and curve[-1]["l0"] <= 3
    assert sae_identity(sae["out"]) == IDENTITY


def test_exported_weights_hold_the_normalisation():
    raw = torch.tensor(300 * planted(1000, d=8, m=16, active=2, seed=0)[0] + 1000)
    config = Settings(k=3, expansion=2, batch_tokens=100, lr=1e-2).resolve(d_model=8, tokens=1000)
    state = fresh_state(config, *normalisations(raw, 8), seed=0)
    for batch in raw.split(100) * 3:
        train_step(state, batch, steps=30)
    normalised = state.reads(raw)
    with torch.no_grad():
        z = state.exported().encode_dense(raw)
        places, values = state.model.strongest(state.model.centred(normalised))
        expected = places.dense(values.relu())
        assert torch.equal(z > 0, expected > 0)
        # decoder rows have unit norm in both spaces, so activations carry the unit of the space
        torch.testing.assert_close(z * state.reads.scale, expected, rtol=1e-3, atol=1e-3)
        normalised_again = state.reads(state.exported()(raw))
        torch.testing.assert_close(
            normalised_again, state.model.decode(values.relu(), places), rtol=1e-3, atol=1e-3
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


def test_seeds_differ_by_all_that_tells_runs_apart():
    changes = [{}, {"seed": 1}, {"model": "b"}, {"site": "5"}, {"site": "4.mlp_out"}, {"corpus": "en"}]
    assert len({derive_seed({**IDENTITY, **change}) for change in changes}) == len(changes)
    assert derive_seed(IDENTITY) == derive_seed({**IDENTITY, "revision": "2"})


def test_settings():
    with pytest.raises(InputError, match="key 'l0'"):
        Settings.from_dict({"l0": 1})
    for wrong in (
        {"k": 0},
        {"architecture": "topp"},
        {"roles": ["title"]},
        {"decay_fraction": 2},
        {"aux_k": -1},
        {"grad_clip": None},
        {"matryoshka_fractions": [0.5, 0.25, 1]},
        {"tied": True, "transcoder": True},
    ):
        with pytest.raises(InputError, match=next(iter(wrong))):
            Settings.from_dict(wrong)
    with pytest.raises(InputError, match="found 2000; expected at most d_sae = 1024"):
        Settings(k=2000).resolve(d_model=128, tokens=10)
    resolved = Settings(epochs=2.5).resolve(d_model=128, tokens=1000)
    assert (resolved.train_tokens, resolved.aux_k, resolved.dead_after_tokens) == (2500, 64, 250)
    assert Settings(aux_k=0).resolve(d_model=128, tokens=10).aux_k == 0
    assert Settings(d_sae=100, expansion=4).resolve(d_model=128, tokens=10).d_sae == 100


# many SAEs in one job

SMALL = {"k": 3, "d_sae": 48, "batch_tokens": 64, "lr": 3e-3, "dead_after_tokens": 1000}
STREAM = {"block_tokens": 32, "buffer_mb": 2 * 256 * 16 * 2 / 2**20}
"""Buffers of 256 tokens of 16 bfloat16 numbers."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    x, _ = planted(3000, d=16, m=64, active=3, seed=0)
    return write_store(tmp_path_factory.mktemp("store"), {"en": x[:1800], "ar": x[1800:]}, dtype="bfloat16")


def job(folder, **changes) -> list[dict]:
    """SAEs of three corpora, and on one of them of several seeds, architectures, sizes and lengths."""
    variants = {
        "joint": {},
        "seed": {"seed": 1},
        "batchtopk": {"architecture": "batchtopk"},
        "relu": {"architecture": "relu", "lr": 1e-3},
        "wide": {"d_sae": 96, "tied": True, "epochs": 0.3},
        "en": {"corpus": "en", "languages": ("en",)},
        "ar": {"corpus": "ar", "languages": ("ar",), "architecture": "jumprelu"},
    }
    return [
        sae_in(folder / name, **(SMALL | STREAM | {"epochs": 0.6} | variant | changes))
        for name, variant in variants.items()
    ]


def test_an_sae_is_the_same_whatever_is_trained_beside_it(store, tmp_path):
    together = job(tmp_path / "together")
    train_saes(**store, saes=together)
    for one, other in list(zip(job(tmp_path / "alone"), together, strict=True))[::2]:
        train_saes(**store, saes=[one])
        assert files_of(one) == files_of(other)
    assert len({files_of(sae)["sae_weights.safetensors"] for sae in together}) == len(together)


def test_all_saes_of_a_job_share_one_reading_of_every_row(store, tmp_path, monkeypatch):
    counts, while_training = {}, {}
    read_stored, train = Activations.read_stored, training._train

    def counted(self, start, stop):
        read = counts.setdefault(self.attributes["language"], np.zeros(len(self), dtype=int))
        read[start:stop] += 1
        return read_stored(self, start, stop)

    def watched(*args):
        counts.clear()  # what the normalisation was measured on was read before, what neighbours are is read after
        train(*args)
        while_training.update({language: read.copy() for language, read in counts.items()})

    monkeypatch.setattr(Activations, "read_stored", counted)
    monkeypatch.setattr(training, "_train", watched)
    train_saes(**store, saes=job(tmp_path, epochs=3)[::3])
    for language, read in while_training.items():
        # two buffers may have been read ahead of the last step
        assert read.min() == 3 and read.max() <= 4 and (read == 4).sum() <= 2 * 256, language
    assert {language: len(read) for language, read in while_training.items()} == {"en": 1800, "ar": 1200}


def test_one_log_line_tells_of_progress_and_of_waiting_for_data(store, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    train_saes(**store, saes=job(tmp_path, epochs=1)[:2])
    (last,) = [message for message in caplog.messages if "100 %" in message]
    assert last.startswith("2 SAEs of layer 4: 6,016 of 6,016 tokens") and "data_wait 0." in last


@pytest.mark.parametrize(
    "changes",
    [{"batch_tokens": 128}, {"roles": ["prompt"]}, {"block_tokens": 16}, {"site": "5"}, {"model": "b"}],
)
def test_saes_that_read_different_tokens_are_refused_together(store, tmp_path, changes):
    first, second = job(tmp_path)[:2]
    for key, value in changes.items():
        second["identity" if key in IDENTITY else "settings"][key] = value
    with pytest.raises(InputError, match=f"seed 1: found .*{next(iter(changes))}.*read the same tokens"):
        train_saes(**store, saes=[first, second])


def test_saes_with_one_folder_for_their_checkpoints_are_refused_together(store, tmp_path):
    first, second = job(tmp_path)[:2]
    second["out"] = first["out"].with_name("other")
    with pytest.raises(InputError, match="a folder of its own"):
        train_saes(**store, saes=[first, second])


def test_activations_of_another_site_language_or_width_are_refused(store, tmp_path):
    sae = job(tmp_path)[0]
    elsewhere = {**sae, "identity": {**IDENTITY, "site": "6"}}
    with pytest.raises(InputError, match="site 4, language en.*expected site 6"):
        train_saes(**store, saes=[elsewhere])
    swapped = {**store["activations"], "en": store["activations"]["ar"]}
    with pytest.raises(InputError, match="language ar.*expected site 4, language en"):
        train_saes(**{**store, "activations": swapped}, saes=[sae])
    narrow = write_store(tmp_path / "narrow", {"ar": np.ones((1200, 8))})["activations"]["ar"]
    with pytest.raises(InputError, match="width 8.*the same width"):
        train_saes(**{**store, "activations": {**store["activations"], "ar": narrow}}, saes=[sae])


def test_a_diverging_run_stops_with_a_message(store, tmp_path):
    sae = job(tmp_path, lr=1e30)[0]
    with pytest.raises(InputError, match="SAE joint layer 4 seed 0: found loss .* at step .*lower lr"):
        train_saes(**store, saes=[sae])
    assert not sae["out"].exists()


# transcoders


def read_and_written(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(count, 32) and (count, 24): one sparse code through two sets of directions, each with its unit and offset."""
    x, _ = planted(count, d=D, m=64, active=3, seed=seed)
    through = np.random.default_rng(8).standard_normal((D, 24)).astype(np.float32)
    return 40 * x + 11, 0.3 * (x @ through) - 4


@pytest.fixture(scope="module")
def two_sites(tmp_path_factory):
    """The inputs of a transcoder: what is read at site 4, what is written at 4.mlp_out."""
    folder, (x, y) = tmp_path_factory.mktemp("two_sites"), read_and_written(12_000, seed=0)
    written = write_store(folder / "target", {"en": y}, site="4.mlp_out", splits=("train", "test"))
    inputs = write_store(folder, {"en": x}, splits=("train", "test"))
    return {**inputs, "targets": written["activations"]}


def test_a_transcoder_reads_one_site_and_predicts_the_other(two_sites, tmp_path):
    settings = {"k": 4, "d_sae": 192, "train_tokens": 200_000, "batch_tokens": 256, "lr": 3e-3}
    sae = sae_in(tmp_path, target="4.mlp_out", languages=("en",), **settings)
    train_saes(**two_sites, saes=[sae])
    found = load_sae(sae["out"])
    assert (found.d_in, found.d_out) == (D, 24)
    x, y = map(torch.tensor, read_and_written(2000, seed=1))
    assert unexplained(y, found(x)) < 0.25
    assert read_json(sae["out"] / "training.json", "training")["tokens"] == {"en": 6000}


def test_a_transcoder_is_refused_targets_of_other_rows_or_of_another_site(two_sites, tmp_path):
    sae = sae_in(tmp_path / "sae", target="4.mlp_out", languages=("en",), d_sae=64)
    parts = two_sites["targets"]["en"]
    with pytest.raises(InputError, match="in 1 parts; expected 12000 rows of float32 in 2 parts"):
        train_saes(**{**two_sites, "targets": {"en": parts[:1]}}, saes=[sae])
    with pytest.raises(InputError, match="site 4, language en.*expected site 4.mlp_out"):
        train_saes(**{**two_sites, "targets": two_sites["activations"]}, saes=[sae])
    # an SAE and a transcoder do not read the same matrix
    plain = sae_in(tmp_path / "plain", languages=("en",), d_sae=64)
    with pytest.raises(InputError, match="'target': None.*'target': '4.mlp_out'"):
        train_saes(**two_sites, saes=[sae, plain])
