"""How far a model goes on as the gender that it has read asks for, over targets; sentences are the units."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from crosslens.stats.means import resampled_interval
from crosslens.stats.resampling import bootstrap_weights, stream, units
from crosslens.stats.shares import share_interval
from crosslens.stats.shuffles import AGREEMENT
from crosslens.stats.sign_flips import sign_flip_p
from crosslens.stats.tested import tested
from crosslens.stats.witnesses import witnesses

STRATA = {"distance": (1, 2, 3, 5, 9, 17), "pieces": (1, 2, 3, 4), "before": (1, 2, 3, 4)}
"""Where each stratum begins; the last has no end. pieces: of the longer form."""


def agreed(
    targets: pd.DataFrame, *, alpha: float, bootstraps: int, seed: int, stream_name: str
) -> dict[str, Any]:
    """What the log-odds of targets say; one row a target, of kind agreement_targets.

    `agrees`: share with D > 0, a tie half; `own`: share of prefixes whose own form is the likelier (m > 0), of a woman, of a
    man and of both; `alone`: the same with nothing read but what the word is written onto: what the two forms tell by being
    common, where chance is the mean of the two genders, .5. `difference`: mean of D, `lean`: mean of y over both prefixes, above
    0 towards the female form, in nats. `by_sentence`: mean over sentences of the share with D > 0, however many targets each
    has; `p`: two-sided, of that less .5, by flips of the signs of whole sentences, as if the two prefixes of a sentence had
    changed places. Bounds are 95 % over sentences: of shares Wilson's, of means by `bootstraps` draws.
    """
    rng = stream(seed, "agreement", stream_name)
    sentences = targets["group"].to_numpy()
    number = len(set(sentences))
    because = None
    if (least := 2.0 ** (1 - number)) > alpha:
        because = f"of {number} sentences with such a word no p can be below {min(least, 1.0):.2g}, and the level is {alpha:g}"
    return (
        {"targets": len(targets), "sentences": number}
        | _numbers(targets, bootstraps, rng)
        | {"by_sentence": _by_sentence(targets)[0], "p": None if because else _p(targets, rng)}
        | tested(because)
        | {"strata": [*_strata(targets, bootstraps, rng)]}
    )


def _numbers(targets: pd.DataFrame, bootstraps: int, rng: np.random.Generator) -> dict[str, Any]:
    female, male, alone = (targets[f"log_odds_{of}"].to_numpy() for of in ("female", "male", "alone"))
    sentences = targets["group"].to_numpy()
    own = {"female": _above(female), "male": _above(-male)}
    common = {"female": _above(alone), "male": _above(-alone)}
    return {
        "agrees": _share(_above(female - male), sentences),
        "own": _of_genders(own, sentences),
        "alone": _of_genders(common, sentences),
        "difference": _mean(female - male, sentences, bootstraps, rng),
        "lean": _mean((female + male) / 2, sentences, bootstraps, rng),
    }


def _above(values: np.ndarray) -> np.ndarray:
    """1 above 0, a half at 0; NaN stays."""
    return np.where(np.isnan(values), np.nan, (np.sign(values) + 1) / 2)


def _of_genders(hits: dict[str, np.ndarray], sentences: np.ndarray) -> dict[str, Any]:
    """A target is once behind each prefix: the share of both, and of each."""
    both = np.concatenate([*hits.values()])
    return {"both": _share(both, np.concatenate([sentences] * len(hits)))} | {
        gender: _share(of, sentences) for gender, of in hits.items()
    }


def _share(hits: np.ndarray, sentences: np.ndarray) -> dict[str, float | None]:
    there = ~np.isnan(hits)
    low, high = share_interval(hits[there], sentences[there])
    return {"value": float(hits[there].mean()) if there.any() else None, "low": low, "high": high}


def _mean(
    values: np.ndarray, sentences: np.ndarray, bootstraps: int, rng: np.random.Generator
) -> dict[str, float | None]:
    there = ~np.isnan(values)
    values, sentences = values[there], sentences[there]
    if not len(values):
        return dict.fromkeys(("value", "low", "high"))
    low = high = None
    if len(set(sentences)) > 1 and bootstraps:
        weights = bootstrap_weights(np.zeros(len(values), dtype=np.int64), bootstraps, rng, sentences)
        number = witnesses(units(len(sentences), sentences))
        low, high = resampled_interval(values @ weights / weights.sum(axis=0), number)
    return {"value": float(values.mean()), "low": low, "high": high}


def _by_sentence(targets: pd.DataFrame) -> tuple[float | None, np.ndarray]:
    """The mean over sentences of the share with D > 0, and of each sentence its share less .5 (n)."""
    own = _above((targets["log_odds_female"] - targets["log_odds_male"]).to_numpy()) - 0.5
    there = ~np.isnan(own)
    sentence = units(int(there.sum()), targets["group"].to_numpy()[there])
    shares = np.bincount(sentence, own[there]) / np.bincount(sentence)
    return (float(shares.mean()) + 0.5 if len(shares) else None), shares


def _p(targets: pd.DataFrame, rng: np.random.Generator) -> float:
    return sign_flip_p(_by_sentence(targets)[1], rng, AGREEMENT)


def _strata(targets: pd.DataFrame, bootstraps: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """The same numbers of the targets of each stratum that has any."""
    for by, starts in STRATA.items():
        values = targets[["pieces_female", "pieces_male"]].max(axis=1) if by == "pieces" else targets[by]
        for first, stop in zip(starts, (*starts[1:], None), strict=True):
            rows = targets[(values >= first) & ((values < stop) if stop else True)]
            if len(rows):
                yield {
                    "by": by,
                    "first": first,
                    "last": stop and stop - 1,
                    "targets": len(rows),
                    "sentences": rows["group"].nunique(),
                } | _numbers(rows, bootstraps, rng)
