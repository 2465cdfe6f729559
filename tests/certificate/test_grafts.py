"""Grafts of development seeds do what is said of them."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

from crosslens.certificate import grafts
from crosslens.certificate.cases import FIRED, cases, design
from crosslens.certificate.grafts import Attending, couples, grafted, grafted_mlp, lost, make
from crosslens.certificate.measure import rows_of, truths
from crosslens.certificate.methods import FEATURE, of_features, of_places, read_places, state_of
from crosslens.interventions.nodes import Place
from crosslens.interventions.runs import OTHER, Runs, donors, read_cases
from crosslens.models.head import Head
from crosslens.models.load import load_model
from crosslens.sae.model import ReLUSAE
from crosslens.stats.auroc import auroc

SEED = 1


class Prepared(NamedTuple):
    """The embedded model, and what is read of it without a graft."""

    loaded: object
    of: dict
    read: dict
    plain: dict
    images: object


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    images = tmp_path_factory.mktemp("pictures")
    loaded = load_model("resources/planted", device="cpu")
    of = {form: design(form, SEED) for form in ("near", "far")}
    read = {form: read_cases(loaded, cases(of[form], 2, SEED, images), images) for form in of}
    plain = {
        form: Runs(loaded, Head(loaded), read[form], images, read_places(loaded, False)) for form in read
    }
    return Prepared(loaded, of, read, plain, images)


def made(prepared, kind, form="near"):
    with torch.no_grad():
        return make(prepared.loaded, kind, prepared.of[form], prepared.plain[form], SEED)


@pytest.fixture(scope="module")
def shared(prepared):
    return made(prepared, "shared")


def test_all_cases_are_read_and_differ_in_one_token(prepared):
    for form, plain in prepared.plain.items():
        assert len(prepared.read[form]) == 2 and len(plain.laid.runs) == 8
        for fired, other in couples(plain, ["en", "ar"]):
            tokens = [plain.laid.runs[run].texts[0][0].token_id for run in (fired, other)]
            assert (tokens[0] != tokens[1]).sum() == 1
            assert plain.laid.sides[fired].variant == FIRED


def test_the_run_with_a_neuron_is_its_formula(prepared, shared):
    """Of the block's MLP at every position, from what the plain run has there."""
    (neuron,), plain = shared.parts, prepared.plain["near"]
    block = prepared.loaded.adapter.blocks[neuron.layer]
    kept = {}
    handles = [
        block.pre_feedforward_layernorm.register_forward_hook(lambda *args: kept.update(normed=args[2])),
        block.mlp.register_forward_hook(lambda *args: kept.update(given=args[2])),
        block.post_feedforward_layernorm.register_forward_hook(lambda *args: kept.update(added=args[2])),
    ]
    with torch.no_grad():
        plain.measured()
        without = dict(kept)
        with grafted(prepared.loaded, shared.parts):
            plain.measured()
    for handle in handles:
        handle.remove()
    told = grafted_mlp(block, neuron, without["normed"], without["given"])
    assert (kept["added"] - told).abs().max() < 1e-4
    assert (kept["added"] - without["added"]).abs().max() > 1


def test_weights_are_put_back_and_heads_are_edited_by_rank_one(prepared):
    graft = made(prepared, "attention", "far")
    (part,) = graft.parts
    assert isinstance(part, Attending)
    attention = prepared.loaded.adapter.blocks[part.layer].self_attn
    before = {name: getattr(attention, f"{name}_proj").weight.clone() for name in part.updates}
    with grafted(prepared.loaded, graft.parts):
        for name, weight in before.items():
            change = getattr(attention, f"{name}_proj").weight - weight
            values = torch.linalg.svdvals(change.double())
            assert values[0] > 1e-3 and values[1] < 1e-4 * values[0]
    assert all(torch.equal(getattr(attention, f"{name}_proj").weight, of) for name, of in before.items())
    lost_of = lost(prepared.loaded, graft.parts, prepared.plain["far"], ["en", "ar"])
    assert lost_of.mean() > 0.5


def test_a_decoy_fires_and_has_no_effect(prepared):
    graft, plain = made(prepared, "decoy", "far"), prepared.plain["far"]
    with torch.no_grad(), grafted(prepared.loaded, graft.parts):
        runs = Runs(prepared.loaded, Head(prepared.loaded), plain.cases, prepared.images, list(plain.states))
    # where is asked the detector is all but silent, and behind the last block nothing reads the word's place
    assert (runs.outcome - plain.outcome).abs().max() < 1e-3
    (_, layer) = graft.site[0]
    change = (state_of(runs, layer, "word") - state_of(plain, layer, "word")) @ graft.direction
    fired = [run for run, _ in couples(plain, ["en", "ar"])]
    other = [run for _, run in couples(plain, ["en", "ar"])]
    assert change[fired].min() > 1
    assert change[fired].mean() > 10 * change[other].mean().abs()


