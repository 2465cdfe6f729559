"""Edits: what is added is what the formula says, nothing changes nothing, and cache, batch and padding make no difference."""

import sys
from pathlib import Path

import pytest
import torch

from crosslens.errors import InputError
from crosslens.generation.decode import decode
from crosslens.interventions.edits import HOWS, Edit, Rows, editing, of_direction, of_features
from crosslens.models.hooks import capture
from crosslens.models.inputs import Sample, build_inputs
from crosslens.models.load import load_model
from crosslens.sae.model import JumpReLUSAE, ReLUSAE, TopKSAE

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
import tiny

SITE, WIDTH = "1", 24
PROMPTS = [Sample("a", "", "one"), Sample("b", "", "two three four five"), Sample("c", "", "six seven")]


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def loaded(request, tmp_path_factory):
    folder = tiny.save_tiny_text(tmp_path_factory.mktemp("edits") / request.param)
    return load_model(id=str(folder), device="cpu", dtype=request.param)


def an_sae(kind=TopKSAE, d=tiny.D_MODEL, seed=0, **options):
    rng = torch.Generator().manual_seed(seed)
    if kind is TopKSAE:
        options["k"] = 5
    sae = kind(d_in=d, d_sae=WIDTH, **options)
    for tensor in sae.state_dict().values():
        tensor.copy_(torch.randn(tensor.shape, generator=rng) * 0.5)
    return sae


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("kind", [TopKSAE, ReLUSAE, JumpReLUSAE])
@pytest.mark.parametrize("normalize", ["none", "layer_norm", "constant_norm_rescale"])
def test_an_edit_is_the_difference_of_two_reconstructions(how, kind, normalize):
    """x + decode(z′) − decode(z), with z′ written out and decoded whole."""
    sae, features, levels = an_sae(kind, normalize=normalize), [3, 17, 4], [0.5, 2.0, 1.5]
    x = torch.randn(40, tiny.D_MODEL, generator=torch.Generator().manual_seed(1))
    strength = torch.linspace(-1, 3, 40)[:, None]
    z = sae.encode_dense(x)
    assert (z[:, features] > 0).any()
    changed, m = z.clone(), torch.tensor(levels)
    changed[:, features] = {
        "suppress": torch.zeros(40, 3),
        "neutralise": m.expand(40, 3),
        "clamp": strength * m,
        "amplify": strength * z[:, features],
        "steer": z[:, features] + strength * m,
    }[how]
    every = torch.arange(WIDTH).expand(40, WIDTH)
    expected = sae.decode(changed, every, x) - sae.decode(z, every, x)
    needs = how in ("clamp", "neutralise", "steer")
    found = of_features(sae, features, how, levels=levels if needs else None)(x, strength)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def prompts(loaded, samples=PROMPTS):
    return build_inputs(loaded, samples, images=None, with_caption=False, padding_side="left")


def rows_of(batch, strengths=1.0, **more):
    return Rows(batch.has_role(["prompt"]), strengths, **more)


@torch.inference_mode()
def logits_of(loaded, batch, edits, rows):
    with editing(loaded, edits, rows):
        return loaded.model(**batch.inputs, use_cache=False).logits


def test_an_edit_that_changes_no_code_changes_no_bit(loaded):
    batch = prompts(loaded)
    plain = logits_of(loaded, batch, [], rows_of(batch))
    for sae in (an_sae(), an_sae(JumpReLUSAE, normalize="layer_norm")):
        same = [Edit(site, of_features(sae, [0, 5, 9], "amplify")) for site in ("0.mlp_out", SITE)]
        assert torch.equal(logits_of(loaded, batch, same, rows_of(batch)), plain)
        changed = logits_of(loaded, batch, same, rows_of(batch, 4.0))
        assert not torch.equal(changed, plain)


def test_only_its_positions_change_and_each_row_by_its_strength(loaded):
    batch, direction = prompts(loaded), torch.randn(tiny.D_MODEL)
    strengths, edits = torch.tensor([0.0, 1.0, -2.0]), [Edit(SITE, of_direction(direction))]
    with torch.inference_mode(), capture(loaded, [SITE]) as plain:
        loaded.model(**batch.inputs, use_cache=False)
    with (
        torch.inference_mode(),
        editing(loaded, edits, rows_of(batch, strengths)),
        capture(loaded, [SITE]) as changed,
    ):
        loaded.model(**batch.inputs, use_cache=False)
    expected = (
        plain[SITE].float() + strengths[:, None, None] * batch.has_role(["prompt"])[..., None] * direction
    )
    torch.testing.assert_close(changed[SITE].float(), expected, atol=1e-2, rtol=1e-2)
    outside = ~batch.has_role(["prompt"])
    assert torch.equal(changed[SITE][outside], plain[SITE][outside])
    assert torch.equal(changed[SITE][0], plain[SITE][0])


