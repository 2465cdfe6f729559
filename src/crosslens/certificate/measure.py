"""All that the methods say of the grafts of one seed, and of models without a graft."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from crosslens.certificate.cases import cases, design, of_one_kind
from crosslens.certificate.dictionaries import carrier, known, of_sae, texts_of, trained
from crosslens.certificate.grafts import (
    ALONE,
    FORMS,
    Attending,
    Graft,
    couples,
    direction,
    grafted,
    lost,
    make,
)
from crosslens.certificate.languages import Call, of_category, of_joint, of_nothing, of_two, paired
from crosslens.certificate.methods import (
    FEATURE,
    STREAM,
    Estimate,
    Pointed,
    of_directions,
    of_features,
    of_places,
    read_places,
    state_of,
)
from crosslens.interventions.nodes import Place
from crosslens.interventions.runs import Read, Runs, read_cases
from crosslens.models.head import Head
from crosslens.models.load import LoadedModel
from crosslens.planted.scenes import LANGUAGES
from crosslens.sae.settings import ARCHITECTURES
from crosslens.stats.auroc import auroc
from crosslens.stats.resampling import stream

CERTIFIED = 1000
"""Seeds from here on are never used while developing: what is reported is of these."""
FRESH = 2000
"""Those from here on nobody has looked at; a change of what is asked moves it on."""
GRAFTED = "planted"
"""The model that gets grafts."""
NO_GRAFT = "none"
CHANCE = "chance"
"""A method that is told nothing: numbers at random."""
SUFFIX = {"key": " (keys)", FEATURE: " (features)"}
"""Of the kind of graft, where a place is no half of a block."""
NOTHING = "nothing"
"""Where what a method looks for was undone: pairs shuffled, languages exchanged, an SAE turned, categories drawn."""
WITH_SAES = ALONE
"""Kinds of graft of which SAEs are trained, all near; and of the model that gets none."""
WITH_ALL = ("shared",)
"""And those of every architecture; of the others COMPARED."""
COMPARED = ("topk", "frozen_decoder")
"""What was learned, and a dictionary that was drawn: the floor."""
KNOWN = "known"
"""The dictionary that is told what the graft is."""
CASES = 24
"""Pictures whose texts SAEs learn, and as many others of which they tell."""
APART = (10**6, 2 * 10**6)
"""Added to the seed of each language's SAE."""
FIRST = {"learned": 1000, "told": 2000}
"""Number of the first picture."""
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
CALLS = {
    "seed": "int64",
    **dict.fromkeys(("model", "kind", "method", "sae"), "str"),
    **dict.fromkeys(("score", "claimed"), "float64"),
}


class Subject(NamedTuple):
    """A model of one seed, with a graft or without, and how it reads what is asked."""

    loaded: LoadedModel
    name: str
    runs: Runs
    """Of the cases that are told of."""
    learned: list[Runs]
    """Of other cases: the tuned lens and SAEs are of these, and choose."""
    told: list[Runs]
    """Of yet others, one run a language: what SAEs are asked; none without SAEs."""


