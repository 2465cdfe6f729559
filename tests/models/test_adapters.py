"""Every family on a tiny model of its real class: where its sites are, and what they add up to."""

import pytest
import torch
from tiny import D_MODEL, LAYERS
from torch import nn

from crosslens.errors import InputError
from crosslens.models.hooks import capture, edit
from crosslens.models.inputs import PADDING, build_inputs
from crosslens.models.resume import Replay
from crosslens.models.sites import KINDS, Site, parse_site

EVERY_SITE = [str(Site(layer, kind)) for layer in range(LAYERS) for kind in KINDS]


@pytest.fixture
def batch(family, samples_of, pictures):
    return build_inputs(family, samples_of(family), images=pictures, with_caption=True)


def run(loaded, batch, **options):
    with torch.inference_mode():
        return loaded.model(**batch.inputs, use_cache=False, **options)


def test_parts(family, batch):
    adapter = family.adapter
    assert (family.n_layers, family.d_model) == (LAYERS, D_MODEL)
    reached = {}
    parts = {name: getattr(adapter, name) for name in ("embed", "final_norm", "unembed")}
    if adapter.is_vision:
        parts |= {"vision_tower": adapter.vision_tower, "projector": adapter.projector}
        seen = family.model.config.vision_config
        depth = getattr(seen, "num_hidden_layers", None) or seen.depth
        assert len(adapter.tower_halves) == depth + getattr(seen, "num_global_layers", 0) > 0
        parts |= {half: half for halves in adapter.tower_halves for half in halves}
    else:
        assert adapter.vision_tower is None and adapter.projector is None and not adapter.tower_halves
    handles = [
        part.register_forward_hook(lambda *found, name=name: reached.setdefault(name, found[2]))
        for name, part in parts.items()
    ]
    run(family, batch)
    for handle in handles:
        handle.remove()
    assert reached.keys() == parts.keys()
    assert isinstance(adapter.embed, nn.Embedding)
    narrow = {"embed", "final_norm", "projector"} & parts.keys()
    assert all(reached[name].shape[-1] == D_MODEL for name in narrow)


def test_a_pass_goes_on_from_any_block(family, batch):
    """To the same bits, without what comes before: not even the embedding runs."""
    last, replay = str(LAYERS - 1), Replay(family)

    def states():
        with torch.no_grad(), capture(family, [last], stop=True) as captured:
            family.model(**batch.inputs, use_cache=False)
        return captured[last]

    with replay.record():
        whole = states()
    assert replay.linked
    embedded = []
    handle = family.adapter.embed.register_forward_hook(lambda *_: embedded.append(1))
    for site in map(parse_site, EVERY_SITE):
        with replay.up_to(site), edit(family, site, lambda value: value):
            assert torch.equal(states(), whole)
    assert not embedded
    for site in (Site(1, "mlp_out"), Site(LAYERS - 2)):
        only = Replay(family, site)
        with only.record():
            states()
        embedded.clear()
        with only.up_to(site), edit(family, site, lambda value: 2 * value):
            assert not torch.allclose(states(), whole)
        assert not embedded
    handle.remove()
    assert torch.equal(states(), whole)
    assert "forward" not in vars(family.model)


def test_captured_residuals_are_the_hidden_states(family, batch):
    with capture(family, EVERY_SITE) as values:
        hidden = run(family, batch, output_hidden_states=True).hidden_states
    assert len(hidden) == LAYERS + 1
    for layer in range(LAYERS):
        assert torch.equal(values[f"{layer}.resid_pre"], hidden[layer])
    for layer in range(LAYERS - 1):
        assert torch.equal(values[f"{layer}"], values[f"{layer + 1}.resid_pre"])
    last = values[str(LAYERS - 1)]
    assert not torch.allclose(last, hidden[-1])
    assert torch.equal(family.adapter.final_norm(last), hidden[-1])


def test_what_the_halves_add_is_what_the_residual_gains(family, batch):
    with capture(family, EVERY_SITE) as values:
        run(family, batch)
    for layer in range(LAYERS):
        pre, attn, mlp = (values[f"{layer}.{kind}"] for kind in ("resid_pre", "attn_out", "mlp_out"))
        torch.testing.assert_close(pre + attn + mlp, values[f"{layer}"], rtol=0, atol=1e-6)
        assert min(attn.abs().mean(), mlp.abs().mean()) > 1e-3


