"""What do languages lose with whole groups of gendered features: those that they share, those of one, all of them (methods 9)?"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from crosslens.alignment.dictionaries import check_digest
from crosslens.features.splice import Replacement, batches, check_edits, mean_activation, run_edits
from crosslens.gender.robustness import directions
from crosslens.interventions.ablation import shared_samples
from crosslens.interventions.arms import Level, levels_on_select, random_sets
from crosslens.interventions.costs import BOOTSTRAPS, beside, costs, interval, resamples
from crosslens.interventions.edits import Change, Edit, of_features
from crosslens.interventions.reading import Question, Questions
from crosslens.interventions.subject import model_and_sae
from crosslens.lens.places import GenderPlace, drawn, places_of
from crosslens.lens.summary import Readings
from crosslens.memory import memory_kept
from crosslens.models.load import LoadedModel
from crosslens.pooling.languages import Pairs, open_codes, pairs_among
from crosslens.sae.model import SAE
from crosslens.stats.resampling import stream
from crosslens.stats.tested import tested
from crosslens.tables.documents import read_json, read_table, write_json
from crosslens.tables.tokens import read_tokens

log = logging.getLogger(__name__)

SETS = 20
"""Random groups as large, of features as frequent and strong that are gendered in neither language."""
CHOICE = 2
"""Times a group that many of these there have to be, or its random groups would be one and the same."""


def ablate_groups(
    *,
    model: dict[str, Any],
    images: Path | None,
    datasets: dict[str, Path],
    tokens: dict[str, list[Path]],
    codes: dict[str, Path],
    effects: dict[str, Path],
    sae: Path,
    site: str,
    roles: Sequence[str],
    condition: str,
    max_samples: int,
    batch: int,
    seed: int,
    out: Path,
    pairs: Pairs | None = None,
) -> None:
    """Write JSON of kind group_ablation: what it costs two languages to lose groups of an SAE's gendered features at once.

    Keys of the mappings are the languages; effects: folders of kind gender, by which features are gendered on split select under
    `condition`. Suppressed (z′ = 0, the error kept) at all positions of `roles` that are no sinks, in samples of test: at most
    `max_samples` that every language has, for cross-entropy, and places where a gendered word is about to come, of as many
    groups of each gender, for what the word hangs on the gender that was read. model: keyword arguments of load_model. Raises
    InputError where SAE, codes, effects, site or model do not belong together, and RuntimeError where ablating nothing
    changes a logit.
    """
    stored = open_codes(codes)
    digest = check_digest(sae, next(iter(stored.values())).attributes["sae"])
    for folder in effects.values():
        check_digest(sae, read_json(folder / "gender.json", "gender")["sae"])
    loaded, autoencoder = model_and_sae(model, sae, site)
    autoencoder = autoencoder.to(loaded.device)
    frames = {language: read_table(path, "dataset") for language, path in datasets.items()}
    signs, level = {}, {}
    for language, frame in frames.items():
        table = read_table(effects[language] / "effects.parquet", "gender_effects")
        table = table[(table["condition"] == condition) & (table["split"] == "select")]
        signs[language] = directions(table.sort_values("feature"))
        level[language] = levels_on_select(stored[language], read_tokens(tokens[language]), frame)
    with memory_kept():
        texts = {
            language: Texts(
                loaded,
                site,
                of,
                frames[language],
                images,
                roles,
                max_samples,
                batch,
                stream(seed, "groups", language),
            )
            for language, of in shared_samples(datasets, max_samples, seed).items()
        }
        found = [
            {"languages": list(pair)}
            | {"groups": told(pair, texts, autoencoder, signs, level, stream(seed, "groups", *pair))}
            for pair in pairs_among(datasets, pairs)
        ]
    document = {
        "site": site,
        "sae": digest,
        "languages": list(datasets),
        "condition": condition,
        "roles_ablated": list(roles),
        "chosen_on": "select",
        "split": "test",
        "sets": SETS,
        "bootstraps": BOOTSTRAPS,
        "seed": seed,
        "of": {language: own.before for language, own in texts.items()},
        "pairs": found,
    }
    write_json(out, "group_ablation", document)


def groups_of(first: np.ndarray, second: np.ndarray) -> dict[str, np.ndarray]:
    """Ids by what the features tell: first, second: (F) 1 where one is significantly stronger for female in a language, −1 for
    male, 0 where neither. Those that tell opposite genders are in `all` alone."""
    return {
        "shared": np.flatnonzero((first == second) & (first != 0)),
        "first": np.flatnonzero((first != 0) & (second == 0)),
        "second": np.flatnonzero((first == 0) & (second != 0)),
        "all": np.flatnonzero((first != 0) | (second != 0)),
    }


class Lost(NamedTuple):
    """What K edits do to one language."""

    removed: list[dict[str, float | None]]
    """Of D, nats, with bounds; empty where D is not known."""
    cost: np.ndarray
    """(1 + BOOTSTRAPS, K) nats a predicted token."""
    images: int


class Texts:
    """Samples of one language, and its places where a gendered word is about to come."""

    def __init__(
        self,
        loaded: LoadedModel,
        site: str,
        samples: pd.DataFrame,
        frame: pd.DataFrame,
        images: Path | None,
        roles: Sequence[str],
        count: int,
        batch: int,
        rng: np.random.Generator,
    ):
        """samples: of which cross-entropy is told; frame: all of the language, out of which places are."""
        self.loaded, self.site, self.samples, self.images = loaded, site, samples, images
        self.roles, self.batch, self.rng = roles, batch, rng
        *_, self.limit = mean_activation(loaded, site, batches(loaded, samples, images, batch), roles)
        found = places_of(frame)
        self.places = [place for place in drawn(found.places, "test", count) if place.gender != "unknown"]
        questions = [Question(f"place {i}", *_asked(place)) for i, place in enumerate(self.places)]
        difference: dict[str, float | None] = dict.fromkeys(("value", "low", "high"))
        if questions:
            self.questions = Questions(loaded, site, questions, roles=roles, images=images, batch=batch)
            self.clean = self.questions.log_odds()
            (difference,) = self._difference(self.clean[:, None])
        because = found.because or (None if self.places else "there is no such place in test")
        if because is None and (difference["low"] or 0) <= 0:
            because = "without an edit its words do not hang on the gender that was read, for sure"
        self.before = {
            "samples": len(samples),
            "places": len(self.places),
            "groups": len({place.group for place in self.places}),
            "difference": difference,
            **tested(because),
        }

    def _difference(self, values: np.ndarray) -> list[dict[str, float | None]]:
        """Female less male of the columns of values (n, K), see lens.summary."""
        known = [
            np.array([getattr(place, name) for place in self.places], dtype=object)
            for name in ("gender", "group", "pair")
        ]
        return Readings(values, *known).difference(BOOTSTRAPS, self.rng)

    def lost(self, changes: Mapping[str, Change]) -> Lost:
        """With each of the changes at the site; `identity` must be among them, and change nothing."""
        edits: dict[str, Replacement] = {name: _replacement(change) for name, change in changes.items()}
        found = run_edits(
            *(self.loaded, self.site, self.samples, self.images, self.batch, self.roles, edits, self.limit),
            divergence=False,
        )
        names = [name for name in changes if name != "identity"]
        check_edits(found.largest["identity"], max(found.largest[name] for name in names))
        weights = resamples(found.losses["group"], self.rng)
        cost = costs(found.losses, names, weights)
        if not self.before["tested"]:
            return Lost([], cost.draws, cost.groups)
        edited = [self.questions.log_odds([Edit(self.site, changes[name])], 1.0) for name in names]
        return Lost(
            self._difference(np.stack([self.clean - of for of in edited], axis=1)), cost.draws, cost.groups
        )


def _asked(place: GenderPlace) -> tuple[str, ...]:
    sample = place.sample
    return sample.prompt, sample.caption, place.female, place.male, sample.image, sample.image_sha256


def _replacement(change: Change) -> Replacement:
    return lambda x: (x.float() + change(x.float(), torch.ones(len(x), 1, device=x.device))).to(x.dtype)


def told(
    pair: tuple[str, str],
    texts: Mapping[str, Texts],
    sae: SAE,
    signs: Mapping[str, np.ndarray],
    level: Mapping[str, Level],
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Of each group of two languages what both lose with it, beside random groups as large."""
    groups = groups_of(*(signs[language] for language in pair))
    both = Level(
        *(np.mean([getattr(level[language], name) for language in pair], axis=0) for name in Level._fields)
    )
    gendered = {*groups["all"].tolist()}
    pool = len({*np.flatnonzero(both.high > 0).tolist()} - gendered)
    found = []
    for name, group in groups.items():
        because = None if len(group) else "no feature is so on select"
        if because is None and pool < CHOICE * len(group):
            because = (
                f"{pool} live features are gendered in neither language, and it takes {CHOICE * len(group)}"
            )
        entry = {"group": name, "features": len(group), **tested(because), "of": []}
        if because is None:
            sets = random_sets(group.tolist(), gendered, both, sae, SETS, rng)
            suppressed = [of_features(sae, own, "suppress") for own in (group.tolist(), *sets)]
            same = of_features(sae, group.tolist(), "amplify")
            changes = {"identity": same} | {str(i): change for i, change in enumerate(suppressed)}
            entry["of"] = [_language(language, texts[language], changes) for language in pair]
        found.append(entry)
    return found


def _language(language: str, texts: Texts, changes: Mapping[str, Change]) -> dict[str, Any]:
    """The first of the changes but `identity` is the group, the others are random ones."""
    lost, before = texts.lost(changes), texts.before["difference"]["value"]
    own, *random = lost.cost[0]
    entry = {
        "language": language,
        "cost": interval(lost.cost[:, 0], lost.images),
        "cost_random": beside(float(own), np.array(random)),
        "removed": None,
        "share": None,
        "removed_random": None,
    }
    if lost.removed:
        own, *random = lost.removed
        entry["removed"] = own
        entry["share"] = own["value"] / before
        entry["removed_random"] = beside(own["value"], np.array([of["value"] for of in random]))
    return entry
