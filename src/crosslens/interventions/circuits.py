"""Circuits: how much of the difference between two runs a few heads and MLPs carry, by how they are ranked (methods 9).

Of a circuit C all heads and MLPs but those of C have the values of the other run, at all positions; the embeddings are
always the run's own. f = (m(C) - m(none)) / (m(all) - m(none)), 0 without any and 1 with all. CPR = ∫ f and CMD = ∫ |1 - f| over
the share of nodes in C, by trapezoids (MIB, 2504.13151): the best ranking has the largest CPR; CMD is 0 where f is 1 throughout.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from crosslens.interventions.nodes import Place, at, slots
from crosslens.interventions.outcomes import Exchange
from crosslens.interventions.recovery import means, score
from crosslens.interventions.runs import Runs
from crosslens.models.load import LoadedModel
from crosslens.stats.resampling import stream

SIZES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Shares of the nodes."""
IN_CIRCUITS = ("head", "mlp_out")

Node = tuple[str, int, int]
"""Kind, layer, head."""


def nodes_of(loaded: LoadedModel, states: dict[Place, Tensor]) -> dict[Node, slice]:
    """Every head and MLP with its channels."""
    return {
        (place.kind, place.layer, number): channels
        for place, value in states.items()
        if place.kind in IN_CIRCUITS
        for number, channels in enumerate(slots(loaded, place, value.shape[2]))
    }


def ranked(effects: pd.DataFrame, by: str) -> list[Node]:
    """Nodes by the size of what is said of them, or of their effect, towards the other run; a mean over runs.

    effects: rows of patches by `other` at all positions.
    """
    said = effects["outcome_patched"] - effects["outcome"] if by == "effect" else effects[by]
    towards = said * np.sign(effects["outcome_other"] - effects["outcome"])
    mean = towards.groupby([effects[name] for name in ("kind", "layer", "node")]).mean()
    return [*mean.abs().sort_values(ascending=False, kind="stable").index]


def numbers_of(total: int) -> list[int]:
    """How many nodes each of SIZES is."""
    return [round(size * total) for size in SIZES]


def kept_outcome(runs: Runs, exchange: Exchange, kept: Sequence[Node]) -> np.ndarray:
    """(S) m with the other run's values in all nodes but those kept."""
    states = runs.states
    own: dict[Place, list[slice]] = {}
    channels = nodes_of(runs.loaded, states)
    for node in kept:
        own.setdefault(Place(node[0], node[1]), []).append(channels[node])

    def put(place: Place) -> Callable[[Tensor], Tensor]:
        given = exchange.donated(states[place])

        def fn(value: Tensor) -> Tensor:
            changed = value.clone()
            mixed = given.clone()
            for part in own.get(place, ()):
                mixed[:, part] = value[exchange.rows, exchange.positions, part]
            changed[exchange.rows, exchange.positions] = mixed
            return changed

        return fn

    with ExitStack() as stack:
        stack.enter_context(runs.replay.up_to(Place("head", 0)))
        for place in states:
            if place.kind in IN_CIRCUITS:
                stack.enter_context(at(runs.loaded, place, put(place)))
        return runs.measured().cpu().numpy()


def areas(f: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """CPR and CMD (n) of f (n, K) at ascending shares (K), with f = 0 at 0."""
    x = np.concatenate([[0.0], shares])
    y = np.concatenate([np.zeros((len(f), 1)), f], axis=1)
    return np.trapezoid(y, x, axis=1), np.trapezoid(np.abs(1 - y), x, axis=1)


def curves(kept: Sequence[pd.DataFrame], *, bound: float, bootstraps: int, seed: int) -> list[dict[str, Any]]:
    """Of each swap, language and ranking: f at each size, CPR and CMD, means over groups.

    kept: a row for each run, ranking (`by`) and number of nodes kept (`nodes`, of `total`), with `outcome_kept` m(C),
    `outcome_none` and `outcome`, m(all). Runs that lose less than `bound` without any node are left out.
    """
    tables = [table for table in kept if len(table)]
    if not tables:
        return []
    rows = pd.concat(tables, ignore_index=True)
    lost = rows["outcome"] - rows["outcome_none"]
    rows = rows[lost.abs() >= bound]
    rows = rows.assign(f=(rows["outcome_kept"] - rows["outcome_none"]) / lost[rows.index])
    found = []
    for (swap, language, by), own in rows.groupby(["swap", "language", "by"], sort=False):
        total = int(own["total"].iloc[0])
        table = own.pivot_table(index=["group", "variant"], columns="nodes", values="f", aggfunc="mean")
        sizes = table.columns.tolist()
        cpr, cmd = areas(table.to_numpy(), np.array(sizes) / total)
        by_group = table.assign(cpr=cpr, cmd=cmd).groupby(level="group").mean()
        rng = stream(seed, "circuits", swap, language, by)
        *points, cpr, cmd = map(score, means(by_group.to_numpy(), bootstraps, rng))
        found.append(
            {"swap": swap, "language": language, "by": by, "total": total, "cpr": cpr, "cmd": cmd}
            | {"points": [{"nodes": int(n), "f": f} for n, f in zip(sizes, points, strict=True)]}
        )
    return found