def test_logits_are_made_of_the_last_residual(family, batch):
    with capture(family, [str(LAYERS - 1)]) as values:
        logits = run(family, batch).logits
    with torch.inference_mode():
        assert torch.equal(family.adapter.logits(values[str(LAYERS - 1)]), logits)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_batch_gives_what_its_samples_give_alone(family, samples_of, pictures, side):
    def values(samples):
        batch = build_inputs(family, samples, images=pictures, with_caption=True, padding_side=side)
        with torch.inference_mode(), capture(family, EVERY_SITE, stop=True) as found:
            family.model(**batch.inputs, use_cache=False)
        return batch, found

    samples = samples_of(family)
    batch, together = values(samples)
    assert (batch.role == PADDING).any()
    for i, sample in enumerate(samples):
        single, alone = values([sample])
        kept = batch.role[i] != PADDING
        assert torch.equal(batch.next_position[i], single.next_position[0])
        for site in EVERY_SITE:
            torch.testing.assert_close(together[site][i][kept], alone[site][0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", [0, 1])
def test_edits_of_every_site(family, batch, layer, kind):
    site = str(Site(layer, kind))
    clean = run(family, batch).logits
    with edit(family, site, lambda value: value + 0):
        assert torch.equal(run(family, batch).logits, clean)
    target = torch.zeros(family.d_model)
    with edit(family, site, torch.zeros_like), capture(family, [site]) as values:
        assert (run(family, batch).logits - clean).abs().max() > 1e-2
    torch.testing.assert_close(values[site], target.expand_as(values[site]), rtol=0, atol=1e-6)


def test_text_without_images(vision_family, samples_of):
    samples = samples_of(vision_family, images=False)
    batch = build_inputs(vision_family, samples, images=None, with_caption=True)
    logits = run(vision_family, batch).logits
    for i, sample in enumerate(samples):
        alone = run(
            vision_family, build_inputs(vision_family, [sample], images=None, with_caption=True)
        ).logits[0]
        torch.testing.assert_close(logits[i][batch.role[i] != PADDING], alone, rtol=0, atol=1e-5)


def test_samples_with_and_without_images_in_one_batch(vision_family, samples_of, pictures):
    samples = samples_of(vision_family)
    mixed = [samples[0], samples[1]._replace(image=""), samples[2], samples[3]._replace(image="")]

    def logits(chosen):
        batch = build_inputs(vision_family, chosen, images=pictures, with_caption=True)
        return batch, run(vision_family, batch).logits

    if not vision_family.adapter.mixes_images:
        with pytest.raises(InputError, match="with and without an image"):
            logits(mixed)
        return
    batch, together = logits(mixed)
    for i, sample in enumerate(mixed):
        _, alone = logits([sample])
        torch.testing.assert_close(together[i][batch.role[i] != PADDING], alone[0], rtol=0, atol=1e-5)


class TestMllama:
    """Blocks 1 and 3 hold gated cross-attention to the picture."""

    @pytest.fixture
    def loaded(self, load_family):
        return load_family("mllama")

    @pytest.fixture
    def seen(self, loaded, samples_of, pictures):
        return build_inputs(loaded, samples_of(loaded), images=pictures, with_caption=True)

    def test_blocks_that_a_pass_skips_are_named(self, loaded, samples_of):
        batch = build_inputs(loaded, samples_of(loaded, images=False), images=None, with_caption=True)
        with capture(loaded, ["0", "2.resid_pre"]) as values:
            run(loaded, batch)
        assert torch.equal(values["0"], values["2.resid_pre"])
        with (
            pytest.raises(InputError, match=r"site 1\.mlp_out.*skips it"),
            capture(loaded, ["0", "1.mlp_out"]),
        ):
            run(loaded, batch)

    def test_a_shut_gate_refuses_what_it_cannot_pass_on(self, loaded, seen):
        with pytest.raises(ValueError, match="gate is 0"), edit(loaded, "1.mlp_out", lambda value: value + 1):
            run(loaded, seen)

    def test_an_edit_behind_the_image_arrives_as_it_was_meant(self, loaded, seen):
        text = seen.has_role(["caption"])[:, :, None]
        clean = {}
        with capture(loaded, ["1", "1.mlp_out"]) as values:
            run(loaded, seen)
            clean.update(values)
        with edit(loaded, "1.mlp_out", lambda value: value + text), capture(loaded, ["1"]) as values:
            run(loaded, seen)
        torch.testing.assert_close(values["1"], clean["1"] + text, rtol=0, atol=1e-5)
