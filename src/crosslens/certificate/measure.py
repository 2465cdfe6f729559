"""All that the methods say of the grafts of one seed, and of models without a graft."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from crosslens.certificate.cases import Design, cases, design
from crosslens.certificate.dictionaries import CASES, of_saes
from crosslens.certificate.grafts import FORMS, Attending, Graft, couples, direction, grafted, lost, make
from crosslens.certificate.methods import (
    STREAM,
    Estimate,
    Pointed,
    of_directions,
    of_places,
    read_places,
    state_of,
)
from crosslens.interventions.nodes import Place
from crosslens.interventions.runs import Read, Runs, read_cases
from crosslens.models.head import Head
from crosslens.models.load import LoadedModel
from crosslens.planted.scenes import LANGUAGES
from crosslens.stats.auroc import auroc
from crosslens.stats.resampling import stream

CERTIFIED = 1000
"""Seeds from here on are never used while developing: what is reported is of these."""
GRAFTED = "planted"
"""The model that gets grafts."""
NO_GRAFT = "none"
CHANCE = "chance"
"""A method that is told nothing: numbers at random."""
WITH_SAES = ("shared", "decoy")
"""Kinds of which SAEs are trained."""
TOGETHER = 12
"""Cases of one pass."""
CANDIDATES = 50
"""Directions, of which one is the graft's."""
CLASSES = {"near": ("last",), "far": ("word", "last")}
ESTIMATES = {
    "seed": "int64",
    **dict.fromkeys(("model", "kind", "method", "place"), "str"),
    **dict.fromkeys(("layer", "node"), "int64"),
    **dict.fromkeys(("positions", "language"), "str"),
    "fires": "bool",
    "site": "bool",
    **dict.fromkeys(("lost", "truth", "effect"), "float64"),
}
DIRECTIONS = {
    "seed": "int64",
    **dict.fromkeys(("model", "kind", "method"), "str"),
    "layer": "int64",
    **dict.fromkeys(("auroc", "cosine", "size", "truth"), "float64"),
}


