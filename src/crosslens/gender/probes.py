"""Can gender be read off linearly? Logistic probes on raw activations and on feature codes, with their baselines."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array, issparse

from crosslens.pooling.images import ImageTable, by_image
from crosslens.pooling.pool import pool_activations, pool_codes
from crosslens.stats import logistic
from crosslens.stats.auroc import auroc
from crosslens.stats.resampling import bootstrap_weights, stream
from crosslens.tables.activations import Activations
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_table, write_json
from crosslens.tables.tokens import read_tokens

log = logging.getLogger(__name__)

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Values of C (inverse L2 penalty on standardised inputs) that cross-validation chooses from."""
FOLDS = 5
SHUFFLES = 8
CONTROLS = 3
BOOTSTRAPS = 1000
_DENSE_CELLS = 20_000_000


def probe_activations(
    *,
    dataset: Path,
    tokens: list[Path],
    activations: list[Path],
    conditions: list[str],
    seed: int,
    out: Path,
) -> None:
    """Probe the mean raw activation of each image at one site; see `probe`. Writes JSON of kind probe."""
    stored = Activations(activations)
    table = read_tokens(tokens)

    def pool(part: pd.DataFrame, condition: str) -> ImageTable:
        pooled = pool_activations(stored, table, part, condition=condition)
        return by_image(pooled.values, pooled.sample_ids, part)

    identity = {key: stored.attributes.get(key) for key in ("site", "language")}
    _run(pool, dataset, conditions, seed, {"input": "activations", "width": stored.d_model} | identity, out)


def probe_codes(
    *, dataset: Path, tokens: list[Path], codes: Path, conditions: list[str], seed: int, out: Path
) -> None:
    """Probe the mean feature codes of each image; see `probe`. Writes JSON of kind probe."""
    stored = Codes(codes)
    table = read_tokens(tokens)

    def pool(part: pd.DataFrame, condition: str) -> ImageTable:
        pooled = pool_codes(stored, table, part, condition=condition)
        return by_image(pooled.values, pooled.sample_ids, part)

    identity = {key: stored.attributes.get(key) for key in ("site", "language", "sae")}
    _run(pool, dataset, conditions, seed, {"input": "codes", "width": stored.d_sae} | identity, out)


def _run(
    pool: Any, dataset: Path, conditions: list[str], seed: int, identity: dict[str, Any], out: Path
) -> None:
    samples = read_table(dataset, "dataset")
    results = {}
    for condition in conditions:
        train, test = (pool(samples[samples["split"] == split], condition) for split in ("train", "test"))
        results[condition] = probe(
            train, test, seed=seed, stream_name=f"{identity['language']}/{condition}"
        ) | {"unlabelled": {"train": _unlabelled(train), "test": _unlabelled(test)}}
        log.info("%s: AUROC %s", condition, results[condition]["auroc"])
    document = identity | {
        "seed": seed,
        "unit": "image",
        "penalties": list(PENALTIES),
        "folds": FOLDS,
        "bootstraps": BOOTSTRAPS,
        "control_task": "a random label for each category, half of the categories each way; same procedure",
        "conditions": results,
    }
    write_json(out, "probe", document)


def _unlabelled(images: ImageTable) -> int:
    return len(images) - len(images.labelled())


def probe(train: ImageTable, test: ImageTable, *, seed: int, stream_name: str) -> dict[str, Any]:
    """Fit on the labelled images of `train`, score on those of `test`; positive class female.

    One row an image, so folds are by image. L2 logistic regression on inputs standardised inside each fold; C by
    stratified cross-validation of the log loss inside train. Beside it: the majority class of train, shuffled
    labels (train labels permuted, the whole procedure again, SHUFFLES times) and the control task (Hewitt & Liang
    2019): every category gets a random label, half of them 1, learned and scored in the same way, CONTROLS
    times; None with fewer than two categories. A control as good as the gender probe says that the representation
    allows any grouping of its categories to be read, so that the score alone does not single gender out.
    CI: 95 %, test images resampled within class, BOOTSTRAPS times; for shuffled and control the range.
    """
    train, test = train.labelled(), test.labelled()
    y_train, y_test = train.gender == "female", test.gender == "female"
    rng = stream(seed, "probe", stream_name)
    document: dict[str, Any] = {
        "n_train": {"female": int(y_train.sum()), "male": int((~y_train).sum())},
        "n_test": {"female": int(y_test.sum()), "male": int((~y_test).sum())},
        "majority": _majority(y_train, y_test),
    }
    enough = min(y_train.sum(), (~y_train).sum()) >= FOLDS and 0 < y_test.sum() < len(y_test)
    if not enough:
        empty = {"accuracy": None, "auroc": None, "C": None, "shuffled": None, "control": None}
        return document | empty
    x_train, x_test = _inputs(train.values, test.values)
    fold_seed = int(rng.integers(2**31))
    score, penalty = fit_and_score(x_train, y_train, x_test, fold_seed)
    weights = bootstrap_weights(y_test, BOOTSTRAPS, rng)
    document["C"] = penalty
    document["accuracy"] = _with_interval(accuracy(score, y_test), accuracy(score, y_test, weights))
    document["auroc"] = _with_interval(auroc(score, y_test), auroc(score, y_test, weights))
    shuffled = []
    for _ in range(SHUFFLES):
        score, _ = fit_and_score(x_train, rng.permutation(y_train), x_test, fold_seed)
        shuffled.append((accuracy(score, y_test), auroc(score, y_test)))
    document["shuffled"] = _spread(shuffled)
    document["control"] = _control(x_train, train.category, x_test, test.category, fold_seed, rng)
    return document


