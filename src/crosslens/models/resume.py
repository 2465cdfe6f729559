"""What an edit cannot change is not run again: exact, for what those parts of the model gave is put in their place."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol
from unittest.mock import patch

from torch import Tensor, nn

from crosslens.models.load import LoadedModel


class Point(Protocol):
    """Where a pass may differ: a site, or a place inside of a block."""

    layer: int
    kind: str


class Replay:
    """What the vision tower, the projector and the blocks gave in one pass over a batch."""

    def __init__(self, loaded: LoadedModel, first: Point | None = None):
        """first: the only point from which passes begin; None: any, for which every block's output is held."""
        adapter = loaded.adapter
        self.blocks = list(adapter.blocks)
        self.towers = [part for part in (adapter.vision_tower, adapter.projector) if part is not None]
        self.held = self.blocks if first is None else self.blocks[: _before(first)][-1:]
        self.given: dict[nn.Module, Any] = {}

    @contextmanager
    def record(self) -> Iterator[None]:
        """Hold what the parts give in the pass inside the block."""
        with ExitStack() as stack:
            for part in (*self.towers, *self.held):
                stack.callback(part.register_forward_hook(self._hold).remove)
            yield

    @contextmanager
    def up_to(self, point: Point) -> Iterator[None]:
        """Passes of the same batch inside the block begin with what was given before `point`."""
        before = self.blocks[: _before(point)]
        with ExitStack() as stack:
            for part in (*self.towers, *before[-1:]):
                if part in self.given:
                    stack.enter_context(
                        patch.object(part, "forward", lambda *_, given=self.given[part], **__: given)
                    )
            for block in before[:-1]:
                stack.enter_context(patch.object(block, "forward", self._passed_on))
            yield

    def _hold(self, module: nn.Module, args: Any, output: Any) -> None:
        self.given[module] = output

    def _passed_on(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        return hidden_states if isinstance(self.given[self.held[-1]], Tensor) else (hidden_states,)


def _before(point: Point) -> int:
    """How many blocks come before it."""
    return point.layer + (point.kind == "resid_post")
