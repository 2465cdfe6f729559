"""Features in each other's place: a copy in another order does all that the original does, and strength alone is no likeness."""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from crosslens.gender.agreement import Place, log_odds
from crosslens.interventions import substitution
from crosslens.models.load import load_model
from crosslens.sae.model import TopKSAE
from crosslens.tables.documents import read_json, read_table, write_table

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
sys.path.insert(0, str(Path(__file__).parents[1] / "features"))
import tiny
from splice_sae import SITE, save

FEATURES = 48


def drawn_sae(seed: int) -> TopKSAE:
    """Random unit directions that are read as they are written."""
    sae = TopKSAE(tiny.D_MODEL, FEATURES, 8)
    rows = torch.randn(FEATURES, tiny.D_MODEL, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        sae.W_dec.copy_(rows / rows.norm(dim=1, keepdim=True))
        sae.W_enc.copy_(sae.W_dec.T)
    return sae


def copied(sae: TopKSAE, order: torch.Tensor, factor: float) -> TopKSAE:
    """The same features in another order, whose codes are `factor` times as large."""
    other = TopKSAE(tiny.D_MODEL, FEATURES, 8)
    with torch.no_grad():
        other.W_dec.copy_(sae.W_dec[order] / factor)
        other.W_enc.copy_(sae.W_enc[:, order] * factor)
    return other


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The document of two languages: the Arabic SAE is a copy of the English one, the second English seed and the frozen
    decoders have nothing to do with it."""
    root, patch = tmp_path_factory.mktemp("substitution"), pytest.MonkeyPatch()
    for name, value in (("SIZES", (30, 2000)), ("PERMUTATIONS", 499)):
        patch.setattr(substitution, name, value)
    patch.setattr("crosslens.interventions.costs.BOOTSTRAPS", 100)
    datasets, features = {}, {}
    for language in ("en", "ar"):
        datasets[language], _ = tiny.save_dataset(root / language, language, 18)
        frame = read_table(datasets[language], "dataset")
        frame["split"], frame["label_spans"] = ["train", "select", "test"] * 6, "[[0, 7]]"
        write_table(datasets[language], "dataset", frame)
        features[language] = root / f"{language}.parquet"
        live = pd.DataFrame({"feature": np.arange(FEATURES), "live": np.arange(FEATURES) != 5})
        write_table(features[language], "features", live)
    english, order = drawn_sae(0), torch.randperm(FEATURES, generator=torch.Generator().manual_seed(1))
    saes = {
        "en0": english,
        "ar0": copied(english, order, 3.0),
        "en1": drawn_sae(2),
        "enf": drawn_sae(3),
        "arf": drawn_sae(4),
    }
    saes = {name: save(root / name, sae) for name, sae in saes.items()}
    substitution.substitute_features(
        model={"id": str(tiny.save_tiny_vlm(root / "model")), "device": "cpu"},
        images=root / "en/images",
        datasets=datasets,
        saes={"en": {"0": saes["en0"], "1": saes["en1"]}, "ar": {"0": saes["ar0"]}},
        frozen={"en": saes["enf"], "ar": saes["arf"]},
        features=features,
        site=SITE,
        roles=["prompt", "caption"],
        count=10,
        max_samples=6,
        batch=6,
        seed=0,
        out=root / "substitution.json",
    )
    patch.undo()
    document = read_json(root / "substitution.json", "substitution")
    return {(of["role"], of["language"]): of for of in document["comparisons"]}, order


def test_a_copy_in_another_order_does_the_same(told):
    comparisons, order = told
    assert [*comparisons] == [
        ("languages", "en"),
        ("languages", "ar"),
        ("seeds", "en"),
        ("frozen", "en"),
        ("frozen", "ar"),
    ]
    of = comparisons["languages", "en"]
    # features 5 are dead, in either by its own number, so that two of the pairs have other partners
    right = [row for row in of["features"] if order[row["partner"]] == row["feature"]]
    assert len(right) >= 8 and of["matched"] == FEATURES - 1
    for row in right:
        assert row["scale"] == pytest.approx(1 / 3, rel=1e-4)
        assert row["cost"]["second"]["value"] == pytest.approx(row["cost"]["first"]["value"], abs=1e-5)
    most = next(point for point in of["curve"] if point["n"] == 30)
    assert most["cost"]["ablated"]["value"] > 0.01
    assert most["recovered"]["substituted"]["value"] > 0.9 > 0.5 > most["recovered"]["shuffled"]["value"]
    ce, words = of["effects"]
    assert (ce["outcome"], words["outcome"]) == ("ce", "label_words")
    assert ce["spearman"]["value"] > 0.85 and max(null["p"] for null in ce["null"].values()) < 0.05


def test_other_directions_do_not(told):
    """One by one, a copy's features cost what the original's do; those of SAEs that have nothing to do with it do not."""
    apart = {
        place: np.mean([abs(row["cost"]["first"]["value"] - row["cost"]["second"]["value"]) for row in of["features"]])
        for place, of in told[0].items()
    }  # fmt: skip
    for place in (("seeds", "en"), ("frozen", "en"), ("frozen", "ar")):
        assert apart[place] > 5 * max(apart["languages", "en"], apart["languages", "ar"]), apart


def test_the_strongest_come_first_and_label_words_are_told_apart(told):
    of = told[0]["languages", "en"]
    costs = [point["cost"]["ablated"]["value"] for point in of["curve"]]
    assert costs[-1] > costs[0] and [point["n"] for point in of["curve"]] == [30, of["pairs"]]
    assert of["effects"][0]["pearson"] != of["effects"][1]["pearson"]


def test_captions_without_a_label_word_are_no_units_of_it():
    losses = pd.DataFrame({"group": ["a", "b", "c"], "tokens": 5, "label_tokens": [2, 0, 1]})
    losses = losses.assign(ce_clean=1.0, ce_x=2.0, label_ce_clean=[1.0, 0, 1], label_ce_x=[2.0, 0, 3])
    found = substitution.Texts.outcomes(SimpleNamespace(targets=[]), {}, losses)
    assert [*found] == ["ce", "label_words"] and len(found["ce"]) == 3
    assert found["label_words"].to_dict("list") == {
        "group": ["a", "c"],
        "tokens": [2, 1],
        "ce_clean": [1, 1],
        "ce_x": [2, 3],
    }


def in_two_genders() -> pd.DataFrame:
    """Four sentences of a woman and of a man, two of select and two of test."""
    pairs = [
        ("Then {she} took {her} red book.", "she", "her", "he", "his"),
        ("The {woman} holds {her} bag.", "woman", "her", "man", "his"),
    ]
    rows = []
    for number, (text, *words) in enumerate(pairs * 2):
        for gender, (first, second) in {"female": words[:2], "male": words[2:]}.items():
            around = re.split(r"\{\w+\}", text)
            caption = around[0] + first + around[1] + second + around[2]
            start = len(around[0] + first + around[1])
            spans = [[len(around[0]), len(around[0] + first)], [start, start + len(second)]]
            row = {
                "sample_id": f"{number}_{gender}#0",
                "image_id": f"{number}_{gender}",
                "group": f"s{number}",
            }
            row |= {
                "gender": gender,
                "category": "",
                "caption": caption,
                "prompt": "",
                "image": "",
                "image_sha256": "",
            }
            rows.append(row | {"split": ("select", "test")[number // 2], "label_spans": json.dumps(spans)})
    return pd.DataFrame(rows)


def test_without_anything_left_the_number_of_pieces_is_all_that_agreement_hangs_on(request):
    """Zeros behind the last block make every token as likely as every other: log-odds of pieces times log V."""
    loaded = load_model(str(request.config.rootpath / "resources/planted"), device="cpu")
    texts = substitution.Texts(loaded, "7", in_two_genders(), None, 4, ["caption"], 4, 0)
    found = texts._agreement({"gone": torch.zeros_like, "same": lambda x: x})
    assert (
        sorted(found["group"]) == ["s2", "s2", "s3", "s3"] and (found["ce_same"] == found["ce_clean"]).all()
    )
    places = [
        Place("", target.prefix[gender], target.form["female"], target.form["male"])
        for target in texts.targets
        for gender in ("female", "male")
    ]
    scored = log_odds(loaded, places, batch=4)
    assert found["ce_clean"].tolist() == pytest.approx(
        [o * -s.log_odds for o, s in zip([1, -1] * 2, scored, strict=True)]
    )
    vocabulary = loaded.model.get_input_embeddings().num_embeddings
    for odds, place, sign in zip(found["ce_gone"], scored, [1, -1] * 2, strict=True):
        pieces_female, pieces_male = place.pieces
        assert odds == pytest.approx(-sign * (pieces_male - pieces_female) * np.log(vocabulary), abs=1e-3)


def test_the_scale_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    z, other = np.maximum(rng.normal(size=(2, 50, 6)), 0)
    other[:, 5] = 0
    energy, scale = substitution.fitted(torch.from_numpy(z), torch.from_numpy(other))
    expected = [np.linalg.lstsq(other[:, [i]], z[:, i], rcond=None)[0][0] for i in range(5)]
    assert scale.tolist() == pytest.approx([*expected, 0]) and energy.tolist() == pytest.approx(
        (z**2).mean(axis=0)
    )


def test_codes_in_their_own_place_change_nothing_and_none_ablate():
    sae, x = drawn_sae(0), torch.randn(9, tiny.D_MODEL, generator=torch.Generator().manual_seed(5))
    pairs = np.array([[i, i] for i in range(0, FEATURES, 2)])
    own, ones = pairs[:, 0], torch.ones(1, len(pairs))
    same = substitution.replaced(sae, sae, own, own[None], ones)
    assert torch.equal(same(x), x)
    z = sae.encode_dense(x)
    gone = substitution.replaced(sae, sae, own, own[None], 0 * ones)(x)
    torch.testing.assert_close(gone, x - z[:, ::2] @ sae.W_dec[::2])


def test_of_an_sae_that_normalises_tokens_what_it_writes_is_ablated():
    """Codes are in the units of the normalised token, and the token is not."""
    sae, x = drawn_sae(0), 50 * torch.randn(9, tiny.D_MODEL, generator=torch.Generator().manual_seed(5))
    sae.normalize = "layer_norm"
    own = np.arange(0, FEATURES, 2)
    gone = substitution.replaced(sae, sae, own, own[None], torch.zeros(1, len(own)))(x)
    z = sae.encode_dense(x)
    left, every = z.clone(), torch.arange(FEATURES).expand(len(x), FEATURES)
    left[:, own] = 0
    torch.testing.assert_close(
        gone, x + sae.decode(left, every, x) - sae.decode(z, every, x), rtol=1e-4, atol=1e-3
    )
    assert (gone - x).norm() > 1


@pytest.fixture
def _fewer_draws(monkeypatch):
    monkeypatch.setattr(substitution, "PERMUTATIONS", 999)


@pytest.mark.usefixtures("_fewer_draws")
def test_strong_features_cost_more_whatever_they_stand_for():
    """Costs that are strength and noise: far more alike than with partners shuffled, and not beyond those of like strength."""
    rng, p = np.random.default_rng(6), {"pairing": [], "strength": []}
    for _ in range(20):
        strength = np.exp(rng.normal(size=40))
        sides = [np.tile(strength * np.exp(0.3 * rng.normal(size=40)), (5, 1)) for _ in range(2)]
        told = substitution.alike(*sides, strength, rng)
        for name, null in told["null"].items():
            p[name].append(null["p"])
    assert max(p["pairing"]) < 0.01 and np.mean(np.array(p["strength"]) <= 0.05) <= 0.5


def test_partners_that_do_the_same_are_beyond_both_nulls():
    rng = np.random.default_rng(7)
    strength, own = np.exp(rng.normal(size=40)), np.exp(rng.normal(size=40))
    sides = [np.tile(strength * own * np.exp(0.1 * rng.normal(size=40)), (5, 1)) for _ in range(2)]
    told = substitution.alike(*sides, strength, rng)
    assert told["tested"] and max(null["p"] for null in told["null"].values()) < 0.01


def test_partners_are_shuffled_within_their_block_alone():
    blocks = np.array([1, 0, 0, 1, 1, 2])
    orders = substitution.shuffled_within(blocks, 50, np.random.default_rng(0))
    assert (blocks[orders] == blocks[:, None]).all() and len(np.unique(orders, axis=1).T) == 12


def test_few_or_equal_costs_are_not_tested():
    few = substitution.alike(np.ones((3, 9)), np.ones((3, 9)), np.ones(9), np.random.default_rng(0))
    assert not few["tested"] and "9 pairs fire, and it takes 10" in few["because"]
    equal = substitution.alike(np.zeros((3, 12)), np.ones((3, 12)), np.ones(12), np.random.default_rng(0))
    assert (
        not equal["tested"] and equal["spearman"]["value"] is None and equal["null"]["pairing"]["p"] is None
    )


def test_where_no_feature_of_one_fires_nothing_is_matched():
    rows = SimpleNamespace(decoder=np.eye(4, 3, dtype=np.float32))
    pairs = substitution.matched(rows, rows, np.arange(4), np.empty(0, dtype=np.int64))
    assert pairs.shape == (0, 2) and pairs.dtype == np.int64


def test_shuffled_partners_are_dealt_to_the_tokens_in_turn():
    """By a loop over tokens: token t has the partners and factors of order t modulo K."""
    generator = torch.Generator().manual_seed(3)
    first, second, x = drawn_sae(0), drawn_sae(1), torch.randn(7, tiny.D_MODEL, generator=generator)
    own, partners = np.array([4, 1, 9]), np.array([[0, 2, 5], [5, 0, 2], [2, 5, 0]])
    scale = torch.rand(3, 3, generator=generator)
    found = substitution.replaced(first, second, own, partners, scale)(x)
    z, other = first.encode_dense(x), second.encode_dense(x)
    for t in range(len(x)):
        expected = x[t].clone()
        for i, feature in enumerate(own):
            code = scale[t % 3, i] * other[t, partners[t % 3, i]]
            expected += (code - z[t, feature]) * first.W_dec[feature]
        torch.testing.assert_close(found[t], expected)
    assert substitution.SHUFFLES >= 20
