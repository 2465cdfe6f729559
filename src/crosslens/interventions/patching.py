"""Activation patching: how much of what two runs differ in goes through one place (methods 9)."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from crosslens.interventions.attribution import STEPS, Attribution
from crosslens.interventions.cases import (
    Words,
    caption_swaps,
    category_swaps,
    drawn,
    image_swaps,
    in_latin,
    language_swaps,
    sentences,
)
from crosslens.interventions.circuits import (
    IN_CIRCUITS,
    Node,
    curves,
    kept_outcome,
    nodes_of,
    numbers_of,
    ranked,
)
from crosslens.interventions.nodes import KINDS, OF_HEADS, OF_TOWER, Place, places_of, slots
from crosslens.interventions.outcomes import CLASSES, Case, Exchange, Laid, check_cases
from crosslens.interventions.recovery import COLUMNS, COMPONENTS, METHODS, PICTURED, maps, recoveries, told
from crosslens.interventions.runs import OTHER, Donation, Read, Runs, donors, read_cases, together
from crosslens.memory import memory_kept
from crosslens.models.head import Head
from crosslens.models.load import LoadedModel, load_model
from crosslens.progress import Progress
from crosslens.stats.resampling import stream
from crosslens.tables.documents import read_table, write_json, write_table

log = logging.getLogger(__name__)

CONTROLLED = ("image", "word", "last")
"""Classes of which controls and exchanges between languages are made."""
GIVEN = Place("resid_pre", 0)
"""What the decoder is given, at a picture's tokens all that the projector makes of it."""
EVERYWHERE = "all"
"""The class that leaves nothing of the own run before what is asked: patching it is a control."""


def patch_activations(
    *,
    model: dict[str, Any],
    images: Path | None,
    datasets: dict[str, Path],
    language_pairs: Sequence[tuple[str, str]],
    words: Words | None,
    letters: Mapping[str, Mapping[str, str]],
    pairs: int,
    attributed: int,
    bound: float,
    batch: int,
    heads: bool,
    bootstraps: int,
    seed: int,
    out: Path,
) -> None:
    """Write to the folder `out` `effects.parquet` (kind patching_effects, a row a patch), `maps.parquet` (patching_maps, a row
    a place: the mean recovery) and `patching.json` (kind patching).

    datasets: by language. words: of each language a text of a woman and one of a man, for pictures; None: sentences in two
    genders, whose gendered words are marked. letters: of languages of another script each letter in Latin ones, for a control
    of exchanges between languages. pairs: cases of each swap, at most, drawn by `seed`; of the first `attributed`
    of them attributions are computed too. bound: nats; pairs whose outcomes differ by less are left out of recoveries.
    batch: texts of one forward pass. heads: whether single heads, their queries and keys are patched as well.
    model: keyword arguments of load_model. Raises InputError where no two runs can be compared, and RuntimeError
    where exchanging states between equal runs changes an outcome, or all states between others none.
    """
    loaded = load_model(**model)
    frames = {language: read_table(path, "dataset") for language, path in datasets.items()}
    swaps = cases_of(frames, language_pairs, words, seed)
    check_cases([case for cases in swaps.values() for case in cases], "case")
    patcher = Patcher(loaded, images, letters=letters, heads=heads, seed=seed)
    parts, left_out = [], {}
    with memory_kept():
        for swap, cases in swaps.items():
            chosen = drawn(cases, pairs, seed)
            table, unequal = patcher.effects(chosen, attributed, batch)
            parts.append(table)
            left_out[swap] = {"cases": len(cases), "drawn": len(chosen), "first_token": unequal}
    table = pd.concat(parts, ignore_index=True)
    check_controls(table, patcher.identity)
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "effects.parquet", "patching_effects", table)
    found = maps(recoveries(table, bound), bootstraps=bootstraps, seed=seed)
    write_table(out / "maps.parquet", "patching_maps", found)
    document = {
        "languages": list(datasets),
        "split": "test",
        "bound": float(bound),
        "swaps": left_out,
        "attributed": attributed,
        "steps": STEPS,
        "bootstraps": bootstraps,
        "seed": seed,
        "layers": loaded.n_layers,
        "identity": patcher.identity,
        **told(table, bound=bound, bootstraps=bootstraps, seed=seed),
        "circuits": curves(patcher.kept, bound=bound, bootstraps=bootstraps, seed=seed),
    }
    write_json(out / "patching.json", "patching", document)
    log.info("%d patches", len(table))


