"""Sites read and replace what they say, and leave nothing behind."""

import pytest
import torch
from tiny import LAYERS

from crosslens.errors import InputError
from crosslens.models.hooks import capture, edit
from crosslens.models.inputs import build_inputs
from crosslens.models.load import check_sites
from crosslens.models.sites import KINDS, Site, parse_site

EVERY_SITE = [str(Site(layer, kind)) for layer in range(LAYERS) for kind in KINDS]


@pytest.fixture
def batch(vlm, data):
    rows, images = data
    return build_inputs(vlm, rows["ar"][:4], images=images, with_caption=True)


def run(loaded, batch, **options):
    with torch.inference_mode():
        return loaded.model(**batch.inputs, use_cache=False, **options)


def hook_count(loaded):
    modules = loaded.model.modules()
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules)


@pytest.mark.parametrize("text", ["0", "14", "4.resid_pre", "4.attn_out", "4.mlp_out"])
def test_site_names_round_trip(text):
    assert str(parse_site(text)) == text
    assert parse_site(parse_site(text)) == parse_site(text)


def test_resid_post_has_the_short_name():
    assert parse_site("4.resid_post") == Site(4) and str(Site(4)) == "4"


@pytest.mark.parametrize("text", ["", "x", "-1", "4.", "4.resid", "4.mlp_out.", "layer_4", "٤"])
def test_bad_sites_are_refused(text):
    with pytest.raises(InputError, match="site"):
        parse_site(text)


def test_a_layer_out_of_range_is_named(vlm):
    with pytest.raises(InputError, match=f"0 to {LAYERS - 1}"):
        check_sites(vlm, ["1", str(LAYERS)])


def test_captured_residuals_are_the_hidden_states(vlm, batch):
    with capture(vlm, EVERY_SITE) as values:
        hidden = run(vlm, batch, output_hidden_states=True).hidden_states
    for layer in range(LAYERS):
        assert torch.equal(values[f"{layer}.resid_pre"], hidden[layer])
    for layer in range(LAYERS - 1):
        assert torch.equal(values[f"{layer}"], hidden[layer + 1])
        assert torch.equal(values[f"{layer}"], values[f"{layer + 1}.resid_pre"])
    last = values[str(LAYERS - 1)]
    assert not torch.allclose(last, hidden[-1])
    assert torch.equal(vlm.adapter.final_norm(last), hidden[-1])


def test_what_the_halves_add_is_what_the_residual_gains(vlm, batch):
    with capture(vlm, EVERY_SITE) as values:
        run(vlm, batch)
    for layer in range(LAYERS):
        pre, attn, mlp = (values[f"{layer}.{kind}"] for kind in ("resid_pre", "attn_out", "mlp_out"))
        assert torch.equal(pre + attn + mlp, values[f"{layer}"])
        assert min(attn.abs().mean(), mlp.abs().mean()) > 1e-3


def test_text_only_sites_and_logits(text_model, data):
    rows = [{**row, "image": ""} for row in data[0]["en"][:3]]
    batch = build_inputs(text_model, rows, images=None, with_caption=True)
    with capture(text_model, EVERY_SITE) as values:
        output = run(text_model, batch, output_hidden_states=True)
    assert torch.equal(values["0"], output.hidden_states[1])
    adapter = text_model.adapter
    assert torch.equal(adapter.unembed(adapter.final_norm(values[str(LAYERS - 1)])), output.logits)


def test_the_pass_stops_behind_the_deepest_site(vlm, batch):
    reached = []
    blocks = vlm.adapter.blocks
    handles = [
        block.register_forward_pre_hook(lambda *_, i=i: reached.append(i)) for i, block in enumerate(blocks)
    ]
    mlp = blocks[1].mlp.register_forward_hook(lambda *_: reached.append("mlp 1"))
    try:
        with capture(vlm, ["0", "1.attn_out"], stop=True) as values:
            run(vlm, batch)
    finally:
        for handle in [*handles, mlp]:
            handle.remove()
    assert reached == [0, 1]
    with capture(vlm, ["0", "1.attn_out"]) as whole:
        run(vlm, batch)
    assert all(torch.equal(values[site], whole[site]) for site in ("0", "1.attn_out"))


@pytest.mark.parametrize("site", ["2", "2.resid_pre", "2.attn_out", "2.mlp_out"])
def test_the_identity_changes_nothing_and_a_large_edit_does(vlm, batch, site):
    clean = run(vlm, batch).logits
    with edit(vlm, site, lambda value: value):
        assert torch.equal(run(vlm, batch).logits, clean)
    with edit(vlm, site, lambda value: value + 0):
        assert torch.equal(run(vlm, batch).logits, clean)
    with edit(vlm, site, lambda value: value * -5 + 1):
        assert (run(vlm, batch).logits - clean).abs().max() > 0.1
    assert torch.equal(run(vlm, batch).logits, clean)


def test_capture_reads_an_edited_value_and_the_edit_reaches_generation(vlm, data):
    rows, images = data
    batch = build_inputs(vlm, rows["en"][:2], images=images, with_caption=False)
    widths = []

    def spy(value):
        widths.append(value.shape[1])
        return torch.zeros_like(value)

    with edit(vlm, "1", spy), capture(vlm, ["1"]) as values:
        vlm.model.generate(**batch.inputs, max_new_tokens=3, do_sample=False, eos_token_id=None)
    assert widths == [batch.role.shape[1], 1, 1]
    assert not values["1"].any()


def test_an_edit_of_another_shape_is_refused_and_no_hook_stays(vlm, batch):
    before = hook_count(vlm)
    with pytest.raises(ValueError, match="edit of 1"), edit(vlm, "1", lambda value: value[:, :1]):
        run(vlm, batch)
    with pytest.raises(RuntimeError), capture(vlm, EVERY_SITE, stop=True):
        raise RuntimeError
    with pytest.raises(InputError), capture(vlm, ["0", "99"]):
        pass
    with capture(vlm, EVERY_SITE, stop=True):
        run(vlm, batch)
    assert hook_count(vlm) == before


def test_blocks_that_return_tuples_work_too(vlm, batch):
    """As in transformers 4: the hooks of the sites run before this one makes a tensor of it again."""
    block = vlm.adapter.blocks[1]
    clean = run(vlm, batch).logits
    wrap = block.register_forward_hook(lambda module, args, output: (output, None))
    try:
        with capture(vlm, ["1"]) as values, edit(vlm, "1", lambda value: value):
            unwrap = block.register_forward_hook(lambda module, args, output: output[0])
            logits = run(vlm, batch).logits
            unwrap.remove()
    finally:
        wrap.remove()
    assert torch.equal(logits, clean) and values["1"].shape[:2] == batch.role.shape