def measure(
    models: dict[str, LoadedModel], seed: int, *, number: int, ig: bool, saes: bool, images: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of ESTIMATES and of DIRECTIONS.

    number: of cases. ig, saes: whether integrated gradients are computed, and SAEs trained. images: a folder for pictures.
    """
    estimates: list[dict[str, Any]] = []
    pointed: list[dict[str, Any]] = []
    of: dict[str, Design] = {form: design(form, seed) for form in CLASSES}
    loaded = models[GRAFTED]
    drawn = {form: cases(of[form], number, seed, images) for form in of}
    read = {form: read_cases(loaded, drawn[form], images) for form in of}
    learned = {form: read_cases(loaded, cases(of[form], CASES, seed, images), images) for form in of if saes}
    head = Head(loaded)
    plain = {form: Runs(loaded, head, read[form], images, read_places(loaded, False)) for form in of}
    for kind, form in FORMS.items():
        with torch.no_grad():
            graft = make(loaded, kind, of[form], plain[form], seed)
        truth = truths(loaded, graft, plain[form])
        keys = kind == "attention"
        with grafted(loaded, graft.parts):
            runs = Runs(loaded, head, read[form], images, read_places(loaded, keys))
            found = of_places(runs, CLASSES[form], keys=keys, ig=ig)
            estimates += rows_of(found, graft, truth, seed)
            layer = graft.site[0][1]
            written = _written(runs, plain[form], graft)
            more = learned.get(form, []) if kind in WITH_SAES else []
            pointed += [
                {"seed": seed, "model": GRAFTED, "kind": kind, "layer": layer, **row}
                for row in _told(loaded, runs, more, graft, layer, written, truth, images, seed)
            ]
        if kind == "shared":
            shared = graft
    # what the methods say where nothing was put in, of the same texts and the same candidates
    for name, own in models.items():
        runs = plain["near"]
        if own is not loaded:
            runs = Runs(
                own, Head(own), read_cases(own, drawn["near"], images), images, read_places(own, False)
            )
        without = shared._replace(kind=NO_GRAFT, parts=(), site=())
        estimates += rows_of(of_places(runs, CLASSES["near"], keys=False, ig=ig), without, {}, seed, name)
        layer = shared.site[0][1]
        more = learned.get("near", []) if name == GRAFTED else []
        pointed += [
            {"seed": seed, "model": name, "kind": NO_GRAFT, "layer": layer, **row}
            for row in _told(own, runs, more, without, layer, np.nan, {}, images, seed)
        ]
    return (
        pd.DataFrame(estimates)[[*ESTIMATES]].astype(ESTIMATES),
        pd.DataFrame(pointed)[[*DIRECTIONS]].astype(DIRECTIONS),
    )


def truths(loaded: LoadedModel, graft: Graft, plain: Runs) -> dict[tuple[str, int], float]:
    """Language and number of the part -> what the outcome loses without that part alone, nats, mean over the cases; -1: without
    all of them. By running the model with and without."""
    found = {}
    for language in LANGUAGES:
        for number in range(-1, len(graft.parts)):
            rest = [part for k, part in enumerate(graft.parts) if number >= 0 and k != number]
            found[language, number] = float(lost(loaded, graft.parts, plain, [language], rest).mean())
    return found


def rows_of(
    found: Iterator[Estimate],
    graft: Graft,
    truth: dict[tuple[str, int], float],
    seed: int,
    model: str = GRAFTED,
) -> Iterator[dict[str, Any]]:
    """Rows of ESTIMATES; of every place of a method also what chance says."""
    rng = stream(seed, "chance", model, graft.kind)
    sites = {(place, layer, graft.positions): k for k, (place, layer) in enumerate(graft.site)}
    sites |= {
        ("key", part.layer, "word"): k for k, part in enumerate(graft.parts) if isinstance(part, Attending)
    }
    for one in found:
        part = sites.get((one.place, one.layer, one.positions))
        if one.place == "key" and part is not None and one.node != graft.parts[part].pair:
            part = None
        about = one._asdict() | {
            "seed": seed,
            "model": model,
            "kind": graft.kind + (" (keys)" if one.place == "key" else ""),
            "fires": one.language in graft.languages,
            "site": part is not None,
            "truth": np.nan if part is None else truth[one.language, part],
            "effect": max((abs(truth[one.language, k]) for k in range(len(graft.parts))), default=np.nan),
        }
        yield about
        if one.method == "atp":
            yield about | {"method": CHANCE, "lost": float(rng.standard_normal())}


def _written(runs: Runs, plain: Runs, graft: Graft) -> float:
    """How much of its direction the first part adds to the stream, more in runs with a word of the set than in others."""
    layer = graft.site[0][1]
    change = (
        state_of(runs, layer, graft.positions) - state_of(plain, layer, graft.positions)
    ) @ graft.direction
    return float(np.mean([float(change[a] - change[b]) for a, b in couples(plain, graft.languages)]))


def _told(
    loaded: LoadedModel,
    runs: Runs,
    more: Sequence[Read],
    graft: Graft,
    layer: int,
    written: float,
    truth: dict[tuple[str, int], float],
    images: Path,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Of every method its direction among CANDIDATES, and its size beside the true one; more: cases on which SAEs are trained."""
    candidates = torch.stack([graft.direction, *_others(loaded, graft, seed)]).double().numpy()
    own = np.arange(CANDIDATES) == 0
    effect = float(np.mean([truth[language, -1] for language in graft.languages])) if truth else np.nan
    rng = stream(seed, "chance direction", graft.kind)
    places = graft.positions, graft.languages
    told = [*of_directions(loaded, runs, layer, *places, images, seed)]
    if more:
        batches = [more[first : first + TOGETHER] for first in range(0, len(more), TOGETHER)]
        parts = [Runs(loaded, Head(loaded), own, images, [Place(STREAM, layer)]) for own in batches]
        told += of_saes(parts, layer, *places, seed)
    for method, found, size in [*told, Pointed(CHANCE, rng.standard_normal(loaded.d_model), None)]:
        length = np.linalg.norm(found)
        cosine = candidates @ found / length if length else np.zeros(CANDIDATES)
        yield {
            "method": method,
            "auroc": auroc(np.abs(cosine), own),
            "cosine": float(cosine[0]),
            "size": np.nan if size is None else size,
            "truth": written if method == "difference" or method.startswith("sae_") else effect,
        }


def _others(loaded: LoadedModel, graft: Graft, seed: int) -> Iterator[torch.Tensor]:
    """CANDIDATES - 1 directions made as a graft's, in no language of the same two words."""
    rng, form, found = stream(seed, "other directions"), FORMS.get(graft.kind, "near"), 0
    own = design(form, seed).forms
    while found < CANDIDATES - 1:
        other = design(form, int(rng.integers(2**31)))
        if all({*other.forms[language]} != {*own[language]} for language in graft.languages):
            found += 1
            yield direction(loaded, other, graft.languages, rng)
