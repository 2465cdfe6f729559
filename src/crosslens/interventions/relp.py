"""Layer-wise relevance rules as gradients (RelP, 2508.21258): a backward pass through a model that is made linear piece by piece.

A norm's scale is a constant, an activation is x · constant(act(x) / x), half of the gradient goes through each side of a
gate's product, and the attention pattern is a constant: no gradient goes into queries and keys.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from crosslens.models.load import LoadedModel

GATED = ("gate_proj", "up_proj", "down_proj", "act_fn")


def knows(loaded: LoadedModel) -> bool:
    """Whether the family's blocks are built of parts that the rules are known of: RMS norms, gated MLPs, queries and keys."""
    adapter = loaded.adapter
    return all(
        {"q", "k"} <= adapter.projections(block).keys() and _gated(block) is not None
        for block in adapter.blocks
    ) and all("RMSNorm" in type(norm).__name__ for norm in _norms(loaded))


@contextmanager
def relevance(loaded: LoadedModel) -> Iterator[None]:
    """Inside the block values are those of the model, and gradients follow the rules."""
    handles = [norm.register_forward_hook(_on_output(_ratio)) for norm in _norms(loaded)]
    for block in loaded.adapter.blocks:
        mlp = _gated(block)
        handles.append(mlp.act_fn.register_forward_hook(_on_output(_ratio)))
        handles.append(mlp.down_proj.register_forward_pre_hook(lambda _, args: (_halved(args[0]),)))
        projections = loaded.adapter.projections(block)
        handles += [
            projections[name].register_forward_hook(lambda _, args, output: output.detach()) for name in "qk"
        ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _norms(loaded: LoadedModel) -> list[nn.Module]:
    """Of the decoder, those of queries and keys left out: these get no gradient."""
    adapter = loaded.adapter
    inside = [
        module
        for block in adapter.blocks
        for name, module in block.named_modules()
        if type(module).__name__.endswith("Norm") and not name.endswith(("q_norm", "k_norm"))
    ]
    return [*inside, adapter.final_norm]


def _gated(block: nn.Module) -> nn.Module | None:
    """The gated MLP of a block."""
    found = [module for module in block.modules() if all(hasattr(module, name) for name in GATED)]
    return found[0] if len(found) == 1 and isinstance(found[0].act_fn, nn.Module) else None


def _on_output(rule: Callable[[Tensor, Tensor], Tensor]) -> Callable:
    return lambda module, args, output: rule(args[0], output)


def _ratio(x: Tensor, y: Tensor) -> Tensor:
    """The value y, as x times a constant."""
    constant = torch.where(
        x == 0, torch.zeros_like(y), y / torch.where(x == 0, torch.ones_like(x), x)
    ).detach()
    return _valued(x * constant, y)


def _halved(x: Tensor) -> Tensor:
    return _valued(x / 2, x)


def _valued(graded: Tensor, y: Tensor) -> Tensor:
    """y to the last bit, with the gradient of `graded`."""
    return y.detach() + (graded - graded.detach())
