"""How often is each method right? Scores over grafts, with intervals from resampling the seeds."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from crosslens.certificate.grafts import ALONE, LANGUAGES_OF
from crosslens.certificate.measure import CHANCE, NO_GRAFT, NOTHING, SUFFIX
from crosslens.certificate.methods import FEATURE, PATCH
from crosslens.interventions.recovery import means, score
from crosslens.stats.auroc import auroc
from crosslens.stats.resampling import stream

FIRST = 1 - 1e-9
"""AUROC of the only right candidate where no other one is as likely."""
PLACED = ["seed", "model", "kind", "place", "layer", "node", "positions", "language"]
"""What names one place of one run of the study."""
Record = dict[str, Any]


def scores(
    estimates: pd.DataFrame, directions: pd.DataFrame, calls: pd.DataFrame, *, bootstraps: int, seed: int
) -> Record:
    """What the document of kind certificate says, of the tables of `measure`.

    places, directions: a record a method and kind of graft; calls: a record a method and SAE; claims: a record a method;
    threshold: nats from which on an estimate counts as a claim.
    """

    def mean(rows: pd.DataFrame, of: str, *names: str) -> Record:
        """By seed first, then over seeds."""
        by_seed = rows.groupby("seed")[of].mean().to_numpy(dtype=np.float64)[:, None]
        rng = stream(seed, "certificate", of, *names)
        return (
            score(means(by_seed, bootstraps, rng)[0])
            if len(by_seed)
            else score(np.array([0.0, *[np.nan] * 3]))
        )

    threshold = float(_sites(estimates)["effect"].median()) / 2
    return {
        "threshold": threshold,
        "places": _of_places(estimates, mean),
        "directions": _of_directions(directions, mean),
        "calls": _calls(calls, mean),
        "claims": [
            *_claims(estimates[~estimates["place"].isin([*SUFFIX])], "places", threshold, mean),
            *_claims(_of_features(estimates), "features", threshold, mean),
            *_first(directions, mean),
        ],
    }


def _sites(estimates: pd.DataFrame) -> pd.DataFrame:
    """Places of the grafts that one neuron makes, in the languages in which it fires."""
    alone = estimates["kind"].isin([*ALONE])
    return estimates[alone & estimates["site"] & estimates["fires"]]


def _of_places(estimates: pd.DataFrame, mean: Callable[..., Record]) -> list[Record]:
    """recovery: AUROC of the graft's places among all, by |estimate|; error: |estimate - truth| over its largest truth."""
    without = [NO_GRAFT, NO_GRAFT + SUFFIX[FEATURE], "decoy"]
    known = estimates[estimates["fires"] & ~estimates["kind"].isin(without)]
    found = []
    for (method, kind), own in known.groupby(["method", "kind"], sort=False):
        areas = pd.DataFrame(
            {"seed": number, "auroc": auroc(rows["lost"].abs().to_numpy(), rows["site"].to_numpy())}
            for (number, _), rows in own.groupby(["seed", "language"])
        )
        at = own[own["site"]]
        error = at.assign(error=(at["lost"] - at["truth"]).abs() / at["effect"])
        record = {"method": method, "kind": kind, "recovery": mean(areas, "auroc", method, kind)}
        # chance says nothing in nats
        told = error if method != CHANCE else error.iloc[:0]
        found.append(record | {"error": mean(told, "error", method, kind)})
    return found


def _of_directions(directions: pd.DataFrame, mean: Callable[..., Record]) -> list[Record]:
    """recovery: AUROC of the graft's direction among others made alike, by |cosine|; error: |size - truth| / |truth|."""
    known = directions[~directions["kind"].isin([NO_GRAFT, "decoy", "cancelling"])]
    found = []
    for (method, kind), own in known.groupby(["method", "kind"], sort=False):
        sized = own[own["size"].notna()]
        error = sized.assign(error=(sized["size"] - sized["truth"]).abs() / sized["truth"].abs())
        record = {"method": method, "kind": kind, "recovery": mean(own, "auroc", method, kind)}
        found.append(record | {"error": mean(error, "error", method, kind)})
    return found


