"""Reading and replacing values inside a forward pass. Hooks are taken off again however the pass ends."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from crosslens.models.load import LoadedModel, check_sites
from crosslens.models.sites import Site

Edit = Callable[[Tensor], Tensor | None]


class _Stop(Exception):
    """Ends a forward pass whose rest nobody needs."""


@contextmanager
def capture(
    loaded: LoadedModel, sites: Iterable[str | Site], *, stop: bool = False
) -> Iterator[dict[str, Tensor]]:
    """Read the sites of the forward passes inside the block: a dict by site name, (B, T, d_model) as computed.

    With `stop` the pass ends behind the deepest site: the rest of the `with` block is then skipped too, so the forward
    call should be its last statement. Values keep their graph where gradients are on. A later pass overwrites.
    """
    wanted = check_sites(loaded, sites)
    deepest = max(wanted, key=lambda site: site.depth, default=None)
    values: dict[str, Tensor] = {}
    handles: list[Any] = []

    def reader(site: Site) -> Edit:
        def read(value: Tensor) -> None:
            values[str(site)] = value
            if stop and site == deepest:
                raise _Stop

        return read

    try:
        for site in wanted:
            handles.append(_attach(loaded, site, reader(site)))
        yield values
    except _Stop:
        pass
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def edit(loaded: LoadedModel, site: str | Site, fn: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Replace the value of a site by `fn(value)`, (B, T, d_model) to the same shape and dtype, inside the block.

    During generation T is the prompt's length first and 1 afterwards. Edits of one site apply in the order in which
    they were entered; a `capture` entered later reads the edited value.
    """
    (parsed,) = check_sites(loaded, [site])

    def replace(value: Tensor) -> Tensor:
        edited = fn(value)
        if not isinstance(edited, Tensor) or edited.shape != value.shape or edited.dtype != value.dtype:
            found = (
                f"{tuple(edited.shape)} {edited.dtype}"
                if isinstance(edited, Tensor)
                else type(edited).__name__
            )
            raise ValueError(
                f"edit of {parsed}: {found} returned, {tuple(value.shape)} {value.dtype} expected"
            )
        return edited

    handle = _attach(loaded, parsed, replace)
    try:
        yield
    finally:
        handle.remove()


def _attach(loaded: LoadedModel, site: Site, fn: Edit) -> torch.utils.hooks.RemovableHandle:
    """Call `fn` with the value of the site in every pass; what it returns, if not None, replaces the value."""
    block = loaded.adapter.blocks[site.layer]
    if site.kind == "resid_pre":
        return block.register_forward_pre_hook(_on_input(fn), with_kwargs=True)
    module: nn.Module = {
        "resid_post": lambda block: block,
        "attn_out": loaded.adapter.attn_out,
        "mlp_out": loaded.adapter.mlp_out,
    }[site.kind](block)
    return module.register_forward_hook(_on_output(fn))


def _on_input(fn: Edit) -> Callable:
    def hook(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]] | None:
        replaced = fn(args[0] if args else kwargs["hidden_states"])
        if replaced is None:
            return None
        return ((replaced, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": replaced})

    return hook


def _on_output(fn: Edit) -> Callable:
    # transformers 5 blocks return a tensor, older ones and attention modules a tuple that starts with it.
    def hook(module: nn.Module, args: tuple, output: Tensor | tuple) -> Tensor | tuple | None:
        if isinstance(output, Tensor):
            return fn(output)
        replaced = fn(output[0])
        return None if replaced is None else (replaced, *output[1:])

    return hook
