"""What an arm does to one language at every strength, and what of that is beyond random features."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit

from crosslens.errors import InputError
from crosslens.interventions.arms import Arm, Candidates, neutralising, steering
from crosslens.interventions.captioned import Writing
from crosslens.interventions.costs import BOOTSTRAPS, beside, interval
from crosslens.interventions.edits import Change, Edit
from crosslens.interventions.reading import Damage, Questions, check_identity
from crosslens.interventions.steered import Items
from crosslens.progress import Progress
from crosslens.sae.model import SAE
from crosslens.stats.resampling import bootstrap_weights, stream

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Of the way to neutral."""
ENOUGH = 0.9
"""Of the furthest that P(female) moves on select: the smallest strength that reaches it is taken."""


class Tried(NamedTuple):
    """An arm at every strength."""

    kl: np.ndarray
    """(2S) nats, at strengths −s … −s, s … s as in `Doses.strengths`."""
    select: np.ndarray | None
    """(2S, items, each) log-odds on select; None of random sets."""
    test: np.ndarray
    """(2S, items, each) on test."""
    neutral: np.ndarray
    """(shares, items, each) on test."""
    neutral_kl: np.ndarray
    """(shares)"""


class Doses:
    """Every arm's edits, at the same ‖δ‖."""

    def __init__(
        self, site: str, sae: SAE, known: dict[str, Candidates], length: float, strengths: Sequence[float]
    ):
        """known: where the arms' 99th percentiles are from; strengths: above 0."""
        self.site, self.sae, self.known, self.length = site, sae, known, length
        self.strengths = np.array([*(-s for s in sorted(strengths)), *sorted(strengths)])
        self.size = len(strengths)

    def edit(self, change: Change) -> list[Edit]:
        return [Edit(self.site, change)]

    def steer(self, arm: Arm) -> list[Edit]:
        """Towards female at strengths above 0."""
        of = "random" if arm.method == "random" else arm.found_in
        return self.edit(steering(arm, self.sae, self.known[of].level.high, self.length))

    def neutralise(self, arm: Arm, middle: np.ndarray, centre: np.ndarray) -> list[Edit]:
        """Share × the way to neutral."""
        return self.edit(neutralising(arm, self.sae, middle, centre))


