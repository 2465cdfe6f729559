"""Patching the features of an SAE: does what two runs differ in go through features, or through what the SAE leaves out?

At a site the states of two runs differ by x′ − x = Σ_f (z′_f − z_f) d_f + error (methods 9): each feature, all of them, and the
error node are patched by themselves, x ← x + that part. Attributions tell each part without the patch; integrated gradients
of all features and of the error add up to the effect of the whole state, whatever the SAE.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from crosslens.interventions.attribution import STEPS, between, gradients
from crosslens.interventions.cases import Words, drawn
from crosslens.interventions.edits import check_writes
from crosslens.interventions.nodes import Place
from crosslens.interventions.outcomes import Case, Exchange, check_cases
from crosslens.interventions.patching import cases_of
from crosslens.interventions.recovery import by_method, means, recoveries, score
from crosslens.interventions.relp import knows, relevance
from crosslens.interventions.runs import OTHER, Read, Runs, donors, read_cases, together
from crosslens.interventions.subject import model_and_sae
from crosslens.memory import memory_kept
from crosslens.models.head import Head
from crosslens.models.load import LoadedModel
from crosslens.models.sites import parse_site
from crosslens.progress import Progress
from crosslens.sae.io import sae_digest
from crosslens.sae.model import SAE
from crosslens.stats.resampling import stream
from crosslens.tables.documents import read_table, write_json, write_table

log = logging.getLogger(__name__)

METHODS = ("atp", "ig", "relp")
LARGEST, RANDOM = "largest", "random"
WHOLES = ("features", "error", "site")
"""Parts of which there is one: all features, what they leave out, and both."""
COLUMNS = {
    **dict.fromkeys(("swap", "group"), "str"),
    "case": "int64",
    **dict.fromkeys(("language", "variant", "direction", "positions", "part", "chosen"), "str"),
    "feature": "int64",
    **dict.fromkeys(("outcome", "outcome_other", "outcome_patched", *METHODS), "float64"),
}


def patch_features(
    *,
    model: dict[str, Any],
    images: Path | None,
    datasets: dict[str, Path],
    sae: Path,
    site: str,
    roles: Sequence[str],
    language_pairs: Sequence[tuple[str, str]],
    words: Words | None,
    pairs: int,
    features: int,
    bound: float,
    batch: int,
    bootstraps: int,
    seed: int,
    out: Path,
) -> None:
    """Write to the folder `out` `effects.parquet` (kind feature_patches, a row a patch) and `features.json` (feature_patching).

    Runs, swaps, `words`, `bound` and the rest as of `patch_activations`, by states of the run of the case that differs. Half of
    the pairs choose `features` features of each swap and class of positions, by integrated gradients; these, and as many
    drawn from all others that differ there, are patched in the other half, of which everything is told. roles: of the
    tokens that the SAE has learned, without which pictures' tokens are left out. Raises InputError where no two runs can be
    compared, or SAE, site or model do not belong together, and RuntimeError where adding nothing changes an outcome.
    """
    loaded, autoencoder = model_and_sae(model, sae, site)
    check_writes(autoencoder)
    frames = {language: read_table(path, "dataset") for language, path in datasets.items()}
    swaps = cases_of(frames, language_pairs, words, seed)
    check_cases([case for cases in swaps.values() for case in cases], "case")
    patcher = FeaturePatcher(
        loaded, images, autoencoder.to(loaded.device), site, pictures="image" in roles, seed=seed
    )
    parts, counted = [], {}
    with memory_kept():
        for swap, cases in swaps.items():
            chosen = drawn(cases, pairs, seed)
            table, halves = patcher.effects(chosen, features, batch)
            parts.append(table)
            counted[swap] = {"cases": len(cases), "drawn": len(chosen), **halves}
    table = pd.concat(parts, ignore_index=True)
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "effects.parquet", "feature_patches", table)
    document = {
        "site": site,
        "sae": sae_digest(sae),
        "languages": list(datasets),
        "split": "test",
        "bound": float(bound),
        "features": features,
        "steps": STEPS,
        "bootstraps": bootstraps,
        "seed": seed,
        "identity": patcher.identity,
        "swaps": counted,
        **told(table, bound=bound, bootstraps=bootstraps, seed=seed),
    }
    write_json(out / "features.json", "feature_patching", document)
    log.info("%d patches", len(table))


class Parts(NamedTuple):
    """What the states that are patched in (n, d) differ by from those that are there."""

    codes: Tensor
    """(n, F) z′ − z."""
    error: Tensor
    """(n, d) what the features do not write of x′ − x."""


def parts_of(sae: SAE, own: Tensor, given: Tensor) -> Parts:
    """own, given: (n, d) float32."""
    codes = sae.encode_dense(given) - sae.encode_dense(own)
    return Parts(codes, given - own - sae.write(codes, _all(sae), own))


def _all(sae: SAE) -> Tensor:
    return torch.arange(sae.d_sae, device=sae.W_dec.device)


class FeaturePatcher:
    """A model, and the SAE of one of its sites."""

    def __init__(
        self, loaded: LoadedModel, images: Path | None, sae: SAE, site: str, *, pictures: bool, seed: int
    ):
        """pictures: whether the positions of pictures are patched too."""
        self.loaded, self.images, self.sae, self.head = loaded, images, sae, Head(loaded)
        point = parse_site(site)
        self.place = Place(point.kind, point.layer)
        self.classes = (*(["image"] if pictures else []), "word", "last")
        self.seed, self.identity = seed, 0.0

    def effects(self, cases: Sequence[Case], count: int, batch: int) -> tuple[pd.DataFrame, dict[str, int]]:
        """Rows of COLUMNS of the patches, and of how many cases features were chosen, and patched."""
        whole = read_cases(self.loaded, cases, self.images)
        half = len(whole) // 2
        chosen = self._chosen(whole, range(half), count, batch)
        progress = Progress("patched features", len(whole) - half, "pairs of runs")
        parts = []
        for rows in together(whole, range(half, len(whole)), batch):
            parts += self._patched([whole[k] for k in rows], rows, chosen)
            progress.update(len(rows))
        table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*COLUMNS])
        counted = {"first_token": len(cases) - len(whole), "chosen_on": half, "told_of": len(whole) - half}
        return table[[*COLUMNS]].astype(COLUMNS), counted

    def _runs(self, cases: Sequence[Read]) -> tuple[Runs, dict[str, Exchange]]:
        """These runs, and the exchanges of each class of positions in which any takes part."""
        runs = Runs(self.loaded, self.head, cases, self.images, [self.place])
        of = {name: runs.laid.exchange(name, donors(runs)[OTHER].of) for name in self.classes}
        return runs, {name: exchange for name, exchange in of.items() if exchange is not None}

    def _states(self, runs: Runs, exchange: Exchange) -> tuple[Tensor, Tensor]:
        """(n, d) float32, where the SAE is: what is there, and what is patched in."""
        value = runs.states[self.place]
        return tuple(
            of.float().to(self.sae.W_dec.device) for of in (exchange.own(value), exchange.donated(value))
        )

    @torch.no_grad()
    def _chosen(
        self, whole: Sequence[Read], numbers: range, count: int, batch: int
    ) -> dict[str, dict[int, str]]:
        """Class of positions -> feature -> how it was chosen: the `count` of the largest mean integrated gradient towards the
        other run, and as many of all others whose codes differ."""
        total: dict[str, np.ndarray] = {}
        for rows in together(whole, numbers, batch):
            runs, exchanges = self._runs([whole[k] for k in rows])
            towards = (runs.table(rows)["outcome_other"] - runs.outcome.cpu().numpy()).to_numpy()
            for name, exchange in exchanges.items():
                own, given = self._states(runs, exchange)
                parts = parts_of(self.sae, own, given)
                found = self._by_run(
                    runs, exchange, parts.codes * self.sae.felt(self._between(runs, exchange), own)
                )
                differs = (parts.codes != 0).any(dim=0).cpu().numpy()
                of = np.stack([np.sign(towards) @ found.cpu().numpy(), differs])
                total[name] = total.get(name, 0) + of
        return {name: self._drawn(name, *of, count) for name, of in total.items()}

    def _drawn(self, name: str, size: np.ndarray, differs: np.ndarray, count: int) -> dict[int, str]:
        order = np.argsort(-np.abs(size), kind="stable")
        largest = [int(f) for f in order[:count] if size[f] != 0]
        others = np.setdiff1d(np.flatnonzero(differs), largest)
        rng = stream(self.seed, "patched features", str(self.place), name)
        random = rng.permutation(others)[: len(largest)].tolist()
        return dict.fromkeys(largest, LARGEST) | dict.fromkeys(random, RANDOM)

    def _between(self, runs: Runs, exchange: Exchange) -> Tensor:
        return between(runs, self.place, exchange).to(self.sae.W_dec.device)

    @staticmethod
    def _by_run(runs: Runs, exchange: Exchange, values: Tensor) -> Tensor:
        """(S, …) float64 sums over a run's positions of (n, …)."""
        of_texts = values.new_zeros(len(runs.laid.batch.role), *values.shape[1:], dtype=torch.float64)
        return runs.laid.by_run(of_texts.index_add(0, exchange.rows.to(values.device), values.double()))

    @torch.no_grad()
    def _patched(
        self, cases: Sequence[Read], numbers: Sequence[int], chosen: Mapping[str, Mapping[int, str]]
    ) -> Iterator[pd.DataFrame]:
        """Rows of COLUMNS, part by part."""
        runs, exchanges = self._runs(cases)
        about, slopes = runs.table(numbers), self._slopes(runs)
        for name, exchange in exchanges.items():
            own, given = self._states(runs, exchange)
            codes, error = parts_of(self.sae, own, given)
            at = {
                method: (exchange.own(of) if of is not None else self._between(runs, exchange))
                .float()
                .to(own)
                for method, of in slopes.items()
            }
            told = {
                method: self._by_run(runs, exchange, codes * self.sae.felt(of, own))
                for method, of in at.items()
            }
            left = {method: self._by_run(runs, exchange, (error * of).sum(1)) for method, of in at.items()}

            def patched(change: Tensor, exchange: Exchange = exchange, own: Tensor = own) -> np.ndarray:
                m = runs.patched(self.place, exchange, slice(None), own + change)
                return m.cpu().numpy()

            self._check_identity(patched(torch.zeros_like(own)), runs)
            every = _all(self.sae)
            changes: dict[tuple[str, int], tuple[Tensor, dict[str, Tensor]]] = {
                ("features", -1): (
                    self.sae.write(codes, every, own),
                    {method: of.sum(1) for method, of in told.items()},
                ),
                ("error", -1): (error, left),
                ("site", -1): (
                    given - own,
                    {method: of.sum(1) + left[method] for method, of in told.items()},
                ),
            }
            for feature in chosen.get(name, {}):
                change = self.sae.write(codes[:, [feature]], every[[feature]], own)
                changes["feature", feature] = (
                    change,
                    {method: of[:, feature] for method, of in told.items()},
                )
            took = exchange.took.numpy()
            for (part, feature), (change, said) in changes.items():
                columns = {
                    "positions": name,
                    "part": part,
                    "chosen": chosen.get(name, {}).get(feature, ""),
                    "feature": feature,
                    "outcome_patched": patched(change),
                    **{
                        method: said[method].cpu().numpy() if method in said else np.nan for method in METHODS
                    },
                }
                yield about.assign(**columns)[took]

    def _slopes(self, runs: Runs) -> dict[str, Tensor | None]:
        """Method -> ∇m (texts, T, d); None of integrated gradients, whose positions say along which line."""
        found: dict[str, Tensor | None] = {"atp": gradients(runs)[self.place], "ig": None}
        if knows(self.loaded):
            found["relp"] = gradients(runs, outer=relevance(self.loaded))[self.place]
        return found

    def _check_identity(self, outcome: np.ndarray, runs: Runs) -> None:
        self.identity = max(self.identity, float(np.abs(outcome - runs.outcome.cpu().numpy()).max()))
        if self.identity != 0:
            raise RuntimeError(
                f"adding nothing to a run's states moved its outcome by {self.identity}: the forward pass does not repeat "
                "itself, or the patch is applied wrongly"
            )


