"""Whether an adapter's places are right: what it calls the halves of a block must add up to what the block does, and
what it calls attention must be what hears of other tokens.

A wrong place gives plausible numbers. Bloom's attention and MLP return the residual stream with what they add to it, so
the adapter of a model that looks alike stores sums under the name of parts; OPT's last layer sees the tokens of a batch
as one list; and halves that change their names add up as well.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import NoReturn

import torch
from torch import Tensor

from crosslens.errors import InputError, blaming
from crosslens.models.hooks import edit, reading
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

    batch: one sample, twice. At every block that runs (cross-attention without a picture does not) each of the four sites
    has to be (2, T, d_model), and element by element over at most MOST_TOKENS tokens of the first row

        |resid_pre + attn_gate · attn_out + mlp_gate · mlp_out - resid_post| ≤ ROUNDINGS · ε · Σ |terms|,

    ε that of the model's dtype. Blocks whose halves run side by side compose in the same way. And the two are told apart:
    every block is given in the second row what it has in the first, but for the first token, which is turned over, and
    goes on from either half with the first row's output. So each half by itself shows what it hears of another token:
    attention does, an MLP does not. Refused is an MLP that does beside an attention that does not (√ε of a token's largest
    value is rounding); where neither does, as of cross-attention and of one token, they stay untold.
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
        values[site] = value[0, chosen.to(value.device)].float().cpu()

    sites = [Site(layer, kind) for layer in range(blocks) for kind in KINDS]
    fails = blaming(
        loaded.id,
        "a model that fails on one sample",
        expected="one that reads it",
        mend="fetch config.json, the processor's files and the weights again, all of one revision",
    )
    epsilon = torch.finfo(loaded.model.dtype).eps
    heard: dict[Site, bool] = {}

    def alone(site: Site) -> Callable[[Tensor], Tensor]:
        def as_first(value: Tensor) -> Tensor:
            first, second = value[:, 1:].float()
            heard[site] = bool(((second - first).abs().amax(1) > epsilon**0.5 * first.abs().amax(1)).any())
            return value[:1].expand_as(value).clone()

        return as_first

    with ExitStack() as stack:
        for context in (fails, torch.inference_mode(), reading(loaded, sites, keep, stop=True)):
            stack.enter_context(context)
        for site in sites:
            if site.kind == "resid_pre":
                stack.enter_context(edit(loaded, site, _first_token_turned))
            elif site.kind != "resid_post":
                stack.enter_context(edit(loaded, site, alone(site)))
        loaded.model(**batch.inputs, use_cache=False)
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
        if heard[Site(layer, "mlp_out")] and not heard[Site(layer, "attn_out")]:
            _fail(
                loaded,
                f"site {Site(layer, 'attn_out')} and {Site(layer, 'mlp_out')}",
                "attn_out that is the same whatever another token holds, and mlp_out that is not",
                "the reverse: attention reads other tokens, an MLP only its own",
                mend="exchange `attn_out` and `mlp_out` of {}, and `attn_gate` and `mlp_gate` where it has them",
            )


def _first_token_turned(value: Tensor) -> Tensor:
    """The first row twice, in the second with the other sign at its first token."""
    turned = value[:1].expand_as(value).clone()
    turned[1, 0] *= -1
    return turned


PLACES = (
    "let `attn_out` and `mlp_out` of {} name the module whose output is what is added, token by token: behind a post-norm where "
    "there is one, inside a module that adds the residual itself, and with `attn_gate` and `mlp_gate` where the block "
    "multiplies what it adds"
)


def _fail(loaded: LoadedModel, place: str, found: str, expected: str, mend: str = PLACES) -> NoReturn:
    adapter = type(loaded.adapter).__name__
    raise InputError(
        f"adapter {adapter} of {loaded.adapter.model.config.model_type}, {place}",
        found=found,
        expected=expected,
        mend=mend.format(adapter),
    )
