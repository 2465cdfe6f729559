"""Whether an adapter's places are right: what it calls the halves of a block must add up to what the block does.

A wrong place gives plausible numbers. Bloom's attention and MLP return the residual stream with what they add to it, so
the adapter of a model that looks alike stores sums under the name of parts; OPT's last layer sees the tokens of a batch
as one list.
"""

from typing import NoReturn

import torch
from torch import Tensor

from crosslens.errors import InputError, blaming
from crosslens.models.hooks import reading
from crosslens.models.inputs import Batch
from crosslens.models.load import LoadedModel
from crosslens.models.sites import KINDS, Site

MOST_TOKENS = 16
"""That are compared, spread evenly over the sample, so that the values of all blocks fit beside a large model."""
ROUNDINGS = 4
"""Machine epsilons of the model's dtype that may lie between a sum in float32 and the block's own, per unit of |terms|:
a block rounds each of its two sums by half of one, and its products with gates."""


def check_composition(loaded: LoadedModel, batch: Batch, blocks: int) -> None:
    """One forward pass through the first `blocks` blocks; InputError where the adapter's sites cannot be right.

    batch: one sample. At every block that runs (cross-attention without a picture does not) each of the four sites has
    to be (B, T, d_model), and element by element over at most MOST_TOKENS tokens

        |resid_pre + attn_gate · attn_out + mlp_gate · mlp_out - resid_post| ≤ ROUNDINGS · ε · Σ |terms|,

    ε that of the model's dtype. Blocks whose halves run side by side compose in the same way.
    """
    n = batch.role.shape[1]
    chosen = torch.linspace(0, n - 1, min(n, MOST_TOKENS)).round().long()
    expected = (*batch.role.shape, loaded.d_model)
    values: dict[Site, Tensor] = {}

    def keep(site: Site, value: Tensor) -> None:
        if value.shape != expected:
            _fail(
                loaded,
                f"site {site}",
                f"values of shape {tuple(value.shape)}",
                f"{expected}: one row a token of each sample, as wide as the residual stream",
            )
        values[site] = value[:, chosen.to(value.device)].float().cpu()

    sites = [Site(layer, kind) for layer in range(blocks) for kind in KINDS]
    fails = blaming(
        loaded.id,
        "a model that fails on one sample",
        expected="one that reads it",
        mend="fetch config.json, the processor's files and the weights again, all of one revision",
    )
    with fails, torch.inference_mode(), reading(loaded, sites, keep, stop=True):
        loaded.model(**batch.inputs, use_cache=False)
    epsilon = torch.finfo(loaded.model.dtype).eps
    for layer in range(blocks):
        pre, attn, mlp, post = (values.get(Site(layer, kind)) for kind in KINDS)
        if pre is None:
            continue
        for kind, half in (("attn_out", attn), ("mlp_out", mlp)):
            if half is None:
                _fail(
                    loaded,
                    f"site {Site(layer, kind)}",
                    "a module that the block does not run",
                    "one that it runs",
                )
        off = (pre + attn + mlp - post).abs()
        allowed = ROUNDINGS * epsilon * (pre.abs() + attn.abs() + mlp.abs() + post.abs())
        # What is not finite is no matter of places: extraction names its sample.
        if (off > allowed).any():
            place = f"site {Site(layer, 'attn_out')} or {Site(layer, 'mlp_out')}"
            at = (off - allowed).nan_to_num(0).argmax()
            _fail(
                loaded,
                place,
                f"resid_pre + attn_out + mlp_out that is {off.flatten()[at]:.3g} off resid_post, "
                f"which is {post.flatten()[at]:.3g} there",
                "the two to be equal: resid_post = resid_pre + attn_gate · attn_out + mlp_gate · mlp_out",
            )


def _fail(loaded: LoadedModel, place: str, found: str, expected: str) -> NoReturn:
    adapter = type(loaded.adapter).__name__
    raise InputError(
        f"adapter {adapter} of {loaded.adapter.model.config.model_type}, {place}",
        found=found,
        expected=expected,
        mend=f"let `attn_out` and `mlp_out` of {adapter} name the module whose output is what is added, token by token: "
        "behind a post-norm where there is one, inside a module that adds the residual itself, and with "
        "`attn_gate` and `mlp_gate` where the block multiplies what it adds",
    )