class Language:
    """One language that is steered."""

    def __init__(
        self,
        language: str,
        items: dict[tuple[str, str], Items],
        readings: dict[tuple[str, str], Questions],
        damage: Damage,
        doses: Doses,
        middles: dict[str, np.ndarray],
        centres: dict[str, np.ndarray],
        seed: int,
        max_kl: float,
    ):
        self.language, self.doses, self.damage, self.max_kl = language, doses, damage, max_kl
        self.items = {split: items[language, split] for split in ("select", "test")}
        self.readings = {split: readings[language, split] for split in ("select", "test")}
        self.middle, self.centre = middles[language], centres[language]
        test = self.items["test"]
        drawn = bootstrap_weights(
            np.zeros(len(test.group)), BOOTSTRAPS, stream(seed, "steering images", language), test.group
        )
        self.weights = np.hstack([np.ones((len(test.group), 1)), drawn])
        self.groups = len(np.unique(test.group))
        self.clean = {split: self.asked(split) for split in ("select", "test")}

    def asked(self, split: str, edits: Sequence[Edit] = (), strength: float = 0.0) -> np.ndarray:
        """(items, each) log-odds."""
        return self.readings[split].log_odds(edits, strength).reshape(-1, self.items[split].each)

    def tried(self, arm: Arm) -> Tried:
        """An arm at every strength, random ones on test alone."""
        random = arm.method == "random"
        edits = self.doses.steer(arm)
        check_identity(self.readings["test"].reading, edits)
        neutral = self.doses.neutralise(arm, self.middle, self.centre)
        shares = SHARES[-1:] if random else SHARES
        return Tried(
            np.array([self.damage.kl(edits, s) for s in self.doses.strengths]),
            None if random else np.stack([self.asked("select", edits, s) for s in self.doses.strengths]),
            np.stack([self.asked("test", edits, s) for s in self.doses.strengths]),
            np.stack([self.asked("test", neutral, share) for share in shares]),
            np.array([self.damage.kl(neutral, share) for share in shares]),
        )

    def moved(self, log_odds: np.ndarray) -> np.ndarray:
        """(2S, items, each) to (S, items): half the difference of P(female) between both ways."""
        p, size = expit(log_odds), self.doses.size
        return ((p[size:] - p[:size]) / 2).mean(axis=2)

    def left(self, log_odds: np.ndarray) -> np.ndarray:
        """(…, items, each) to (…, 1 + BOOTSTRAPS): of pictures the standard deviation of P(female) over categories, of
        sentences the mean D = y(female prefix) − y(male prefix); NaN of fewer than two categories, and of pictures that show
        the gender, whose categories differ in who is seen."""
        if self.items["test"].each == 2:
            return self.mean(log_odds[..., 0] - log_odds[..., 1])
        names, code = np.unique(self.items["test"].category, return_inverse=True)
        if len(names) < 2 or not self.items["test"].hidden:
            return np.full((*log_odds.shape[:-2], self.weights.shape[1]), np.nan)
        inside = (code == np.arange(len(names))[:, None]).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.einsum("ci,...i,ib->...cb", inside, expit(log_odds[..., 0]), self.weights) / (
                inside @ self.weights
            )
        return np.nanstd(means, axis=-2)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """(…, items) to (…, 1 + BOOTSTRAPS): of all, then of each resample of the groups."""
        return values @ self.weights / self.weights.sum(axis=0)

    def told(
        self, arms: Sequence[Arm], random: Sequence[Arm], writing: Writing | None
    ) -> tuple[dict[str, Any], pd.DataFrame]:
        """What the document says of the language, and its doses."""
        progress = Progress(f"steering {self.language}", len(arms) + len(random), "arms")
        tried = {}
        for arm in [*arms, *random]:
            tried[arm.name] = self.tried(arm)
            progress.update(1)
        sets = [tried[arm.name] for arm in random]
        head = {
            "items": {split: len(own.group) for split, own in self.items.items()},
            "left_out": {split: own.left_out for split, own in self.items.items()},
            "hidden": self.items["test"].hidden,
            "groups": self.groups,
            "damage_positions": len(self.damage.clean),
            "p_female": between(self.mean(expit(self.clean["test"]).mean(axis=1)), self.groups),
            "left": between(self.left(self.clean["test"]), self.groups),
        }
        if writing is not None:
            head["captions"] = writing.told(None)
            head["asked"] = self._asked_for(writing)
        told = [self._arm(arm, tried[arm.name], random, sets, writing) for arm in arms]
        table = pd.concat([self._doses(arm, tried[arm.name]) for arm in [*arms, *random]], ignore_index=True)
        return head | {"arms": told}, table

    def _asked_for(self, writing: Writing) -> dict[str, Any]:
        if writing.asked is None:
            return {"not_possible": "there is none in this language (steering.ask)"}
        try:
            return writing.told(None, prompt=writing.asked)
        except InputError as error:  # of a tokenizer that has not the words
            return {"not_possible": str(error)}

    def _budget(self, kl: np.ndarray) -> np.ndarray:
        """(S) bool: whether both ways stay within `max_kl`."""
        size = self.doses.size
        return np.maximum(kl[:size], kl[size:]) <= self.max_kl

    def _arm(
        self,
        arm: Arm,
        own: Tried,
        random: Sequence[Arm],
        sets: Sequence[Tried],
        writing: Writing | None,
    ) -> dict[str, Any]:
        size, strengths = self.doses.size, self.doses.strengths[self.doses.size :]
        within = self._budget(own.kl)
        on_select = self.moved(own.select).mean(axis=1)
        at = chosen_strength(strengths, on_select, within)
        strength, move = float(strengths[at]), self.mean(self.moved(own.test)[at])
        same_length = np.array([abs(self.moved(of.test)[at].mean()) for of in sets])
        allowed = [np.flatnonzero(self._budget(of.kl)) for of in sets]
        same_damage = np.array(
            [
                abs(self.moved(of.test)[fits[np.argmax(strengths[fits])] if len(fits) else 0].mean())
                for of, fits in zip(sets, allowed, strict=True)
            ]
        )
        curves = [np.append(0, np.abs(self.moved(of.test).mean(axis=1))) for of in sets]
        at_own = [strength * other.norm / arm.norm for other in random]
        same_activations = np.array(
            [np.interp(at, np.append(0, strengths), curve) for at, curve in zip(at_own, curves, strict=True)]
        )
        change = np.abs(own.test - self.clean["test"]).max()
        slopes = self._slopes(own.test, strength)
        told = {
            "method": arm.method,
            "found_in": arm.found_in,
            "features": [
                {"feature": feature, "sign": sign}
                for feature, sign in zip(arm.features, arm.signs, strict=True)
            ],
            "norm": arm.norm,
            "largest_change": float(change),
            "changes": bool(change > 0),
            "strength": strength,
            "within_budget": bool(within[at]),
            "kl": {"female": float(own.kl[size + at]), "male": float(own.kl[at])},
            "moved_on_select": float(on_select[at]),
            "moved": between(move, self.groups),
            "log_odds": {
                name: float(own.test[i].mean() - self.clean["test"].mean())
                for name, i in (("female", size + at), ("male", at))
            },
            "slope": between(self.mean(slopes), self.groups),
            "anti_steerable": float((slopes < 0).mean()),
            "random": {
                "same_length": beside(float(move[0]), same_length),
                "same_damage": beside(float(move[0]), same_damage),
                "same_activations": beside(float(move[0]), same_activations) if arm.features else None,
            },
            "neutralised": self._neutralised(own, sets),
        }
        if writing is not None:
            edits = self.doses.steer(arm)
            neutral = self.doses.neutralise(arm, self.middle, self.centre)
            told["captions"] = {
                "female": writing.told("female", edits, strength),
                "male": writing.told("male", edits, -strength),
                "neutral": writing.told(None, neutral, 1.0),
            }
        return told

    def _slopes(self, log_odds: np.ndarray, strength: float) -> np.ndarray:
        """(items) least-squares slope of the log-odds over the strengths up to `strength` either way, nats a unit."""
        used = np.abs(self.doses.strengths) <= strength
        x = np.append(self.doses.strengths[used], 0.0)
        y = np.concatenate([log_odds[used], self.clean["test"][None]]).mean(axis=2)
        return (x - x.mean()) @ (y - y.mean(axis=0)) / np.square(x - x.mean()).sum()

    def _neutralised(self, own: Tried, sets: Sequence[Tried]) -> dict[str, Any]:
        left, clean = self.left(own.neutral[-1]), self.left(self.clean["test"])
        others = np.array([self.left(of.neutral[-1])[0] for of in sets])
        value, finite = float(left[0]), others[np.isfinite(others)]
        tested = np.isfinite(value) and len(finite) > 0
        return {
            "left": between(left, self.groups),
            "removed": between(clean - left, self.groups),
            "kl": float(own.neutral_kl[-1]),
            "random_q05": float(np.quantile(finite, 0.05)) if tested else None,
            "p": float((1 + np.sum(finite <= value)) / (1 + len(finite))) if tested else None,
        }

    def _doses(self, arm: Arm, own: Tried) -> pd.DataFrame:
        """Rows of one arm: each strength on test, and each share of the way to neutral."""
        parts = []
        shares = SHARES[-len(own.neutral_kl) :]
        for how, at, y, kl in (
            ("steer", self.doses.strengths, own.test, own.kl),
            ("neutralise", shares, own.neutral, own.neutral_kl),
        ):
            p = self.mean(expit(y).mean(axis=2))
            ends = [between(row, self.groups) for row in p]
            columns = {
                "how": how,
                "strength": np.asarray(at, float),
                "p_female": p[:, 0],
                "low": np.array([end["low"] for end in ends], float),
                "high": np.array([end["high"] for end in ends], float),
            }
            columns |= {"log_odds": y.mean(axis=(1, 2)), "left": self.left(y)[:, 0], "kl": kl}
            parts.append(pd.DataFrame(columns))
        table = pd.concat(parts, ignore_index=True)
        for place, (name, value) in enumerate(
            (("language", self.language), ("method", arm.method), ("found_in", arm.found_in))
        ):
            table.insert(place, name, value)
        return table.sort_values(["how", "strength"], ignore_index=True)


def chosen_strength(strengths: np.ndarray, moved: np.ndarray, within: np.ndarray) -> int:
    """Which strength: of those within the budget the smallest that moves ENOUGH of what the best of them does; the smallest of
    all, where none is within it or none moves the wanted way."""
    best = moved[within].max(initial=0.0)
    far = within & (moved >= ENOUGH * best) if best > 0 else np.ones(len(strengths), dtype=bool)
    return int(np.argmin(np.where(far, strengths, np.inf)))


def between(draws: np.ndarray, groups: int) -> dict[str, float | None]:
    """As costs.interval, over the resamples in which it is defined; None of all where it is not defined of all groups."""
    if not np.isfinite(draws[0]):
        return dict.fromkeys(("value", "low", "high"))
    return interval(draws[np.isfinite(draws)], groups)