def told(effects: pd.DataFrame, *, bound: float, bootstraps: int, seed: int) -> dict[str, Any]:
    """What the document of kind feature_patching says of a table of effects.

    parts: mean R of all features, of the error and of the site, and of the features of each choice one by one (a mean over
    them first); `incomplete`: Σ|integrated gradients − effect| / Σ|effect| of the site. attribution: `recovery.by_method` over
    single features. single: R and integrated gradients of each.
    """
    kept = recoveries(effects, bound)
    found: dict[str, list[dict[str, Any]]] = {"parts": [], "single": [], "attribution": []}
    for keys, own in effects.groupby(["swap", "language", "positions"], sort=False):
        about = dict(zip(("swap", "language", "positions"), keys, strict=True))
        told_of = kept.loc[kept.index.intersection(own.index)]
        names = told_of["chosen"].where(told_of["part"] == "feature", told_of["part"])
        table = told_of.pivot_table(index="group", columns=names, values="recovery", aggfunc="mean")
        table = table.reindex(columns=[*WHOLES, LARGEST, RANDOM])
        rng = stream(seed, "patched features", *keys)
        names = ["features", "error", "site_patch", LARGEST, RANDOM]
        scores = dict(zip(names, map(score, means(table.to_numpy(), bootstraps, rng)), strict=True))
        site = own[own["part"] == "site"]
        effect = site["outcome_patched"] - site["outcome"]
        size = effect.abs().sum()
        incomplete = float((site["ig"] - effect).abs().sum() / size) if size else None
        found["parts"].append(about | scores | {"incomplete": incomplete})
        found["single"] += _each(about, told_of[told_of["part"] == "feature"], bootstraps, seed)
        # a code that is the same in both runs has no effect, and every method says so
        differs = (own["outcome_patched"] != own["outcome"]) | (own["atp"] != 0)
        for chosen, rows in own[(own["part"] == "feature") & differs].groupby("chosen", sort=False):
            rng = stream(seed, "attributed features", *keys, chosen)
            found["attribution"] += by_method(about | {"chosen": chosen}, rows, METHODS, bootstraps, rng)
    return found


def _each(about: dict[str, str], rows: pd.DataFrame, bootstraps: int, seed: int) -> list[dict[str, Any]]:
    """Of each feature the mean R, over groups, and the mean of integrated gradients towards the other run, nats."""
    found = []
    for (feature, chosen), own in rows.groupby(["feature", "chosen"], sort=False):
        towards = np.sign(own["outcome_other"] - own["outcome"])
        by_group = own.groupby("group")["recovery"].mean().to_numpy()[:, None]
        rng = stream(seed, "patched feature", *about.values(), str(feature))
        found.append(
            about
            | {"feature": int(feature), "chosen": chosen}
            | {
                "recovery": score(means(by_group, bootstraps, rng)[0]),
                "ig": float((towards * own["ig"]).mean()),
            }
        )
    return sorted(found, key=lambda row: -abs(row["recovery"]["value"]))