def cases_of(
    frames: Mapping[str, pd.DataFrame],
    language_pairs: Sequence[tuple[str, str]],
    words: Words | None,
    seed: int,
) -> dict[str, list[Case]]:
    """Swap -> its cases."""
    if words is None:
        return {"gender": sentences(frames)}
    return {
        "image": image_swaps(frames, words, seed),
        "category": category_swaps(frames, words, seed),
        "caption": caption_swaps(frames, words),
        "language": language_swaps(frames, words, language_pairs),
    }


def _made(place: Place, positions: str, whole: bool, explain: bool, swap: str) -> bool:
    """Whether a patch is made: controls and exchanges between languages of the residual stream, heads where controls are, what
    the decoder is given of a picture, and everywhere at once of the residual stream where it begins, of what circuits are
    made of where they are ranked, and of each half of a block where pictures are swapped."""
    if place == GIVEN:
        return whole and positions == "image"
    if positions == EVERYWHERE:
        component = place.kind in COMPONENTS and swap in PICTURED
        return place == Place("resid_post", 0) or component or (explain and place.kind in IN_CIRCUITS)
    if place.kind in OF_HEADS:
        return whole and positions in CONTROLLED
    return whole or place.kind == "resid_post"


class Patcher:
    """A model with what every batch needs of it."""

    def __init__(
        self,
        loaded: LoadedModel,
        images: Path | None,
        *,
        heads: bool,
        seed: int,
        letters: Mapping[str, Mapping[str, str]] | None = None,
    ):
        self.loaded, self.images, self.head, self.letters = loaded, images, Head(loaded), letters or {}
        kinds = KINDS if heads else KINDS[:3]
        self.places = [
            *([] if loaded.adapter.projector is None else [GIVEN]),
            *places_of(loaded, kinds, range(loaded.n_layers)),
        ]
        self.tower = [
            Place(kind, layer) for layer in range(len(loaded.adapter.tower_halves)) for kind in OF_TOWER
        ]
        self.seed, self.identity = seed, 0.0
        self.kept: list[pd.DataFrame] = []

    def effects(self, cases: Sequence[Case], attributed: int, batch: int) -> tuple[pd.DataFrame, int]:
        """Rows of COLUMNS of all patches, and how many cases were left out because their forms differ in the first token."""
        whole = read_cases(self.loaded, cases, self.images)
        parts, progress = [], Progress("patching", len(whole), "pairs of runs")
        self.rankings: dict[tuple[str, str], list[Node]] = {}
        for first, last, explain in ((0, attributed, True), (attributed, len(whole), False)):
            if not explain and parts:
                self.rankings = rankings(pd.concat(parts, ignore_index=True), self.seed)
            # the random sample by itself
            for rows in together(whole, range(first, min(last, len(whole))), batch):
                parts.append(self._batch([whole[k] for k in rows], rows, explain))
                progress.update(len(rows))
        parts += self._romanised([case for case, _ in whole], batch)
        table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*COLUMNS])
        return table.astype(COLUMNS), len(cases) - len(whole)

    @torch.no_grad()
    def _batch(self, cases: Sequence[Read], numbers: Sequence[int], explain: bool) -> pd.DataFrame:
        runs = Runs(self.loaded, self.head, cases, self.images, self.places)
        laid, about, donations = runs.laid, runs.table(numbers), donors(runs)
        self._check_identity(runs)
        attribution = None
        if explain:
            named = {name: laid.exchange(name, donations[OTHER].of) for name in (*CONTROLLED, EVERYWHERE)}
            exchanges = {name: exchange for name, exchange in named.items() if exchange is not None}
            attribution = Attribution(runs, exchanges)
        rng = stream(self.seed, "random directions", *(str(number) for number in numbers))
        parts = []
        for donation, (source, givers) in donations.items():
            whole, random = donation == OTHER, donation.name == "random"
            if donation == Donation("same"):
                continue  # the run itself
            for name in CLASSES if whole else CONTROLLED:
                exchange = laid.exchange(name, givers, cyclic=donation.name.endswith("_elsewhere"))
                if random:
                    exchange, base = laid.both(name, givers, donations[Donation("same", donation.away)].of)
                if exchange is None:
                    continue
                for place in self.places:
                    if not _made(place, name, whole, explain, cases[0][0].swap):
                        continue
                    value = runs.states[place]
                    asked = name in CONTROLLED or (name == EVERYWHERE and place.kind in IN_CIRCUITS)
                    explained: dict[str, Tensor | None] = {}
                    if attribution and whole and asked and place != GIVEN:
                        explained = attribution.of(place, name, integrate=name in CONTROLLED)
                    for node, channels in enumerate(slots(self.loaded, place, value.shape[2])):
                        given = exchange.donated(value)[:, channels]
                        if random:
                            given = self._random(exchange, laid, base.donated(value), given, rng)
                        m = runs.patched(place, exchange, channels, given)
                        said = {
                            method: of[:, node].cpu().numpy()
                            for method, of in explained.items()
                            if of is not None
                        }
                        about_donor = {"source": source, "donor": donation.name, "positions": name}
                        parts.append(_rows(about, exchange, place, node, m, about_donor | said))
        if cases[0][0].swap in PICTURED:
            parts += self._inside(runs, about)
        if self.rankings and (exchange := laid.exchange(EVERYWHERE, donations[OTHER].of)):
            self.kept.append(self._kept(runs, exchange, about))
        return pd.concat(parts, ignore_index=True)[[*COLUMNS]]

    def _inside(self, runs: Runs, about: pd.DataFrame) -> list[pd.DataFrame]:
        """Rows of COLUMNS of the image encoder; none of pictures of unlike sizes, in whose places there is nothing alike."""
        if len({len(run.at.get("image", [])) for run in runs.laid.runs}) > 1:
            return []
        source, givers = donors(runs)[OTHER]
        exchange = runs.laid.exchange("image", givers)
        more = {"source": source, "donor": OTHER.name, "positions": "image"}
        return [
            _rows(about, exchange, place, 0, runs.swapped(place, exchange), more)
            for place in (self.tower if exchange else ())
        ]

    def _romanised(self, cases: Sequence[Case], batch: int) -> list[pd.DataFrame]:
        """Rows of COLUMNS of exchanges between languages, all texts in Latin letters; cases: those patched as they are."""
        number = {case.group: k for k, case in enumerate(cases)}
        altered = [in_latin(case, self.letters) for case in cases]
        latin = read_cases(self.loaded, [case for case in altered if case is not None], self.images)
        return [
            part
            for rows in together(latin, range(len(latin)), batch)
            for part in self._in_latin([latin[k] for k in rows], [number[latin[k][0].group] for k in rows])
        ]

    @torch.no_grad()
    def _in_latin(self, cases: Sequence[Read], numbers: Sequence[int]) -> Iterator[pd.DataFrame]:
        places = [place for place in self.places if place.kind == "resid_post"]
        runs = Runs(self.loaded, self.head, cases, self.images, places)
        about = runs.table(numbers)
        for donation, (source, givers) in donors(runs).items():
            if donation.name not in ("other", "same") or not donation.away:
                continue
            about_donor = {"source": source, "donor": f"{donation.name}_romanised"}
            for name in CONTROLLED:
                exchange = runs.laid.exchange(name, givers)
                for place in places if exchange else ():
                    m = runs.patched(place, exchange, slice(None), exchange.donated(runs.states[place]))
                    yield _rows(about, exchange, place, 0, m, about_donor | {"positions": name})

    def _kept(self, runs: Runs, exchange: Exchange, about: pd.DataFrame) -> pd.DataFrame:
        """Outcomes with the values of the other run in all heads and MLPs but a few, by each ranking of a language."""
        total, none = len(nodes_of(self.loaded, runs.states)), kept_outcome(runs, exchange, [])
        parts = []
        for (language, by), nodes in self.rankings.items():
            own = exchange.took.numpy() & (about["language"] == language).to_numpy()
            if not own.any():
                continue
            for count in dict.fromkeys(numbers_of(total)):
                m = none if not count else kept_outcome(runs, exchange, nodes[:count])
                columns = {"by": by, "nodes": count, "total": total, "outcome_kept": m, "outcome_none": none}
                parts.append(about.assign(**columns)[own])
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def _check_identity(self, runs: Runs) -> None:
        """Every run's own states in their place, at the first and the last place: what that changes, which must be nothing."""
        exchange = runs.laid.exchange(EVERYWHERE, range(len(runs.laid.runs)))
        for place in (self.places[0], self.places[-1]):
            m = runs.patched(place, exchange, slice(None), exchange.own(runs.states[place]))
            self.identity = max(self.identity, float((m - runs.outcome).abs().max()))

    @staticmethod
    def _random(
        exchange: Exchange, laid: Laid, base: Tensor, given: Tensor, rng: np.random.Generator
    ) -> Tensor:
        """(n, d): `base` and a step in a random direction, as long as that to `given`; the same in all texts of a run."""
        padding = torch.tensor(laid.padding, device=base.device)[exchange.rows]
        at = torch.stack([laid.run_of_text[exchange.rows], exchange.positions - padding], 1)
        drawn, which = np.unique(at.cpu().numpy(), axis=0, return_inverse=True)
        directions = rng.standard_normal((len(drawn), base.shape[1]))[which.ravel()]
        direction = torch.from_numpy(directions).to(base.device, torch.float32)
        length = (given - base).float().norm(dim=1, keepdim=True)
        return base.float() + length * direction / direction.norm(dim=1, keepdim=True)


