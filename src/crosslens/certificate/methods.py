"""What the product's methods say of a model: of every place how much goes through it, and which direction matters.

All that is called here is what the analyses call; nothing is computed in a way of its own. An estimate of a place is what the
outcome loses, nats, where the run with a word of the token set is given the place's value of the run with another word.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from crosslens.certificate.cases import FIRED
from crosslens.certificate.grafts import couples
from crosslens.interventions.arms import direction_arms
from crosslens.interventions.attribution import Attribution
from crosslens.interventions.feature_patching import METHODS as PATCHED
from crosslens.interventions.feature_patching import FeaturePatcher
from crosslens.interventions.nodes import Place, places_of, slots
from crosslens.interventions.outcomes import Case
from crosslens.interventions.runs import OTHER, Runs, donors
from crosslens.lens.jacobian import directions
from crosslens.lens.lenses import LENSES, Reader
from crosslens.lens.odds import Contrast, parted
from crosslens.lens.tuned import fit
from crosslens.models.head import Head
from crosslens.models.inputs import Sample
from crosslens.models.load import LoadedModel
from crosslens.sae.model import SAE

PLACES = ("attn_out", "mlp_out")
PATCH = "patching"
OF_PLACES = ("atp", "atp_star", "ig", "relp", PATCH)
OF_DIRECTIONS = ("difference", "probe", *LENSES, "jacobian")
STREAM = "resid_post"
TEXT = ("prompt", "caption")
FEATURE = "feature"
"""A place that is one feature of an SAE behind a block."""


class Estimate(NamedTuple):
    """Of one node by one method."""

    method: str
    place: str
    layer: int
    node: int
    positions: str
    language: str
    lost: float
    """Nats, mean over the cases."""


class Pointed(NamedTuple):
    """A direction, and how much of it the method says that there is."""

    method: str
    direction: np.ndarray
    """(d) float64."""
    size: float | None
    """nats; of `difference` in the units of the residual stream; None of a method that gives none."""


def read_places(loaded: LoadedModel, keys: bool) -> list[Place]:
    """Those whose states the methods need; keys: keys are asked for too."""
    kinds = (*PLACES, STREAM, *(("head", "key") if keys else ()))
    return places_of(loaded, kinds, range(loaded.n_layers))


@torch.no_grad()
def of_places(runs: Runs, positions: Sequence[str], *, keys: bool, ig: bool = True) -> Iterator[Estimate]:
    """Of every block's halves at each class of positions, and of its keys where they are asked for."""
    other = donors(runs)[OTHER].of
    found = {name: runs.laid.exchange(name, other) for name in positions}
    exchanges = {name: exchange for name, exchange in found.items() if exchange is not None}
    attribution = Attribution(runs, exchanges)
    fired = {
        language: [run for run, _ in couples(runs, [language])]
        for language in dict.fromkeys(side.language for side in runs.laid.sides)
    }
    for name, exchange in exchanges.items():
        for place in read_places(runs.loaded, keys):
            if place.kind not in (*PLACES, "key"):
                continue
            changes = attribution.of(place, name, integrate=ig)
            value = runs.states[place]
            patched = [
                runs.patched(place, exchange, channels, exchange.donated(value)[:, channels]) - runs.outcome
                for channels in slots(runs.loaded, place, value.shape[2])
            ]
            changes[PATCH] = torch.stack(patched, 1)
            for method, change in changes.items():
                if change is None:
                    continue
                for node in range(change.shape[1]):
                    for language, rows in fired.items():
                        mean = -float(change[rows, node].mean())
                        yield Estimate(method, place.kind, place.layer, node, name, language, mean)


def state_of(runs: Runs, layer: int, positions: str) -> Tensor:
    """(S, d) of every run behind a block, at the only position of a class."""
    value = runs.states[Place(STREAM, layer)]
    rows = [texts[0] for texts in runs.laid.text_of]
    columns = [
        runs.laid.padding[row] + run.at[positions][0] for row, run in zip(rows, runs.laid.runs, strict=True)
    ]
    return value[rows, columns]


def of_features(
    loaded: LoadedModel,
    sae: SAE,
    layer: int,
    own: int,
    chosen: Sequence[Case],
    told: Sequence[Case],
    images: Path,
    seed: int,
) -> Iterator[Estimate]:
    """Of every feature behind a block whose codes differ, and of the feature `own`, at the position where is asked.

    chosen: as many cases as told, which choose what is patched: all whose integrated gradient is not 0 in any of them.
    """
    patcher = FeaturePatcher(loaded, images, sae, str(layer), pictures=False, seed=seed)
    table, _ = patcher.effects([*chosen, *told], sae.d_sae, batch=2 * sum(len(case.sides) for case in told))
    rows = table[(table["part"] == "feature") & (table["variant"] == FIRED) & (table["positions"] == "last")]
    rows = rows.assign(**{PATCH: rows["outcome_patched"] - rows["outcome"]})
    means = rows.groupby(["feature", "language"])[[*PATCHED, PATCH]].mean()
    # a code that is the same in both runs changes nothing, and every method says so
    own_rows = pd.MultiIndex.from_product([[own], dict.fromkeys(side.language for side in told[0].sides)])
    means = means.reindex(means.index.union(own_rows), fill_value=0.0)
    for (feature, language), change in means.iterrows():
        for method, value in change.items():
            yield Estimate(method, FEATURE, layer, int(feature), "last", language, -float(value))


def of_directions(
    loaded: LoadedModel,
    runs: Runs,
    others: Sequence[Runs],
    layer: int,
    positions: str,
    languages: Sequence[str],
    images: Path,
    seed: int,
) -> Iterator[Pointed]:
    """By every method the direction behind a block in which the runs with a word of the set differ from the others, or that
    moves the outcome. others: runs of other cases, on whose texts the tuned lens is fitted."""
    of = couples(runs, languages)
    rows = [run for couple in of for run in couple]
    named = np.array([runs.laid.sides[run].language for run in rows])
    x, fired = state_of(runs, layer, positions), np.tile([True, False], len(of))
    first, second = (x[[couple[side] for couple in of]] for side in range(2))
    for arm in direction_arms(x[rows].double().numpy(), fired, named, "both"):
        if arm.method in OF_DIRECTIONS:
            size = arm.norm if arm.method == "difference" else None
            yield Pointed(arm.method, arm.direction, size)
    head = Head(loaded)
    texts = [own.laid.batch.has_role(TEXT) for own in others]
    states = [
        torch.cat(
            [own.states[Place(STREAM, number)][mask].float() for own, mask in zip(others, texts, strict=True)]
        )
        for number in range(loaded.n_layers)
    ]
    reader = Reader(head, fit(head, states, epochs=1, seed=seed))
    contrasts = [contrast_of(runs, run) for run, _ in of]
    found = directions(loaded, reader, contrasts, images=images, batch=len(of))
    for lens in LENSES:
        read = [parted(reader.logits(lens, layer, part), contrasts) for part in (first, second)]
        yield Pointed(lens, found.read[lens][layer].double().numpy(), float((read[0] - read[1]).mean()))
    row = found.rows[layer].double()
    yield Pointed("jacobian", row.numpy(), float(((first - second).double() @ row).mean()))


def contrast_of(runs: Runs, run: int) -> Contrast:
    """The two words that may follow a run's text."""
    side, (tokens, reads) = runs.laid.sides[run], runs.laid.runs[run].texts[0]
    ids = [torch.tensor(own) for _, own, _ in reads]
    return Contrast(Sample("graft", side.prefix, side.prompt, side.image), tokens, *ids)
