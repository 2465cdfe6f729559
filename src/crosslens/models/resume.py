"""What an edit cannot change is not run again: exact, for the blocks behind it are given what they were given then."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from unittest.mock import patch

from torch import Tensor, nn

from crosslens.models.load import LoadedModel


class Point(Protocol):
    """Where a pass may differ: a site, or a place inside of a block."""

    layer: int
    kind: str


@dataclass
class _Call:
    """A block as it ran: what stood before it, what else it was given (masks, positions), and what it gave."""

    block: nn.Module
    hidden: Tensor | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any = None


class Replay:
    """The blocks of one pass over a batch, from any of which the pass can be gone on with."""

    def __init__(self, loaded: LoadedModel, first: Point | None = None):
        """first: the only point from which passes begin; None: any, for which every block's output is held."""
        self.model, self.blocks, self.first = loaded.model, list(loaded.adapter.blocks), first
        self.calls: list[_Call] = []
        self.linked = True

    @contextmanager
    def record(self) -> Iterator[None]:
        """Hold what the blocks are given in the pass inside the block; one that ends early is gone on with to there alone."""
        with ExitStack() as stack:
            for block in self.blocks:
                stack.callback(block.register_forward_pre_hook(self._enter, with_kwargs=True).remove)
                stack.callback(block.register_forward_hook(self._leave).remove)
            yield
        if self.first is not None:
            for call in self.calls:
                if call.block is not self.blocks[self.first.layer]:
                    call.hidden = call.output = None

    @contextmanager
    def up_to(self, point: Point) -> Iterator[None]:
        """Passes of the same batch inside the block begin at `point`; the model itself returns nothing then.

        They are whole ones where the model does something between its blocks, or did not run this one.
        """
        reached = [k for k, call in enumerate(self.calls) if call.block is self.blocks[point.layer]]
        if not self.linked or not reached:
            yield
            return
        calls = self.calls[reached[0] :]
        with ExitStack() as stack:
            if point.kind == "resid_post":
                given = calls[0].output
                stack.enter_context(patch.object(calls[0].block, "forward", lambda *_, **__: given))
            stack.enter_context(patch.object(self.model, "forward", lambda *_, **__: _go_on(calls)))
            yield

    def _enter(self, block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        hidden, *more = args or [kwargs["hidden_states"]]
        if self.calls and hidden is not _hidden(self.calls[-1].output):
            self.linked = False
        others = {name: value for name, value in kwargs.items() if name != "hidden_states"}
        self.calls.append(_Call(block, hidden, tuple(more), others))

    def _leave(self, block: nn.Module, args: Any, output: Any) -> None:
        self.calls[-1].output = output


def _hidden(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


def _go_on(calls: list[_Call]) -> None:
    hidden = calls[0].hidden
    for call in calls:
        hidden = _hidden(call.block(hidden, *call.args, **call.kwargs))