def _inputs(train: Any, test: Any) -> tuple[Any, Any]:
    """Both sparse or both dense: codes that are not very sparse are solved faster dense, while memory allows."""
    cells = np.prod(train.shape) + np.prod(test.shape)
    if issparse(train) and train.nnz > 0.05 * np.prod(train.shape) and cells < _DENSE_CELLS:
        return train.toarray(), test.toarray()
    return train, test


def fit_and_score(
    x_train: csr_array | np.ndarray, y_train: np.ndarray, x_test: csr_array | np.ndarray, fold_seed: int
) -> tuple[np.ndarray, float]:
    """Decision values (m) of the test rows, and the C that cross-validation in train chose.

    Sparse inputs are scaled but not centred, which the unpenalised intercept makes the same model.
    """
    import sklearn
    from sklearn.model_selection import StratifiedKFold

    y_train = np.asarray(y_train, dtype=bool)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=fold_seed)
    losses = np.zeros(len(PENALTIES))
    # thousands of small fits: checking the same parameters each time costs as much as the fits
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        for inside, outside in folds.split(np.zeros(len(y_train)), y_train):
            for i, score in enumerate(_path(x_train[inside], y_train[inside], x_train[outside], PENALTIES)):
                losses[i] += np.logaddexp(0, np.where(y_train[outside], -score, score)).sum()
        best = int(np.argmin(losses))
        # the smaller penalties warm-start the chosen one, as in cross-validation
        *_, score = _path(x_train, y_train, x_test, PENALTIES[: best + 1])
    return score, PENALTIES[best]


def _path(x_train: Any, y_train: np.ndarray, x_test: Any, penalties: tuple[float, ...]) -> list[np.ndarray]:
    """Decision values of the test rows for each C, ascending, each fit started from the one before."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler(with_mean=not issparse(x_train))
    return logistic.path(scaler.fit_transform(x_train), y_train, scaler.transform(x_test), penalties)


def accuracy(score: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray | float:
    """Share of rows whose score (m) has the sign of its class; (B) under weights (m, B)."""
    hit = ((score > 0) == y).astype(np.float64)
    return float(hit.mean()) if weights is None else hit @ weights / weights.sum(axis=0)


def _majority(y_train: np.ndarray, y_test: np.ndarray) -> dict[str, Any]:
    """The larger class of train as the answer to every test image."""
    if not len(y_train) or not len(y_test):
        return {"label": None, "accuracy": None}
    female = bool(y_train.sum() * 2 > len(y_train))
    return {"label": "female" if female else "male", "accuracy": float(np.mean(y_test == female))}


def _with_interval(value: float, resampled: np.ndarray) -> dict[str, float]:
    low, high = np.quantile(resampled, [0.025, 0.975])
    return {"value": float(value), "low": float(low), "high": float(high)}


def _spread(pairs: list[tuple[float, float]]) -> dict[str, Any]:
    """Mean, least and greatest accuracy and AUROC of repeated probes."""
    both = np.array(pairs)
    return {
        name: {
            "value": float(both[:, i].mean()),
            "low": float(both[:, i].min()),
            "high": float(both[:, i].max()),
        }
        for i, name in enumerate(("accuracy", "auroc"))
    } | {"repeats": len(pairs)}


def _control(
    x_train: Any,
    categories_train: np.ndarray,
    x_test: Any,
    categories_test: np.ndarray,
    fold_seed: int,
    rng: np.random.Generator,
) -> dict[str, Any] | None:
    names = np.unique(categories_train.astype(str))
    if len(names) < 2:
        return None
    pairs = []
    for _ in range(CONTROLS):
        ones = rng.permutation(names)[: len(names) // 2]
        y_train = np.isin(categories_train.astype(str), ones)
        y_test = np.isin(categories_test.astype(str), ones)
        if min(y_train.sum(), (~y_train).sum()) < FOLDS or not 0 < y_test.sum() < len(y_test):
            continue
        score, _ = fit_and_score(x_train, y_train, x_test, fold_seed)
        pairs.append((accuracy(score, y_test), auroc(score, y_test)))
    return _spread(pairs) if pairs else None