def test_sinks_are_spared(loaded):
    batch, edits = prompts(loaded), [Edit(SITE, of_direction(torch.ones(tiny.D_MODEL)))]
    plain = logits_of(loaded, batch, [], rows_of(batch))
    assert torch.equal(logits_of(loaded, batch, edits, rows_of(batch, limit=0.0)), plain)


def greedy(loaded, samples, edits, strengths, draws=1, **more):
    batch = prompts(loaded, samples)
    rows = rows_of(batch, strengths, **more)
    uniforms = torch.zeros(len(samples) * draws, 12)
    with editing(loaded, edits, rows):
        return decode(loaded, batch, uniforms, draws=draws, temperature=0, ends=[], rows=rows)


@pytest.mark.parametrize("generated", [True, False])
def test_with_the_cache_as_without_and_together_as_alone(tmp_path, generated):
    """Decoding by the cache in a padded batch gives what forward passes of each whole text give, unpadded."""
    loaded = load_model(id=str(tiny.save_tiny_text(tmp_path / "model")), device="cpu")
    edits = [
        Edit("0", of_features(an_sae(), [1, 2, 8], "steer", levels=[1.0, 2.0, 1.0])),
        Edit(SITE, of_features(an_sae(ReLUSAE, seed=1), [4], "suppress")),
    ]
    strengths = torch.tensor([0.0, 3.0, -2.0])
    texts = greedy(loaded, PROMPTS, edits, strengths, generated=generated)
    plain = greedy(loaded, PROMPTS, [], 1.0)
    assert texts != plain
    for i, text in enumerate(texts):
        batch = prompts(loaded, PROMPTS[i : i + 1])
        ids, start = batch.inputs["input_ids"], batch.inputs["input_ids"].shape[1]
        for token in text:
            mask = torch.cat(
                [batch.has_role(["prompt"]), torch.full((1, ids.shape[1] - start), generated)], dim=1
            )
            with torch.inference_mode(), editing(loaded, edits, Rows(mask, strengths[i])):
                found = loaded.model(input_ids=ids, use_cache=False).logits[0, -1]
            assert found[token] >= found.max() - 1e-4
            ids = torch.cat([ids, torch.tensor([[token]])], dim=1)


def test_draws_and_ended_rows_keep_their_strengths(tmp_path):
    """A row that ends leaves the batch; the others go on with their own edits."""
    loaded = load_model(id=str(tiny.save_tiny_text(tmp_path / "model")), device="cpu")
    edits = [Edit(SITE, of_direction(torch.randn(tiny.D_MODEL, generator=torch.Generator().manual_seed(3))))]
    strengths = torch.tensor([-8.0, 0.0, 8.0])
    batch = prompts(loaded)
    alone = [greedy(loaded, PROMPTS[i : i + 1], edits, strengths[i]) for i in range(3)]
    assert len({tuple(text) for (text,) in alone}) == 3
    end = alone[0][0][2]
    rows = rows_of(batch, strengths)
    with editing(loaded, edits, rows):
        texts = decode(loaded, batch, torch.zeros(6, 12), draws=2, temperature=0, ends=[end], rows=rows)
    for i, text in enumerate(texts):
        whole = alone[i // 2][0]
        assert text == whole[: whole.index(end) + 1 if end in whole else None]
    assert len(rows.strengths) < 6


@pytest.mark.parametrize(
    ("features", "says"), [([], "none"), ([WIDTH], f"feature {WIDTH}"), ([1, 1], "1 twice")]
)
def test_features_that_the_sae_lacks_are_refused(features, says):
    with pytest.raises(InputError, match=says):
        of_features(an_sae(), features, "suppress")


def test_a_transcoder_is_refused():
    with pytest.raises(InputError, match="transcoder"):
        of_features(an_sae(ReLUSAE, d_out=7, apply_b_dec_to_input=False), [1], "suppress")
