"""The untrained model of a control study."""

import torch

from crosslens.models.load import load_model
from crosslens.models.random_init import randomise


def weights(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def test_all_but_embeddings_and_head_is_drawn_anew_at_its_scale(family):
    model = family.model
    before = weights(model)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    try:
        randomise(model, 0)
        after = weights(model)
        assert torch.equal(state, torch.get_rng_state()), "somebody else's draws depend on it"
        embeddings = {
            id(p)
            for m in model.modules()
            if isinstance(m, torch.nn.Embedding | torch.nn.Conv2d)
            for p in m.parameters()
        } | {id(p) for p in model.get_output_embeddings().parameters()}
        kept = {name for name, p in model.named_parameters() if id(p) in embeddings}
        assert any("embed" in name or "wte" in name for name in kept)
        for name, parameter in before.items():
            if name in kept:
                assert torch.equal(parameter, after[name]), name
            elif parameter.float().std(correction=0) > 0:
                assert not torch.equal(parameter, after[name]), name
                if parameter.numel() > 1000:
                    for moment in (torch.mean, torch.std):
                        there, made = moment(parameter.float()), moment(after[name].float())
                        assert abs(there - made) < 0.15 * parameter.float().std(), name
        again = weights(family.model)
        for name, parameter in family.model.named_parameters():
            parameter.data.copy_(before[name])
        randomise(family.model, 0)
        assert all(torch.equal(again[name], p) for name, p in weights(family.model).items())
        for name, parameter in family.model.named_parameters():
            parameter.data.copy_(before[name])
        randomise(family.model, 1)
        assert any(not torch.equal(again[name], p) for name, p in weights(family.model).items())
    finally:
        for name, parameter in model.named_parameters():
            parameter.data.copy_(before[name])


def test_it_is_loaded_like_any_other(vlm_folder):
    trained, drawn = load_model(str(vlm_folder)), load_model(str(vlm_folder), random_init=3)
    ids = torch.arange(5, 15)[None].to(trained.device)
    with torch.no_grad():
        assert not torch.allclose(trained.model(input_ids=ids).logits, drawn.model(input_ids=ids).logits)
    table = trained.model.get_input_embeddings().weight
    assert torch.equal(table, drawn.model.get_input_embeddings().weight)
