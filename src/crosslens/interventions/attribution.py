"""What gradients say of a patch without making it, in nats (methods 9).

Attribution patching (AtP): Δaᵀ ∇m at the run that is patched. AtP* (2403.00745): for queries and keys the attention's softmax is
computed again with what is patched in, and Δ of the heads' outputs taken; and GradDrop, the mean over blocks of |Δaᵀ ∇m| with no
gradient through that block, here with the sign of AtP. Integrated gradients: ∇m at STEPS midpoints on the line
from what was there to what is patched in. RelP: see `interventions.relp`.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from crosslens.interventions.nodes import (
    SITES,
    Place,
    at,
    dropped,
    from_embedding,
    read,
    slots,
    write,
)
from crosslens.interventions.outcomes import Exchange
from crosslens.interventions.relp import knows, relevance
from crosslens.interventions.runs import Runs
from crosslens.models.hooks import capture

STEPS = 10

Grads = dict[Place, Tensor]


class Attribution:
    """Gradients of a batch of runs, and what the methods make of them for some exchanges between these."""

    def __init__(self, runs: Runs, exchanges: dict[str, Exchange]):
        self.runs, self.loaded, self.laid, self.states = runs, runs.loaded, runs.laid, runs.states
        self.exchanges = exchanges
        self.plain = gradients(runs)
        self.relevant = gradients(runs, outer=relevance(runs.loaded)) if knows(runs.loaded) else None
        self.changes = {
            (place, name): self._change(place, exchange)
            for name, exchange in exchanges.items()
            for place in self.states
        }
        self.dropped = self._dropped()

    def _change(self, place: Place, exchange: Exchange) -> tuple[Place, Tensor]:
        """Δ (texts, T, width), and where: of a query or key, whose effect is not linear, the heads' outputs with it patched in.

        A head reads its own query and key alone, so that those of all heads are patched at once.
        """
        value = self.states[place]
        delta = torch.zeros_like(value)
        delta[exchange.rows, exchange.positions] = exchange.donated(value) - exchange.own(value)
        if place.kind not in ("query", "key"):
            return place, delta
        heads = Place("head", place.layer)
        with (
            torch.no_grad(),
            self.runs.replay.up_to(place),
            at(self.loaded, place, lambda value: value + delta.to(value)),
            read(self.loaded, [heads]) as found,
            capture(self.loaded, [f"{place.layer}.attn_out"], stop=True),
        ):
            self.loaded.model(**self.laid.batch.inputs, use_cache=False)
        return heads, found[heads] - self.states[heads]

    def _dropped(self) -> dict[tuple[Place, str], Tensor]:
        """(S, nodes): the mean over blocks of |Δ · ∇m| without the gradient through that block; gradients of one at a time."""
        layers = len(self.loaded.adapter.blocks)
        total: dict[tuple[Place, str], Tensor] = {}
        for layer in range(layers):
            grads = gradients(self.runs, inner=dropped(self.loaded, layer))
            for (place, name), (where, change) in self.changes.items():
                found = self._dot(place, change, grads[where], of=where).abs()
                total[place, name] = total.get((place, name), 0) + found
        # dropping its own block leaves a node that is inside of it nothing
        return {
            (place, name): found / max(layers - (place.kind != "resid_post"), 1)
            for (place, name), found in total.items()
        }

    def of(self, place: Place, name: str, *, integrate: bool) -> dict[str, Tensor | None]:
        """(S, nodes) float64 of each method, by run and node of the place; None where a method does not apply to it.

        name: of the exchange. integrate: whether integrated gradients are computed, which take STEPS passes back.
        """
        exchange, value = self.exchanges[name], self.states[place]
        own, given = exchange.own(value), exchange.donated(value)
        delta = torch.zeros_like(value)
        delta[exchange.rows, exchange.positions] = given - own
        where, change = self.changes[place, name]
        towards = self._dot(place, change, self.plain[where], of=where).sign()
        relevant = self.relevant is not None and place.kind not in ("query", "key")
        integrated = integrate and place.kind in SITES
        return {
            "atp": self._dot(place, delta, self.plain[place]),
            "atp_star": towards * self.dropped[place, name],
            "ig": self._integrated(place, exchange, own, given) if integrated else None,
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

    def _integrated(self, place: Place, exchange: Exchange, own: Tensor, given: Tensor) -> Tensor:
        """(S, 1): the sum is m patched less m but for what STEPS leave out."""
        total = between(self.runs, place, exchange)
        product = torch.zeros(len(self.laid.batch.role), device=total.device)
        product.index_add_(0, exchange.rows, (total * (given - own).float()).sum(1))
        return self.laid.by_run(product)[:, None]


def gradients(
    runs: Runs, outer: AbstractContextManager | None = None, inner: AbstractContextManager | None = None
) -> Grads:
    """∇m at the places whose states are kept; outer, inner: what is done to a value before and after it is read."""
    with (
        torch.enable_grad(),
        outer or nullcontext(),
        from_embedding(runs.loaded),
        read(runs.loaded, [*runs.states]) as values,
        inner or nullcontext(),
    ):
        outcome = runs.laid.outcome(runs.head, runs.last()).sum()
        # what is cut off from the outcome has no gradient
        reached = [place for place in runs.states if values[place].requires_grad]
        found = torch.autograd.grad(outcome, [values[place] for place in reached], allow_unused=True)
    grads = dict(zip(reached, found, strict=True))
    return {
        place: torch.zeros_like(value) if grads.get(place) is None else grads[place]
        for place, value in runs.states.items()
    }


def between(runs: Runs, place: Place, exchange: Exchange) -> Tensor:
    """(n, width) float32: the mean of ∇m over STEPS midpoints of the line from what was at a place to what is patched in."""
    own, given = exchange.own(runs.states[place]), exchange.donated(runs.states[place])
    total = torch.zeros_like(own, dtype=torch.float32)
    for step in range(STEPS):
        point: list[Tensor] = []

        def fn(value: Tensor, share: float = (step + 0.5) / STEPS, point: list[Tensor] = point) -> Tensor:
            on_line = own + share * (given - own)
            moved = write(value.detach(), exchange.rows, exchange.positions, slice(None), on_line)
            point.append(moved.requires_grad_())
            return moved

        with torch.enable_grad(), runs.replay.up_to(place), at(runs.loaded, place, fn):
            outcome = runs.laid.outcome(runs.head, runs.last()).sum()
            (grad,) = torch.autograd.grad(outcome, point)
        total += exchange.own(grad).float() / STEPS
    return total