def _of_features(estimates: pd.DataFrame) -> pd.DataFrame:
    """Features as places, by the kind of graft alone."""
    rows = estimates[estimates["place"] == FEATURE]
    return rows.assign(kind=rows["kind"].str.removesuffix(SUFFIX[FEATURE]))


def _calls(calls: pd.DataFrame, mean: Callable[..., Record]) -> list[Record]:
    """recovery: AUROC of the score of shared grafts against those of one language; shares of what is claimed of each, of models
    without a graft, and of nothing."""
    found = []
    for (method, sae), own in calls.groupby(["method", "sae"], sort=False):
        grafts = own[own["kind"].isin([*ALONE]) & own["score"].notna()]
        areas = pd.DataFrame(
            {"seed": number, "auroc": auroc(rows["score"].to_numpy(), (rows["kind"] == "shared").to_numpy())}
            for number, rows in grafts.groupby("seed")
        )
        of = {
            "shared": own["kind"] == "shared",
            "one": own["kind"].isin([*LANGUAGES_OF]),
            "nothing": own["kind"] == NOTHING,
        } | {
            model: (own["kind"] == NO_GRAFT) & (own["model"] == model)
            for model in dict.fromkeys(own["model"])
        }
        told = own[own["claimed"].notna()]
        found.append(
            {
                "method": method,
                "sae": sae,
                "recovery": mean(areas, "auroc", method, sae) if len(areas) else None,
                **{
                    name: mean(told[rows[told.index]], "claimed", method, sae, name)
                    for name, rows in of.items()
                },
            }
        )
    return found


def _claims(
    estimates: pd.DataFrame, of_what: str, threshold: float, mean: Callable[..., Record]
) -> list[Record]:
    """Shares of places whose |estimate| reaches the threshold: of the grafts', of decoys, and of those whose patch moves the
    outcome by less than half of it; of these patching itself says nothing."""
    if not len(estimates):
        return []
    patches = estimates[estimates["method"] == PATCH].set_index(PLACED)["lost"].rename("patched")
    claimed = estimates.assign(claimed=estimates["lost"].abs() >= threshold).join(patches, on=PLACED)
    claimed = claimed[claimed["method"] != CHANCE]
    alone = claimed["kind"].isin([*ALONE])
    # the words' own differences move the outcome too, where nothing was put in: that is no false claim
    idle = (claimed["patched"].abs() < threshold / 2) & (claimed["method"] != PATCH)
    of = {
        "true": alone & claimed["site"] & claimed["fires"],
        "elsewhere": alone & ~claimed["site"] & claimed["fires"] & idle,
        "silent": alone & claimed["site"] & ~claimed["fires"] & idle,
        "decoy": (claimed["kind"] == "decoy") & claimed["site"],
    } | {
        model: (claimed["kind"] == NO_GRAFT) & (claimed["model"] == model) & idle
        for model in dict.fromkeys(claimed["model"])
    }
    return [
        {"method": method, "of": of_what}
        | {
            name: mean(claimed[rows & (claimed["method"] == method)], "claimed", method, of_what, name)
            for name, rows in of.items()
        }
        for method in dict.fromkeys(claimed["method"])
    ]


def _first(directions: pd.DataFrame, mean: Callable[..., Record]) -> list[Record]:
    """Shares of grafts whose direction comes first among the candidates."""
    first = directions.assign(claimed=directions["auroc"] >= FIRST)
    alone = first["kind"].isin([*ALONE])
    of = {"true": alone, "decoy": first["kind"] == "decoy"} | {
        model: (first["kind"] == NO_GRAFT) & (first["model"] == model)
        for model in dict.fromkeys(first["model"])
    }
    nothing = {"elsewhere": None, "silent": None}
    return [
        {"method": method, "of": "directions"}
        | nothing
        | {
            name: mean(first[rows & (first["method"] == method)], "claimed", method, name)
            for name, rows in of.items()
        }
        for method in dict.fromkeys(first["method"])
    ]
