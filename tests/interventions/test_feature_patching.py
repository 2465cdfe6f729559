"""Patches of features: what they must add up to, one by hand, and what attributions say where the answer is known."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from crosslens.errors import InputError
from crosslens.interventions import attribution
from crosslens.interventions.edits import check_writes
from crosslens.interventions.feature_patching import LARGEST, RANDOM, FeaturePatcher, parts_of, told
from crosslens.interventions.runs import read_cases
from crosslens.sae.model import NORMALISATIONS, ReLUSAE, TopKSAE

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
import tiny
from test_patching import CASES, shallow, straight

SITE, WIDTH = "0", 40
DRAWS = {"bound": 1e-6, "bootstraps": 20, "seed": 0}


def an_sae(kind=TopKSAE, **options):
    rng = torch.Generator().manual_seed(0)
    sae = kind(d_in=tiny.D_MODEL, d_sae=WIDTH, **({"k": 8} if kind is TopKSAE else {}), **options)
    for tensor in sae.state_dict().values():
        tensor.copy_(torch.randn(tensor.shape, generator=rng) * 0.3)
    return sae


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.save_tiny_text(tmp_path_factory.mktemp("feature_patching") / "model")


@pytest.fixture(scope="module")
def patcher(folder):
    return FeaturePatcher(shallow(folder), None, an_sae(), SITE, pictures=False, seed=0)


@pytest.fixture(scope="module")
def effects(patcher):
    table, counted = patcher.effects(CASES, 3, 16)
    assert counted == {"first_token": 0, "chosen_on": 2, "told_of": 2}
    return table


def effect(rows):
    return (rows["outcome_patched"] - rows["outcome"]).to_numpy()


@pytest.mark.parametrize("normalize", NORMALISATIONS)
@pytest.mark.parametrize("kind", [TopKSAE, ReLUSAE])
def test_features_and_error_are_all_of_the_difference(kind, normalize):
    """And the slope along a code is that of what is written."""
    sae, rng = an_sae(kind, normalize=normalize), torch.Generator().manual_seed(1)
    own, given, gradient = (torch.randn(6, tiny.D_MODEL, generator=rng) for _ in range(3))
    codes, error = parts_of(sae, own, given)
    every = torch.arange(WIDTH)
    torch.testing.assert_close(own + sae.write(codes, every, own) + error, given)
    felt = (codes * sae.felt(gradient, own)).sum(1)
    torch.testing.assert_close(felt, (sae.write(codes, every, own) * gradient).sum(1))


def test_integrated_gradients_of_features_and_error_are_complete(effects):
    site = effects[effects["part"] == "site"]
    assert np.abs(effect(site)).max() > 1e-3
    assert np.abs(site["ig"] - effect(site)).sum() <= 0.02 * np.abs(effect(site)).sum()
    parts = effects[effects["part"].isin(["features", "error"])]
    keys = ["case", "variant", "positions"]
    summed = parts.groupby(keys)["ig"].sum()
    assert summed.to_numpy() == pytest.approx(
        site.set_index(keys)["ig"].loc[summed.index].to_numpy(), abs=1e-6
    )


def test_one_feature_by_hand(patcher, effects):
    """With a torch hook on the block, unpadded: x + (z′ − z) d of one feature at the word, with z as the SAE has it."""
    model, block, sae = patcher.loaded.model, patcher.loaded.adapter.blocks[0], patcher.sae
    chosen = effects[(effects["part"] == "feature") & (effects["positions"] == "word")]
    rows = chosen[chosen["direction"] == "denoising"]
    row = rows.loc[(rows["outcome_patched"] - rows["outcome"]).abs().idxmax()]
    runs = read_cases(patcher.loaded, [CASES[row["case"]]], None)
    assert len(runs) == 1
    female, male = runs[0][1]
    (position,) = male.at["word"]
    tokens = [torch.tensor(run.texts[0][0].token_id[None].astype(np.int64)) for run in (female, male)]
    ids = [own[0] for _, own, _ in male.texts[0][1]]
    kept = {}

    def keep(_, args, output):
        kept["x"] = output[0, position].float()[None]

    def put(_, args, output):
        changed, x = output.clone(), output[0, position].float()[None]
        z = sae.encode_dense(x)
        other = sae.encode_dense(kept["x"])
        changed[0, position] += (other - z)[0, row["feature"]] * sae.W_dec[row["feature"]]
        return changed

    with torch.no_grad():
        handle = block.register_forward_hook(keep)
        model(input_ids=tokens[0], use_cache=False)
        handle.remove()
        handle = block.register_forward_hook(put)
        said = model(input_ids=tokens[1], use_cache=False).logits[0, -1].log_softmax(-1)
        handle.remove()
    assert row["outcome_patched"] == pytest.approx(float(said[ids[0]] - said[ids[1]]), abs=1e-4)
    assert abs(row["outcome_patched"] - row["outcome"]) > 1e-5


def test_chosen_are_the_largest_and_others_that_differ(patcher, effects):
    assert patcher.identity == 0
    for _, own in effects[effects["part"] == "feature"].groupby("positions"):
        ids = {name: {*rows["feature"]} for name, rows in own.groupby("chosen")}
        assert {*ids} == {LARGEST, RANDOM} and all(len(of) == 3 for of in ids.values())
        assert not ids[LARGEST] & ids[RANDOM]
        sizes = {name: np.abs(rows["ig"]).mean() for name, rows in own.groupby("chosen")}
        assert sizes[LARGEST] > sizes[RANDOM]


def test_in_a_linear_model_attributions_are_the_effects(folder, monkeypatch):
    monkeypatch.setattr(attribution, "STEPS", 2)
    with torch.no_grad():
        loaded = straight(folder, queries=False)
    table, _ = FeaturePatcher(loaded, None, an_sae(), SITE, pictures=False, seed=0).effects(CASES, 3, 16)
    size = np.abs(effect(table)).max()
    assert size > 1e-3
    for method in ("atp", "ig"):
        assert table[method].to_numpy() == pytest.approx(effect(table), abs=1e-3 * size)


def test_the_document_says_what_the_rows_say(effects):
    document = told(effects, **DRAWS)
    for row in document["parts"]:
        own = effects[(effects["positions"] == row["positions"]) & (effects["part"] == "error")]
        r = effect(own) / (own["outcome_other"] - own["outcome"])
        assert row["error"]["value"] == pytest.approx(r.groupby(own["group"]).mean().mean())
        assert row["error"]["n"] == 2 and row["incomplete"] <= 0.02
    assert len(document["single"]) == 2 * 6
    assert {row["method"] for row in document["attribution"]} == {"atp", "ig", "relp"}
    alike = effects["part"] == "feature"
    same = effects.copy()
    same.loc[alike & (effects["case"] == 2), "outcome_patched"] = effects["outcome"]
    same.loc[alike & (effects["case"] == 2), "atp"] = 0.0
    assert sum(row["n"] for row in told(same, **DRAWS)["attribution"]) < sum(
        row["n"] for row in document["attribution"]
    ), "codes that do not differ are no patches"
    none = told(effects, **DRAWS | {"bound": 1e6})
    assert none["single"] == [] and all(row["site_patch"]["value"] is None for row in none["parts"])


def test_a_transcoder_is_refused_and_places_are_those_of_the_site(folder):
    with pytest.raises(InputError, match="transcoder"):
        check_writes(ReLUSAE(d_in=8, d_sae=4, d_out=7, apply_b_dec_to_input=False))
    loaded = shallow(folder)
    for site in ("0.mlp_out", "0.resid_pre"):
        table, _ = FeaturePatcher(loaded, None, an_sae(), site, pictures=False, seed=0).effects(
            CASES[:2], 0, 16
        )
        assert {*table["part"]} == {"features", "error", "site"} and effect(table).any()