def _rows(
    about: pd.DataFrame, exchange: Exchange, place: Place, node: int, m: Tensor, more: Mapping[str, Any]
) -> pd.DataFrame:
    """Rows of COLUMNS of one patch, of the runs that take part; m: (S) the outcome with it; more: what else is the same in it,
    and what METHODS say of it (S)."""
    of_place = {"kind": place.kind, "layer": place.layer, "node": node, "outcome_patched": m.cpu().numpy()}
    return about.assign(**(dict.fromkeys(METHODS, np.nan) | of_place | more))[exchange.took.numpy()]


def rankings(effects: pd.DataFrame, seed: int) -> dict[tuple[str, str], list[Node]]:
    """Language and what ranks -> heads and MLPs in that order, by patches at all positions of the cases with attributions;
    `random` by chance."""
    made = effects[(effects["positions"] == EVERYWHERE) & effects["kind"].isin(IN_CIRCUITS)]
    made = made[(made["donor"] == "other") & (made["source"] == made["language"])]
    found = {}
    for language, own in made.groupby("language", sort=False):
        for by in ("effect", *METHODS):
            if by == "effect" or own[by].notna().all():
                found[str(language), by] = ranked(own, by)
        nodes = found[str(language), "effect"]
        order = stream(seed, "random circuit", str(language)).permutation(len(nodes))
        found[str(language), "random"] = [nodes[k] for k in order]
    return found


def check_controls(table: pd.DataFrame, identity: float) -> None:
    """RuntimeError unless a run's own states changed nothing, and those of another run something."""
    if identity != 0:
        raise RuntimeError(
            f"patching a run's own states moved its outcome by {identity}: the forward pass does not repeat itself, or the "
            "patch is applied wrongly"
        )
    whole = table[table["positions"] == EVERYWHERE]
    if len(whole) and not (whole["outcome_patched"] != whole["outcome"]).any():
        raise RuntimeError(
            "patching all states of another run moved no outcome: the patch does not reach the model"
        )
