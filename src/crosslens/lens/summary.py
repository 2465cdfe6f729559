"""What lenses read at places, per block: how far the genders part, from when on, and how like the model's own answer it is."""

import math

import numpy as np

from crosslens.gender.targets import GENDERS
from crosslens.stats.auroc import auroc, auroc_interval
from crosslens.stats.correlation import fisher_interval, pearson
from crosslens.stats.means import resampled_interval
from crosslens.stats.resampling import arrangements, bootstrap_weights, shuffled_labels, units
from crosslens.stats.shares import share_interval
from crosslens.stats.tested import permutation_floor
from crosslens.stats.witnesses import witnesses

Bounded = dict[str, float | None]
UNKNOWN: Bounded = dict.fromkeys(("value", "low", "high"))


class Readings:
    """What one lens reads at n places at each of L blocks, and what is known of the places."""

    def __init__(self, values: np.ndarray, gender: np.ndarray, group: np.ndarray, pair: np.ndarray):
        """values: (n, L) log-odds of the female word. gender, group, pair: (n) as of GenderPlace."""
        self.there = there = np.isfinite(values).all(axis=1)
        self.values, self.gender = values[there], gender[there]
        self.group, self.pair = group[there], pair[there]
        if self.paired:
            self._pair_up()

    @property
    def paired(self) -> bool:
        """Whether the two genders are read in pairs that differ in nothing else."""
        return bool(len(self.pair)) and bool((self.pair != "").all())

    def _pair_up(self) -> None:
        """`change` (pairs, L): female less male of each pair of which both places are there, and `of` (pairs) its group."""
        places = [
            {pair: i for i, pair in enumerate(self.pair) if self.gender[i] == gender} for gender in GENDERS
        ]
        both = [(female, places[1][pair]) for pair, female in places[0].items() if pair in places[1]]
        self.change = np.array([self.values[a] - self.values[b] for a, b in both]).reshape(
            len(both), self.values.shape[1]
        )
        self.of = np.array([self.group[a] for a, _ in both])

    def known(self) -> np.ndarray:
        """(n) bool: whether the gender of a place is."""
        return np.isin(self.gender, GENDERS)

    def counts(self) -> dict[str, int]:
        """Places by gender, and groups that have a known one."""
        return {name: int((self.gender == name).sum()) for name in (*GENDERS, "unknown")} | {
            "groups": len(np.unique(self.group[self.known()])),
            "groups_unknown": len(np.unique(self.group[~self.known()])),
        }

    def difference(self, bootstraps: int, rng: np.random.Generator) -> list[Bounded]:
        """Mean of female less mean of male, per block, with a 95 % interval over groups."""
        if self.paired:
            return mean_columns(self.change, self.of, bootstraps, rng)
        known = self.known()
        female = self.gender[known] == "female"
        if min(female.sum(), (~female).sum()) < 1:
            return [UNKNOWN] * self.values.shape[1]
        values, groups = self.values[known], self.group[known]
        # a group of both genders is its own stratum: each draw keeps both
        weights = bootstrap_weights(female, bootstraps, rng, groups)
        draws = _of_weights(values, weights * female[:, None]) - _of_weights(
            values, weights * ~female[:, None]
        )
        value = values[female].mean(axis=0) - values[~female].mean(axis=0)
        number = witnesses(units(len(groups), groups))
        return [_bounded(one, of, number) for one, of in zip(value, draws, strict=True)]

    def null(self, draws: int, rng: np.random.Generator) -> np.ndarray | None:
        """(L, draws) of `difference` where nobody knows the gender: pairs turned round by whole groups, or labels shuffled over
        pictures; None without two groups."""
        if self.paired:
            group = units(len(self.of), self.of)
            number = int(group.max()) + 1 if len(group) else 0
            signs = 1.0 - 2.0 * rng.integers(0, 2, size=(number, draws))
            return (self.change.T @ signs[group]) / len(self.of) if number > 1 else None
        known = self.known()
        female = self.gender[known] == "female"
        if len(np.unique(self.group[known])) < 2 or min(female.sum(), (~female).sum()) < 1:
            return None
        shuffled = shuffled_labels(female, draws, rng, self.group[known])
        values = self.values[known]
        return _of_weights(values, shuffled.astype(float)) - _of_weights(values, (~shuffled).astype(float))

    def ways(self) -> int:
        """How many draws of `null` there are that no other is the mirror of."""
        if self.paired:
            return 2 ** max(0, len(np.unique(self.of)) - 1)
        known = self.known()
        female = self.gender[known] == "female"
        return arrangements(female, self.group[known], mirror=~female)

    def told(self) -> list[Bounded]:
        """Share of pairs in which the woman's reading is the higher, or of couples of pictures (AUROC); ties half."""
        if self.paired:
            hits = (np.sign(self.change) + 1) / 2
            return [_share(of, self.of) for of in hits.T]
        known = self.known()
        female = self.gender[known] == "female"
        if min(female.sum(), (~female).sum()) < 1:
            return [UNKNOWN] * self.values.shape[1]
        found = []
        for values in self.values[known].T:
            low, high = auroc_interval(values, female, self.group[known])
            found.append({"value": float(auroc(values, female)), "low": low, "high": high})
        return found

    def likeness(self, answer: np.ndarray, *, unknown: bool = False) -> list[float | None]:
        """Pearson r over places of what is read and `answer` (n), the model's own; unknown: over those of unknown gender."""
        rows = ~self.known() if unknown else np.ones(len(self.gender), dtype=bool)
        r = [pearson(of, answer[self.there][rows]) for of in self.values[rows].T]
        return [float(one) if np.isfinite(one) else None for one in r]

    def lean(self, bootstraps: int, rng: np.random.Generator) -> list[Bounded]:
        """Mean over places of unknown gender."""
        rows = ~self.known()
        return mean_columns(self.values[rows], self.group[rows], bootstraps, rng)

    def spread(self) -> list[float | None]:
        """Standard deviation over places of unknown gender (ddof 1): how far the lens tells them apart."""
        rows = self.values[~self.known()]
        return [float(of.std(ddof=1)) if len(of) > 1 else None for of in rows.T]