class Asked:
    """What all methods say of one seed, row by row."""

    def __init__(self, seed: int, *, number: int, ig: bool, saes: bool, images: Path):
        """number: of cases. ig, saes: whether integrated gradients are computed, and SAEs trained. images: a folder for
        pictures."""
        self.seed, self.number, self.ig, self.images = seed, number, ig, images
        self.design = {form: design(form, seed) for form in CLASSES}
        self.cases = {
            form: {
                name: cases(of, count, seed, images, first)
                for name, count, first in (
                    ("runs", number, 0),
                    ("learned", CASES if saes and form == "near" else TOGETHER, FIRST["learned"]),
                    ("told", CASES if saes and form == "near" else 0, FIRST["told"]),
                )
            }
            for form, of in self.design.items()
        }
        for of in self.cases.values():
            of["told"] = of_one_kind(of["told"])
        self.estimates: list[dict[str, Any]] = []
        self.directions: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []

    def read(self, loaded: LoadedModel, form: str) -> dict[str, list[Read]]:
        """The cases as tokens."""
        return {name: read_cases(loaded, of, self.images) for name, of in self.cases[form].items()}

    def runs(self, loaded: LoadedModel, read: Sequence[Read], keys: bool) -> Runs:
        """Of the cases that are told of."""
        return Runs(loaded, Head(loaded), read, self.images, read_places(loaded, keys))

    def others(self, loaded: LoadedModel, read: Sequence[Read]) -> list[Runs]:
        """Of other cases, whose residual streams are kept."""
        places = [Place(STREAM, layer) for layer in range(loaded.n_layers)]
        parts = [read[first : first + TOGETHER] for first in range(0, len(read), TOGETHER)]
        return [Runs(loaded, Head(loaded), own, self.images, places) for own in parts]

    def ask(
        self,
        of: Subject,
        graft: Graft,
        truth: dict[tuple[str, int], float],
        form: str,
        layer: int,
        written: float,
    ) -> None:
        """All methods, of a model that has the graft, or has none of that place and direction.

        written: how much of its direction the graft adds, NaN of none.
        """
        keys = graft.kind == "attention"
        about = {"seed": self.seed, "model": of.name, "kind": graft.kind}
        found = of_places(of.runs, CLASSES[form], keys=keys, ig=self.ig)
        self.estimates += rows_of(found, graft, truth, self.seed, of.name)
        where = graft.positions, graft.languages
        pointed = [*of_directions(of.loaded, of.runs, of.learned, layer, *where, self.images, self.seed)]
        if of.told:
            pointed += self._of_saes(of, graft, truth, form, layer)
        effect = float(np.mean([truth[name, -1] for name in graft.languages])) if truth else np.nan
        self.directions += [
            about | {"layer": layer, **row}
            for row in told_of(of.loaded, pointed, graft, written, effect, self.seed)
        ]

    def _of_saes(
        self, of: Subject, graft: Graft, truth: dict[tuple[str, int], float], form: str, layer: int
    ) -> Iterator[Pointed]:
        """Directions of SAEs; what else they tell is noted."""
        learned, told = (texts_of(parts, layer, graft.positions) for parts in (of.learned, of.told))
        every = ARCHITECTURES if graft.kind in WITH_ALL else COMPARED
        saes = {name: trained(learned, name, self.seed) for name in every}
        here = learned.where(graft.languages)
        for name, sae in saes.items():
            yield of_sae(name, sae, here, told.where(graft.languages))
        calls: list[tuple[str, Call]] = []
        asked = graft.direction, graft.languages, self.seed
        for name in (KNOWN, *COMPARED):
            sae = saes[name] if name in saes else known(graft.direction, learned, graft.languages)
            categories = name, sae, paired(learned), told, graft.languages, self.seed
            call, feature = of_category(*categories)
            if (graft.kind, name) != (NO_GRAFT, KNOWN):
                calls += [(graft.kind, one) for one in (*of_joint(name, sae, told, *asked), call)]
            if graft.kind == NO_GRAFT:
                calls += [(NOTHING, one) for one in of_nothing(name, sae, told, self.seed)]
                calls += [(NOTHING, of_category(*categories, nothing=True)[0])]
            if name == KNOWN:
                continue
            if feature is not None:
                yield Pointed(f"specialist_{name}", sae.W_dec[feature].double().numpy(), None)
            # as a study's, they begin from other weights: drawn decoders must not match themselves
            own = {
                language: trained(learned.rows(learned.language == language), name, self.seed + offset)
                for language, offset in zip(LANGUAGES, APART, strict=True)
            }
            calls += [(graft.kind, of_two(name, own, told, *asked))]
            if graft.kind == NO_GRAFT:
                calls += [(NOTHING, of_two(name, own, told, *asked, nothing=True))]
        about = {"seed": self.seed, "model": of.name}
        self.calls += [about | {"kind": kind, **call._asdict()} for kind, call in calls]
        sae = saes["topk"]
        feature = carrier(sae, told.rows(np.isin(told.language, graft.languages)), graft.direction)
        chosen = self.cases[form]["learned"][: self.number]
        found = of_features(
            of.loaded, sae, layer, feature, chosen, self.cases[form]["runs"], self.images, self.seed
        )
        self.estimates += rows_of(found, graft, truth, self.seed, of.name, feature)


