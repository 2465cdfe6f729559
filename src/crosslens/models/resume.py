"""Blocks that an edit behind them cannot change are not run again: exact, for what they gave is put in their place."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from torch import Tensor, nn

from crosslens.models.load import LoadedModel
from crosslens.models.sites import Site


class Remembered:
    """What the blocks before a site, and the vision tower, gave of one batch."""

    def __init__(self, loaded: LoadedModel, site: Site):
        """site: the first that may differ when the batch is run again."""
        self.loaded = loaded
        self.blocks = list(loaded.adapter.blocks)[: site.layer + (site.kind == "resid_post")]
        self.towers = [part for part in loaded.model.modules() if hasattr(type(part), "get_image_features")]
        self.given: Any = None
        self.seen: dict[nn.Module, Any] = {}

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """Keep what the pass inside the block gives."""
        with ExitStack() as stack:
            for tower in self.towers:
                stack.enter_context(patch.object(tower, "get_image_features", self._seeing(tower)))
            if self.blocks:
                handle = self.blocks[-1].register_forward_hook(self._keep)
                stack.callback(handle.remove)
            yield

    @contextmanager
    def resuming(self) -> Iterator[None]:
        """Passes of the same batch inside the block begin with what was kept."""
        with ExitStack() as stack:
            for tower, seen in self.seen.items():
                stack.enter_context(
                    patch.object(tower, "get_image_features", lambda *_, seen=seen, **__: seen)
                )
            for block in self.blocks[:-1]:
                stack.enter_context(patch.object(block, "forward", self._passed_on))
            if self.blocks:
                stack.enter_context(patch.object(self.blocks[-1], "forward", lambda *_, **__: self.given))
            yield

    def _keep(self, module: nn.Module, args: Any, output: Any) -> None:
        self.given = output

    def _passed_on(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        return hidden_states if isinstance(self.given, Tensor) else (hidden_states,)

    def _seeing(self, tower: nn.Module) -> Any:
        see = tower.get_image_features

        def seeing(*args: Any, **kwargs: Any) -> Any:
            self.seen[tower] = see(*args, **kwargs)
            return self.seen[tower]

        return seeing
