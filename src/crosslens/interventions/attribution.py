"""What gradients say of a patch without making it, in nats (methods 9).

Attribution patching (AtP): Δaᵀ ∇m at the run that is patched. AtP* (2403.00745): for queries and keys the attention's softmax is
computed again with what is patched in, and Δ of the heads' outputs taken; and GradDrop, the mean over blocks of |Δaᵀ ∇m| with no
gradient through that block, here with the sign of AtP. Integrated gradients: ∇m at STEPS midpoints on the line
from what was there to what is patched in. RelP: see `interventions.relp`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from crosslens.interventions.nodes import (
    SITES,
    Place,
    Replay,
    at,
    dropped,
    from_embedding,
    read,
    slots,
    write,
)
from crosslens.interventions.outcomes import Exchange, Laid
from crosslens.interventions.relp import knows, relevance
from crosslens.models.head import Head
from crosslens.models.hooks import capture
from crosslens.models.load import LoadedModel

STEPS = 10

Grads = dict[Place, Tensor]


class Attribution:
    """Gradients of a batch of runs, and what the methods make of them for any exchange between these."""

    def __init__(
        self,
        loaded: LoadedModel,
        head: Head,
        laid: Laid,
        states: dict[Place, Tensor],
        replay: Replay,
        call: Callable[[], Tensor],
    ):
        """states: of all places. replay: what the batch's pass recorded. call: runs the model over the batch and returns the
        last block's residual."""
        self.loaded, self.head, self.laid, self.states = loaded, head, laid, states
        self.replay, self.call, self.places = replay, call, list(states)
        self.plain = self._gradients()
        layers = range(len(loaded.adapter.blocks))
        self.without = [self._gradients(inner=dropped(loaded, layer)) for layer in layers]
        self.relevant = self._gradients(outer=relevance(loaded)) if knows(loaded) else None

    def _gradients(
        self, outer: AbstractContextManager | None = None, inner: AbstractContextManager | None = None
    ) -> Grads:
        """∇m at all places; outer, inner: what is done to a value before and after it is read."""
        with (
            torch.enable_grad(),
            outer or nullcontext(),
            from_embedding(self.loaded),
            read(self.loaded, self.places) as values,
            inner or nullcontext(),
        ):
            outcome = self.laid.outcome(self.head, self.call()).sum()
            # what is cut off from the outcome has no gradient
            reached = [place for place in self.places if values[place].requires_grad]
            found = torch.autograd.grad(outcome, [values[place] for place in reached], allow_unused=True)
        grads = dict(zip(reached, found, strict=True))
        return {
            place: torch.zeros_like(value) if grads.get(place) is None else grads[place]
            for place, value in self.states.items()
        }

    def of(self, place: Place, exchange: Exchange) -> dict[str, Tensor | None]:
        """(S, nodes) float64 of each method, by run and node of the place; None where a method does not apply to it."""
        value = self.states[place]
        own, given = exchange.own(value), exchange.donated(value)
        delta = torch.zeros_like(value)
        delta[exchange.rows, exchange.positions] = given - own
        atp = self._dot(place, delta, self.plain[place])
        # what a query or key does is not linear: Δ of what its head gives stands for it
        at_place, change = self._recomputed(place, exchange, delta) or (place, delta)
        sign = self._dot(place, change, self.plain[at_place], of=at_place)
        drops = [self._dot(place, change, grads[at_place], of=at_place).abs() for grads in self.without]
        # dropping its own block leaves a node that is inside of it nothing
        dropped_mean = torch.stack(drops).sum(0) / max(len(drops) - (place.kind != "resid_post"), 1)
        relevant = self.relevant and place.kind not in ("query", "key")
        return {
            "atp": atp,
            "atp_star": sign.sign() * dropped_mean,
            "ig": self._integrated(place, exchange, own, given) if place.kind in SITES else None,
            "relp": self._dot(place, delta, self.relevant[place]) if relevant else None,
        }

    def _dot(self, place: Place, delta: Tensor, grads: Tensor, of: Place | None = None) -> Tensor:
        """(S, nodes): Σ over positions and a node's channels of Δ · ∇m; of: where these are, if not at the node itself."""
        where = of or place
        product = (delta.float() * grads.float()).sum(1)
        parts = [product[:, channels].sum(1) for channels in slots(self.loaded, where, product.shape[1])]
        found = torch.stack(parts, 1)
        if place.kind == "key" and where.kind == "head":
            keys = len(slots(self.loaded, place, self.states[place].shape[2]))
            found = found.view(len(found), keys, -1).sum(2)
        return self.laid.by_run(found)

    def _recomputed(self, place: Place, exchange: Exchange, delta: Tensor) -> tuple[Place, Tensor] | None:
        """The heads' outputs and what patching all queries, or all keys, of a block changes of them; None of other places.

        A head reads its own query and key alone, so that all may be patched at once.
        """
        if place.kind not in ("query", "key"):
            return None
        heads = Place("head", place.layer)
        with (
            torch.no_grad(),
            self.replay.up_to(place.layer),
            at(self.loaded, place, lambda value: value + delta.to(value)),
            read(self.loaded, [heads]) as found,
            capture(self.loaded, [f"{place.layer}.attn_out"], stop=True),
        ):
            self.loaded.model(**self.laid.batch.inputs, use_cache=False)
        return heads, found[heads] - self.states[heads]

    def _integrated(self, place: Place, exchange: Exchange, own: Tensor, given: Tensor) -> Tensor:
        """(S, 1): the sum is m patched less m but for what STEPS leave out."""
        total = torch.zeros_like(own, dtype=torch.float32)
        for step in range(STEPS):
            between = own + (step + 0.5) / STEPS * (given - own)
            point: list[Tensor] = []

            def fn(value: Tensor, between: Tensor = between, point: list[Tensor] = point) -> Tensor:
                moved = write(value.detach(), exchange.rows, exchange.positions, slice(None), between)
                point.append(moved.requires_grad_())
                return moved

            with torch.enable_grad(), self.replay.up_to(place.layer), at(self.loaded, place, fn):
                outcome = self.laid.outcome(self.head, self.call()).sum()
                (grad,) = torch.autograd.grad(outcome, point)
            total += exchange.own(grad).float() / STEPS
        product = torch.zeros(len(self.laid.batch.role), device=total.device)
        product.index_add_(0, exchange.rows, (total * (given - own).float()).sum(1))
        return self.laid.by_run(product)[:, None]
