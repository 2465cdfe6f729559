"""Ablated directions: what they cost where that can be worked out by hand, which features are taken, and a null that is one."""

import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import kstest

from crosslens.features import splice
from crosslens.interventions import ablation, costs
from crosslens.models.load import load_model
from crosslens.tables.documents import read_table, write_table

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
import tiny

SITE, ROLES = "1", ["prompt", "caption"]
ARABIC, BOTH, NOWHERE = range(3)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A Gemma-3 whose blocks add nothing, so that what it holds of a token is its embedding: dimension 0 only of tokens that
    Arabic captions alone have, dimension 1 of all, dimension 2 of none. (model, language -> test samples, images)"""
    root = tmp_path_factory.mktemp("ablation")
    loaded = load_model(id=str(tiny.save_tiny_vlm(root / "model")), device="cpu")
    frames = {}
    for language in ("en", "ar"):
        dataset, images = tiny.save_dataset(root / language, language, 6)
        frames[language] = read_table(dataset, "dataset").assign(split="test")
    tokens = {
        language: {
            token
            for _, batch in splice.batches(loaded, frame, root / language / "images", 3)
            for token in batch.inputs["input_ids"][batch.has_role(ROLES)].tolist()
        }
        for language, frame in frames.items()
    }
    with torch.no_grad():
        for block in loaded.adapter.blocks:
            for name, parameter in block.named_parameters():
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    parameter.zero_()
        table = loaded.model.get_input_embeddings().weight
        table[:, ARABIC] *= torch.tensor([float(i in tokens["ar"] - tokens["en"]) for i in range(len(table))])
        table[:, NOWHERE] = 0
    return loaded, frames, root / "en" / "images"


@torch.inference_mode()
def by_hand(loaded, frame, images, dimension):
    """(n) sums over the caption of each sample of log p before less after, from embeddings, norm and unembedding alone."""
    text = loaded.model.model.language_model
    norm, head = text.norm, loaded.model.lm_head.weight
    found = []
    for _, batch in splice.batches(loaded, frame, images, 1):
        ids = batch.inputs["input_ids"]
        x = loaded.model.get_input_embeddings()(ids)[0]
        counted = batch.has_role(["caption"])[0].numpy().nonzero()[0]
        told = []
        for without in (False, True):
            held = x.clone()
            if without:
                held[batch.has_role(ROLES)[0], dimension] = 0
            scaled = held / (held.square().mean(-1, keepdim=True) + norm.eps).sqrt() * (1 + norm.weight)
            log_p = torch.log_softmax(scaled @ head.T, -1)
            told.append(sum(float(log_p[i - 1, ids[0, i]]) for i in counted))
        found.append(told[0] - told[1])
    return np.array(found)


def test_costs_are_those_worked_out_by_hand(world):
    """An Arabic-only feature costs English nothing at all, one of both languages both, and one of none nothing."""
    loaded, frames, images = world
    decoder = torch.eye(tiny.D_MODEL)[:3] * torch.tensor([[2.0], [0.5], [1.0]])
    for language, frame in frames.items():
        losses = ablation.measure(loaded, SITE, frame, images, 4, ROLES, decoder, [ARABIC, BOTH, NOWHERE])
        change = [losses[f"ce_{i}"].to_numpy() - losses["ce_clean"].to_numpy() for i in range(3)]
        assert (change[NOWHERE] == 0).all()
        if language == "en":
            assert (change[ARABIC] == 0).all()
        for dimension in (ARABIC, BOTH):
            expected = by_hand(loaded, frame, images, dimension)
            assert change[dimension] == pytest.approx(expected, abs=2e-4)
        assert np.abs(change[BOTH]).max() > 0.1
    assert np.abs(change[ARABIC]).max() > 0.1


def test_what_is_along_the_direction_is_gone_and_the_rest_stays():
    rng = torch.Generator().manual_seed(0)
    x, d = torch.randn(7, 5, generator=rng), torch.randn(5, generator=rng)
    found = ablation.without(d)(x)
    assert found @ d == pytest.approx(torch.zeros(7), abs=1e-5)
    across = torch.linalg.qr(torch.stack([d, *torch.randn(4, 5, generator=rng)]).T)[0][:, 1:]
    torch.testing.assert_close(found @ across, x @ across)
    assert torch.equal(ablation.without(torch.zeros(5))(x), x)


def sharing_table():
    """Sixty features: 0–3 Arabic, 4–7 English, 8–11 shared, the others random; 59 is dead in Arabic."""
    table = pd.DataFrame({"feature": np.arange(60), "specific": "", "shared": False})
    table.loc[:3, "specific"], table.loc[4:7, "specific"], table.loc[8:11, "shared"] = "ar", "en", True
    table.loc[11, "specific"] = "en"
    for name in ("mean", "token_rate"):
        for side in ("first", "second"):
            table[f"{name}_{side}"] = 0.1
    table["live_first"] = table["live_second"] = True
    table.loc[59, "live_second"] = False
    table.loc[:3, "mean_second"] = [0.5, 0.9, 0.3, 0.9]
    table.loc[:3, "mean_first"] = [0.0, 0.8, 0.0, 0.0]
    table.loc[8:10, "mean_first"], table.loc[8:10, "mean_second"] = [0.9, 0.3, 0.4], [0.1, 0.3, 0.2]
    return table


def test_the_strongest_are_taken_and_stand_beside_random_ones_as_frequent():
    table = sharing_table()
    table.loc[20:29, "token_rate_second"] = 0.25
    chosen = ablation.chosen_of(table, ("en", "ar"), 2, np.random.default_rng(0))
    arabic = chosen.specific["ar"]
    assert [feature for feature, _ in arabic.strata] == [3, 0], "by ν, .9 and .5, not by the mean, .9 and .9"
    beside = [control for _, controls in arabic.strata for control in controls]
    assert len(beside) == len(set(beside)) == 20 == ablation.CONTROLS
    allowed = {*range(8, 11), *range(12, 20), *range(30, 59)}
    assert set(beside) <= allowed, "as frequent, live, and specific to neither language"
    assert chosen.shared == [9, 10], "by the weaker mean; 11 is specific as well"
    assert (arabic.found, chosen.shared_found) == (4, 3)


def test_features_without_enough_beside_them_are_left_out_and_the_test_says_why():
    table = sharing_table()
    table.loc[[0, 3], "token_rate_second"] = 0.9
    arabic = ablation.chosen_of(table, ("en", "ar"), 2, np.random.default_rng(0)).specific["ar"]
    assert [feature for feature, _ in arabic.strata] == [2, 1] and arabic.unmatched == 2
    table.loc[:3, "token_rate_second"] = 0.9
    chosen = ablation.chosen_of(table, ("en", "ar"), 2, np.random.default_rng(0))
    arabic = chosen.specific["ar"]
    assert arabic.strata == [] and arabic.unmatched == 4
    assert "0 features that belong to neither language fire as often" in ablation._because(arabic)
    assert ablation._because(chosen.specific["en"]) is None


def test_the_null_is_every_choice_of_one_from_each_row():
    values = np.random.default_rng(1).normal(size=(4, 3))
    every = np.array([np.mean(one) for one in product(*values)])
    null = ablation.among_controls(values, np.random.default_rng(2))
    assert set(np.round(null, 9)) <= set(np.round(every, 9))
    for q in (0.1, 0.5, 0.9):
        assert np.mean(null <= np.quantile(every, q) + 1e-9) == pytest.approx(
            np.mean(every <= np.quantile(every, q) + 1e-9), abs=0.02
        )


def test_features_like_their_controls_are_found_as_often_as_the_level_says():
    """Costs that hang on how often a feature fires, and on nothing else: p is uniform; and a real difference is seen."""
    rng, p, power = np.random.default_rng(3), [], []
    for _ in range(200):
        frequent = rng.gamma(2, size=(10, 1))
        values = frequent * rng.gamma(2, size=(10, 3))
        null = ablation.among_controls(values, rng)[:999]
        p.append((1 + np.sum(null >= values[:, 0].mean())) / 1000)
        values[:, 0] += 3 * frequent[:, 0]
        null = ablation.among_controls(values, rng)[:999]
        power.append((1 + np.sum(null >= values[:, 0].mean())) / 1000)
    assert kstest(p, "uniform").pvalue > 0.01
    assert np.mean(np.array(power) <= 0.05) > 0.8


def test_costs_are_a_token_and_intervals_are_of_images():
    """Three captions of each image that say the same add no certainty, and a long caption counts as its tokens do."""
    rng = np.random.default_rng(4)
    tokens, change = rng.integers(5, 15, 50), rng.normal(1, 0.5, 50)

    def losses(copies):
        frame = {"group": np.repeat([f"i{i:02d}" for i in range(50)], copies)}
        clean = np.repeat(2.0 * tokens, copies)
        more = {"ce_clean": clean, "ce_7": clean + np.repeat(change * tokens, copies)}
        return pd.DataFrame(frame | {"tokens": np.repeat(tokens, copies)} | more)

    weights = costs.resamples(losses(1)["group"], np.random.default_rng(5))
    one, three = (costs.costs(losses(copies), ["7"], weights) for copies in (1, 3))
    assert one.values[0] == pytest.approx((change * tokens).sum() / tokens.sum())
    np.testing.assert_allclose(one.draws, three.draws)
    assert one.clean[0] == pytest.approx(2)
    told = costs.interval(one.draws[:, 0], one.groups)
    spread = np.sqrt(np.sum(np.square(tokens * (change - told["value"])))) / tokens.sum()
    assert told["high"] - told["low"] == pytest.approx(2 * 1.96 * spread, rel=0.15)


def test_intervals_of_few_images_cover_and_of_one_there_are_none():
    """Ten images: plain percentiles of their resamples hold the true cost in .91 or less."""
    rng, held = np.random.default_rng(7), 0
    names = [f"i{i}" for i in range(10)]
    for study in range(400):
        weights = costs.resamples(names, np.random.default_rng(study))
        frame = {"group": names, "tokens": 10, "ce_clean": 20.0}
        frame = pd.DataFrame(frame).assign(ce_7=lambda rows: rows["ce_clean"] + 10 * rng.normal(0.3, 1, 10))
        found = costs.costs(frame, ["7"], weights)
        told = costs.interval(found.draws[:, 0], found.groups)
        held += told["low"] <= 0.3 <= told["high"]
    assert held / 400 >= 0.925
    one = costs.costs(frame.iloc[:1], ["7"], costs.resamples(names[:1], rng))
    told = costs.interval(one.draws[:, 0], one.groups)
    assert (told["low"], told["high"]) == (None, None) and np.isfinite(told["value"])


def test_languages_are_read_on_the_same_samples(tmp_path):
    """Samples that one language lacks are left out of the other; of those of test alone."""
    paths = {}
    for language in ("en", "ar"):
        dataset, _ = tiny.save_dataset(tmp_path / language, language, 12, images=False)
        frame = read_table(dataset, "dataset").assign(split=["train", "test"] * 6)
        write_table(dataset, "dataset", frame.iloc[:-2] if language == "ar" else frame.iloc[::-1])
        paths[language] = dataset
    frames = ablation.shared_samples(paths, 4, 0)
    assert frames["en"]["sample_id"].tolist() == frames["ar"]["sample_id"].tolist()
    assert len(frames["en"]) == 4 and set(frames["ar"]["split"]) == {"test"}
    assert "011#0" not in set(ablation.shared_samples(paths, 100, 0)["en"]["sample_id"])