def measure(
    models: dict[str, LoadedModel], seed: int, *, number: int, ig: bool, saes: bool, images: Path
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Rows of ESTIMATES, DIRECTIONS and CALLS; models: GRAFTED and those that get no graft; the rest as of Asked."""
    asked = Asked(seed, number=number, ig=ig, saes=saes, images=images)
    loaded = models[GRAFTED]
    read = {form: asked.read(loaded, form) for form in CLASSES}
    plain = {form: asked.runs(loaded, of["runs"], False) for form, of in read.items()}

    def subject(
        own: LoadedModel,
        name: str,
        form: str,
        *,
        plain: Runs | None = None,
        keys: bool = False,
        with_saes: bool,
    ) -> Subject:
        of = read[form] if own is loaded else asked.read(own, form)
        runs = plain or asked.runs(own, of["runs"], keys)
        told = of["told"] if with_saes else []
        return Subject(own, name, runs, asked.others(own, of["learned"]), asked.others(own, told))

    for kind, form in FORMS.items():
        with torch.no_grad():
            graft = make(loaded, kind, asked.design[form], plain[form], seed)
        if graft is None:
            continue
        truth = truths(loaded, graft, plain[form])
        with grafted(loaded, graft.parts):
            of = subject(loaded, GRAFTED, form, keys=kind == "attention", with_saes=kind in WITH_SAES)
            asked.ask(of, graft, truth, form, graft.site[0][1], _written(of.runs, plain[form], graft))
        if kind == "shared":
            shared = graft
    # what the methods say where nothing was put in, of the same texts and the same candidates
    without, layer = shared._replace(kind=NO_GRAFT, parts=(), site=()), shared.site[0][1]
    for name, own in models.items():
        own_runs = plain["near"] if own is loaded else None
        of = subject(own, name, "near", plain=own_runs, with_saes=own is loaded)
        asked.ask(of, without, {}, "near", layer, np.nan)
    return tuple(
        pd.DataFrame(rows, columns=[*columns]).astype(columns)
        for rows, columns in (
            (asked.estimates, ESTIMATES),
            (asked.directions, DIRECTIONS),
            (asked.calls, CALLS),
        )
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
    feature: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Rows of ESTIMATES; of every place of a method also what chance says. feature: the graft's."""
    rng = stream(seed, "chance", model, graft.kind, *([] if feature is None else [FEATURE]))
    sites: dict[tuple[str, int, int, str], int] = {}
    for k, ((place, layer), part) in enumerate(zip(graft.site, graft.parts, strict=True)):
        sites[place, layer, 0, graft.positions] = k
        if isinstance(part, Attending):
            sites["key", part.layer, part.pair, "word"] = k
        if k == 0 and feature is not None:
            sites[FEATURE, layer, feature, graft.positions] = k
    for one in found:
        part = sites.get((one.place, one.layer, one.node, one.positions))
        about = one._asdict() | {
            "seed": seed,
            "model": model,
            "kind": graft.kind + SUFFIX.get(one.place, ""),
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


def told_of(
    loaded: LoadedModel,
    pointed: Sequence[Pointed],
    graft: Graft,
    written: float,
    effect: float,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Of every method, and of chance, its direction among CANDIDATES, and its size beside the true one."""
    candidates = torch.stack([graft.direction, *_others(loaded, graft, seed)]).double().numpy()
    own = np.arange(CANDIDATES) == 0
    rng = stream(seed, "chance direction", graft.kind)
    for method, found, size in [*pointed, Pointed(CHANCE, rng.standard_normal(loaded.d_model), None)]:
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