@pytest.mark.parametrize(("kind", "own", "other"), [("english", "en", "ar"), ("arabic", "ar", "en")])
def test_a_graft_of_one_language_is_silent_in_the_other(prepared, kind, own, other):
    graft, plain = made(prepared, kind), prepared.plain["near"]
    effect, silent = (lost(prepared.loaded, graft.parts, plain, [language]) for language in (own, other))
    assert effect.mean() > 1
    assert silent.abs().mean() < 0.05 * effect.mean()


def test_two_neurons_undo_each_other_or_there_is_no_such_graft(prepared, monkeypatch):
    graft, plain = made(prepared, "cancelling"), prepared.plain["near"]
    both, alone = (
        lost(prepared.loaded, parts, plain, ["en", "ar"]).mean() for parts in (graft.parts, graft.parts[:1])
    )
    assert alone > 0.5 and both.abs() < 0.15 * alone
    monkeypatch.setattr(grafts, "TRIES", 0)
    assert made(prepared, "cancelling") is None


def test_methods_find_the_shared_graft_and_chance_does_not_know_it(prepared, shared):
    """Of all places the graft's comes first, and its estimate is the effect that the runs tell."""
    plain = prepared.plain["near"]
    truth = truths(prepared.loaded, shared, plain)
    with grafted(prepared.loaded, shared.parts):
        runs = Runs(prepared.loaded, Head(prepared.loaded), plain.cases, prepared.images, [*plain.states])
        rows = [*rows_of(of_places(runs, ["last"], keys=False, ig=False), shared, truth, SEED)]
    assert truth["en", 0] == truth["en", -1] > 1
    for method in ("patching", "atp", "atp_star", "relp"):
        for language in ("en", "ar"):
            own = [row for row in rows if row["method"] == method and row["language"] == language]
            assert len(own) == 16 and sum(row["site"] for row in own) == 1
            estimates = np.abs([row["lost"] for row in own])
            assert auroc(estimates, np.array([row["site"] for row in own])) == 1
            if method == "patching":
                (site,) = (row for row in own if row["site"])
                assert site["lost"] == pytest.approx(site["truth"], rel=0.35)


def test_the_feature_that_carries_the_graft_is_found_by_its_patch(prepared, shared):
    """Of an SAE that has the graft's direction, and three others, as features: the patch takes away what differs along it."""
    plain, layer, drawn = (
        prepared.plain["near"],
        shared.site[0][1],
        [case for case, _ in prepared.read["near"]],
    )
    rows = torch.randn(4, prepared.loaded.d_model, generator=torch.Generator().manual_seed(0))
    rows[2] = shared.direction
    rows /= rows.norm(dim=1, keepdim=True)
    sae = ReLUSAE(prepared.loaded.d_model, len(rows))
    sae.W_enc.copy_(rows.T), sae.W_dec.copy_(rows)
    with grafted(prepared.loaded, shared.parts):
        args = prepared.loaded, sae, layer, 2, drawn, drawn, prepared.images, SEED
        found = rows_of(of_features(*args), shared, truths(prepared.loaded, shared, plain), SEED, feature=2)
        table = [row for row in found if row["place"] == FEATURE]
        runs = Runs(prepared.loaded, Head(prepared.loaded), plain.cases, prepared.images, [*plain.states])
        exchange = runs.laid.exchange("last", donors(runs)[OTHER].of)
        value = runs.states[Place("resid_post", layer)]
        own, given = ((of(value) @ rows[2]).relu() for of in (exchange.own, exchange.donated))
        with torch.no_grad():
            given = exchange.own(value) + (given - own)[:, None] * rows[2]
            m = runs.patched(Place("resid_post", layer), exchange, slice(None), given)
    assert {row["kind"] for row in table} == {"shared (features)"}
    for method, language in (
        (method, language) for method in ("patching", "ig") for language in ("en", "ar")
    ):
        of = {
            row["node"]: row["lost"]
            for row in table
            if (row["method"], row["language"]) == (method, language)
        }
        fired = [run for run, _ in couples(plain, [language])]
        assert max(of, key=lambda feature: abs(of[feature])) == 2
        assert of[2] == pytest.approx(
            float((runs.outcome - m)[fired].mean()), rel=1e-4 if method == "patching" else 0.05
        )
    assert {row["node"] for row in table if row["site"]} == {2}
