"""Reading and replacing values inside a forward pass. Hooks are taken off again however the pass ends."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from crosslens.errors import InputError
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
    Raises InputError behind the block for a site that no pass reached.
    """
    values: dict[str, Tensor] = {}
    wanted = check_sites(loaded, sites)
    with reading(loaded, wanted, lambda site, value: values.update({str(site): value}), stop=stop):
        yield values
    if unreached := [str(site) for site in wanted if str(site) not in values]:
        raise InputError(
            f"site {unreached[0]}",
            found="a forward pass that skips it",
            expected="a block that every pass runs",
            mend="choose other sites: cross-attention blocks run only where images are shown",
        )


@contextmanager
def reading(
    loaded: LoadedModel, sites: Iterable[Site], read: Callable[[Site, Tensor], object], *, stop: bool = False
) -> Iterator[None]:
    """Call `read(site, value)` with the value of every site that a forward pass inside the block reaches; `stop` as above."""
    wanted = list(sites)
    deepest = max(wanted, key=lambda site: site.depth, default=None)
    handles: list[Any] = []

    def reader(site: Site) -> Edit:
        def fn(value: Tensor) -> None:
            read(site, value)
            if stop and site == deepest:
                raise _Stop

        return fn

    try:
        for site in wanted:
            handles.append(_attach(loaded, site, reader(site)))
        yield
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
    adapter = loaded.adapter
    block = adapter.blocks[site.layer]
    match site.kind:
        case "resid_pre":
            return block.register_forward_pre_hook(_on_input(fn), with_kwargs=True)
        case "resid_post":
            return block.register_forward_hook(on_output(fn))
        case "attn_out":
            module, gate = adapter.attn_out(block), adapter.attn_gate
        case "mlp_out":
            module, gate = adapter.mlp_out(block), adapter.mlp_gate

    def on_added(value: Tensor) -> Tensor | None:
        factor = gate(block)
        return fn(value) if factor is None else _through_gate(fn, value, factor, site)

    return module.register_forward_hook(on_output(on_added))


def _through_gate(fn: Edit, value: Tensor, factor: Tensor | float, site: Site) -> Tensor | None:
    """Call `fn` with `factor · value`; what has to take the place of `value` for the factor to make of it what fn gave."""
    added = factor * value
    edited = fn(added)
    if edited is None:
        return None
    change = edited - added
    factor = torch.as_tensor(factor, dtype=value.dtype, device=value.device).expand_as(value)
    if ((change != 0) & (factor == 0)).any():
        raise ValueError(f"edit of {site}: positions at which this half of the block is shut (its gate is 0)")
    # The change alone goes through the gate, so that an edit that changes nothing leaves every bit as it is.
    return torch.where(change == 0, value, value + change / factor)


def _on_input(fn: Edit) -> Callable:
    def hook(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]] | None:
        replaced = fn(args[0] if args else kwargs["hidden_states"])
        if replaced is None:
            return None
        return ((replaced, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": replaced})

    return hook


def on_output(fn: Edit) -> Callable:
    """A forward hook that calls `fn` with a module's output, or the first of its outputs, and puts what it gives in its place."""

    # transformers 5 blocks return a tensor, older ones and attention modules a tuple that starts with it.
    def hook(module: nn.Module, args: tuple, output: Tensor | tuple) -> Tensor | tuple | None:
        if isinstance(output, Tensor):
            return fn(output)
        replaced = fn(output[0])
        return None if replaced is None else (replaced, *output[1:])

    return hook