def against_null(
    difference: list[Bounded], null: np.ndarray | None, ways: float = math.inf
) -> list[dict[str, float | None]]:
    """Per block the band of the null (95 %, two-sided) and p of |difference| against the largest |null| of all blocks.

    Blocks are of unlike size, so each is divided by its null's standard deviation first (Westfall and Young 1993, max-T).
    least_p: the least that p could have been, with so many `ways` to draw the null.
    """
    if null is None:
        return [dict.fromkeys(("low", "high", "p", "least_p")) for _ in difference]
    least = permutation_floor(null.shape[1], arrangements=ways)
    low, high = np.quantile(null, [0.025, 0.975], axis=1)
    scale = null.std(axis=1)
    scale[scale == 0] = np.inf
    largest = np.abs(null / scale[:, None]).max(axis=0)
    values = np.array([of["value"] for of in difference], dtype=float)
    p = [
        (1 + np.sum(largest >= abs(v) / s - 1e-12)) / (1 + len(largest))
        for v, s in zip(values, scale, strict=True)
    ]
    return [
        {"low": float(a), "high": float(b), "p": float(one), "least_p": least}
        for a, b, one in zip(low, high, p, strict=True)
    ]


def mean_bits(values: np.ndarray, groups: list[str], bootstraps: int, rng: np.random.Generator) -> Bounded:
    """Mean over tokens (n), with a 95 % interval over their groups."""
    return mean_columns(values[:, None], np.array(groups), bootstraps, rng)[0]


def correlation(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, draws: int, rng: np.random.Generator
) -> Bounded:
    """Pearson r of x and y (n), with a 95 % interval over groups."""
    r = float(pearson(x, y))
    if not np.isfinite(r):
        return dict(UNKNOWN)
    group = units(len(x), groups)
    rows = [np.flatnonzero(group == g) for g in range(int(group.max()) + 1)]
    if len(rows) < 3:
        return {"value": r, "low": None, "high": None}
    resampled = []
    for chosen in rng.integers(0, len(rows), size=(draws, len(rows))):
        own = np.concatenate([rows[g] for g in chosen])
        resampled.append(float(pearson(x[own], y[own])))
    low, high = fisher_interval(r, np.array(resampled))
    return {"value": r, "low": low, "high": high}


def _of_weights(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(L, draws) weighted means of values (n, L) by weights (n, draws)."""
    total = weights.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (values.T @ weights) / total


def mean_columns(
    values: np.ndarray, groups: np.ndarray, bootstraps: int, rng: np.random.Generator
) -> list[Bounded]:
    """Means of the columns of values (n, L) with 95 % intervals over groups (n)."""
    if not len(values):
        return [dict(UNKNOWN) for _ in range(values.shape[1])]
    group = units(len(values), groups)
    number = int(group.max()) + 1
    sums = np.stack([np.bincount(group, of, number) for of in values.T])
    weights = bootstrap_weights(np.zeros(number, dtype=np.int64), bootstraps, rng)
    draws = (sums @ weights) / (np.bincount(group, minlength=number) @ weights)
    number = witnesses(group)
    return [_bounded(one, of, number) for one, of in zip(values.mean(axis=0), draws, strict=True)]


def _bounded(value: float, draws: np.ndarray, number: int) -> Bounded:
    draws = draws[np.isfinite(draws)]
    low = high = None
    if number > 1 and len(draws):
        low, high = resampled_interval(draws, number)
    return {"value": float(value), "low": low, "high": high}


def _share(hits: np.ndarray, groups: np.ndarray) -> Bounded:
    low, high = share_interval(hits, groups)
    return {"value": float(hits.mean()) if len(hits) else None, "low": low, "high": high}
