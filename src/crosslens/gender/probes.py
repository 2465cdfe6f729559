"""Can gender be read off linearly? Logistic probes on raw activations and on feature codes, with their baselines."""

import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array, issparse

from crosslens.pooling.images import ImageTable, by_image
from crosslens.pooling.pool import pool_activations, pool_codes
from crosslens.stats import logistic
from crosslens.stats.auroc import auroc, auroc_interval, permuted_auroc_p
from crosslens.stats.folds import grouped_folds
from crosslens.stats.resampling import arrangements, shuffled_labels, stream, units
from crosslens.stats.shares import share_interval
from crosslens.stats.shuffles import PROBES as PERMUTATIONS
from crosslens.stats.tested import permutation_floor, tested, too_few_units
from crosslens.stats.witnesses import effective
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
TEST_UNITS = 2
"""Independent test images of each gender, without which an AUROC has no interval."""
SIZES = (1, 2, 5, 20)
"""Columns that a sparse probe reads (Gurnee et al. 2023): how many features, or channels, hold what the whole input holds."""
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
    found = probe_conditions(pool, dataset, conditions, seed=seed, language=identity["language"], sizes=SIZES)
    write_probe(out, {"input": "activations", "width": stored.d_model} | identity, seed, found)


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
    found = probe_conditions(pool, dataset, conditions, seed=seed, language=identity["language"], sizes=SIZES)
    write_probe(out, {"input": "codes", "width": stored.d_sae} | identity, seed, found)


def probe_conditions(
    pool: Callable[[pd.DataFrame, str], ImageTable],
    dataset: Path,
    conditions: list[str],
    *,
    seed: int,
    language: str,
    sizes: Sequence[int] = (),
) -> dict[str, Any]:
    """Probe what `pool` makes of the rows of a split: condition -> `probe`.

    The folds of a language and condition are the same for every input, so that scores can be compared.
    """
    samples = read_table(dataset, "dataset")
    results = {}
    for condition in conditions:
        train, test = (pool(samples[samples["split"] == split], condition) for split in ("train", "test"))
        results[condition] = probe(
            train, test, seed=seed, stream_name=f"{language}/{condition}", sizes=sizes
        ) | {"unlabelled": {"train": _unlabelled(train), "test": _unlabelled(test)}}
        log.info("%s: AUROC %s", condition, results[condition]["auroc"])
    return results


def write_probe(out: Path, identity: dict[str, Any], seed: int, conditions: dict[str, Any]) -> None:
    """JSON of kind probe."""
    settings = {
        "seed": seed,
        "unit": "image, or the images of one group",
        "penalties": list(PENALTIES),
        "folds": FOLDS,
        "permutations": PERMUTATIONS,
        "control_task": "a random label for each category, half of the categories each way; same procedure",
    }
    write_json(out, "probe", identity | settings | {"conditions": conditions})


def _unlabelled(images: ImageTable) -> int:
    return len(images) - len(images.labelled())


def probe(
    train: ImageTable, test: ImageTable, *, seed: int, stream_name: str, sizes: Sequence[int] = ()
) -> dict[str, Any]:
    """Fit on the labelled images of `train`, score on those of `test`; positive class female.

    One row an image, so folds are by image. L2 logistic regression on inputs standardised inside each fold; C by
    stratified cross-validation of the log loss inside train. Beside it: the majority class of train, shuffled
    labels (train labels permuted, the whole procedure again, SHUFFLES times) and the control task (Hewitt & Liang
    2019): every category gets a random label, half of them 1, learned and scored in the same way, CONTROLS
    times; None with fewer than two categories. A control as good as the gender probe says that the representation
    allows any grouping of its categories to be read, so that the score alone does not single gender out.
    p: share of PERMUTATIONS of the test images' labels that give as high an AUROC; images of one `group` stay in one fold
    and are one witness. CI: 95 %, of `auroc_interval` and `share_interval`; for shuffled and control the range.
    `sparse`, of each of `sizes`: the same probe of so many columns, chosen on train (see `strongest_columns`), no control
    beside it.
    """
    train, test = train.labelled(), test.labelled()
    y_train, y_test = train.gender == "female", test.gender == "female"
    rng = stream(seed, "probe", stream_name)
    document: dict[str, Any] = {
        "n_train": {"female": int(y_train.sum()), "male": int((~y_train).sum())},
        "n_test": {"female": int(y_test.sum()), "male": int((~y_test).sum())},
        "groups": {"train": train.independent(), "test": test.independent()},
        "majority": _majority(y_train, y_test),
    }
    because = too_few(train, FOLDS, "train") or too_few(test, TEST_UNITS, "test") or _alike(train.values)
    because = because or _of_one(test)
    document |= tested(because)
    if because:
        names = (
            "accuracy",
            "auroc",
            "p",
            "least_p",
            "C",
            "shuffled",
            "control",
            *(["sparse"] if sizes else []),
        )
        return document | dict.fromkeys(names)
    x_train, x_test = _inputs(train.values, test.values)
    fold_seed = int(rng.integers(2**31))
    score, penalty = fit_and_score(x_train, y_train, x_test, fold_seed, train.group)
    sparse = [
        (
            chosen,
            *fit_and_score(
                _dense(x_train[:, chosen]), y_train, _dense(x_test[:, chosen]), fold_seed, train.group
            ),
        )
        for chosen in strongest_columns(x_train, y_train, sizes)
    ]
    # one set of permutations for all of them
    scores = np.column_stack([score, *(found for _, found, _ in sparse)])
    p = permuted_auroc_p(scores, y_test, test.group, PERMUTATIONS, rng).tolist()
    document |= _scored(score, y_test, test.group) | {"p": p[0], "C": penalty}
    document["least_p"] = permutation_floor(PERMUTATIONS, arrangements=arrangements(y_test, test.group))
    if sizes:
        document["sparse"] = [
            {"columns": len(chosen), "chosen": chosen.tolist()}
            | _scored(found, y_test, test.group)
            | {"p": own, "C": c}
            for (chosen, found, c), own in zip(sparse, p[1:], strict=True)
        ]
    shuffled = []
    for _ in range(SHUFFLES):
        labels = shuffled_labels(y_train, 1, rng, train.group)[:, 0]
        if min(labels.sum(), (~labels).sum()) < FOLDS:
            continue
        score, _ = fit_and_score(x_train, labels, x_test, fold_seed, train.group)
        shuffled.append((accuracy(score, y_test), auroc(score, y_test)))
    document["shuffled"] = _spread(shuffled) if shuffled else None
    document["control"] = _control(x_train, train, x_test, test, fold_seed, rng)
    return document


def too_few(images: ImageTable, least: int, split: str) -> str | None:
    """Why the genders cannot be told apart from so few independent images of known gender; None where they can."""
    units = {gender: len(set(images.group[images.gender == gender])) for gender in ("female", "male")}
    return too_few_units(units, least, f"independent images in {split}")


def _of_one(test: ImageTable) -> str | None:
    """Why an AUROC of the test images has no interval where one group has most of a gender's; None where it has one."""
    for gender in ("female", "male"):
        worth = effective(units(len(test), test.group)[test.gender == gender])
        if worth < TEST_UNITS:
            return (
                f"one group has most of the {gender} images in test: as witnesses they are worth {worth:.1f}, and it takes "
                f"{TEST_UNITS}"
            )
    return None


def _alike(values: csr_array | np.ndarray) -> str | None:
    """Why nothing can be learned where all rows are the same; None where they differ."""
    return None if _varies(values).any() else "what is read is the same for all train images"


def _varies(values: csr_array | np.ndarray) -> np.ndarray:
    """(F) bool: the columns that are not the same in all rows."""
    low, high = (
        np.ravel(bound.todense() if issparse(bound) else bound)
        for bound in (values.min(axis=0), values.max(axis=0))
    )
    return low < high


def strongest_columns(x: csr_array | np.ndarray, y: np.ndarray, sizes: Sequence[int]) -> list[np.ndarray]:
    """Of each of `sizes` so many columns of x (n, F), those with the largest F of an analysis of variance by y (n) bool.

    Of two classes that is their difference of means over the spread within them, squared: the scale of a column plays no
    part. Sizes beyond the columns that vary are left out.
    """
    from sklearn.feature_selection import f_classif

    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # columns that are constant: they have no F
        # the F is of sums of squares: in float32 those of a massive channel, far from 0, are rounding alone
        strength = f_classif(x.astype(np.float64), y)[0] if len(sizes) else np.empty(0)
    if len(sizes):
        strength = np.where(_varies(x), strength, np.nan)
    order = np.argsort(-strength, kind="stable")[: np.isfinite(strength).sum() + np.isposinf(strength).sum()]
    return [order[:size] for size in sizes if size <= len(order)]


def _dense(values: csr_array | np.ndarray) -> np.ndarray:
    return values.toarray() if issparse(values) else values


def _inputs(train: Any, test: Any) -> tuple[Any, Any]:
    """Both sparse or both dense: codes that are not very sparse are solved faster dense, while memory allows."""
    cells = np.prod(train.shape) + np.prod(test.shape)
    if issparse(train) and train.nnz > 0.05 * np.prod(train.shape) and cells < _DENSE_CELLS:
        return train.toarray(), test.toarray()
    return train, test


def fit_and_score(
    x_train: csr_array | np.ndarray,
    y_train: np.ndarray,
    x_test: csr_array | np.ndarray,
    fold_seed: int,
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, float]:
    """Decision values (m) of the test rows, and the C that cross-validation in train chose.

    groups: (n) of the train rows; those of one group are in one fold. Sparse inputs are scaled but not centred,
    which the unpenalised intercept makes the same model.
    """
    import sklearn

    y_train = np.asarray(y_train, dtype=bool)
    losses = np.zeros(len(PENALTIES))
    # thousands of small fits: checking the same parameters each time costs as much as the fits
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        for inside, outside in grouped_folds(y_train, groups, FOLDS, fold_seed):
            if len(set(y_train[inside])) < 2:
                continue  # few groups: this fold teaches nothing
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


def _scored(score: np.ndarray, y: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    """Accuracy and AUROC with their intervals."""
    return {
        "accuracy": _with_interval(accuracy(score, y), share_interval((score > 0) == y, groups)),
        "auroc": _with_interval(auroc(score, y), auroc_interval(score, y, groups)),
    }


def accuracy(score: np.ndarray, y: np.ndarray) -> float:
    """Share of rows whose score (m) has the sign of its class."""
    return float(np.mean((score > 0) == y))


def _majority(y_train: np.ndarray, y_test: np.ndarray) -> dict[str, Any]:
    """The larger class of train as the answer to every test image."""
    if not len(y_train) or not len(y_test):
        return {"label": None, "accuracy": None}
    female = bool(y_train.sum() * 2 > len(y_train))
    return {"label": "female" if female else "male", "accuracy": float(np.mean(y_test == female))}


def _with_interval(value: float, bounds: tuple[float | None, float | None]) -> dict[str, float | None]:
    return {"value": float(value), "low": bounds[0], "high": bounds[1]}


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
    train: ImageTable,
    x_test: Any,
    test: ImageTable,
    fold_seed: int,
    rng: np.random.Generator,
) -> dict[str, Any] | None:
    categories_train, categories_test = train.category.astype(str), test.category.astype(str)
    names = np.unique(categories_train)
    if len(names) < 2:
        return None
    pairs = []
    for _ in range(CONTROLS):
        ones = rng.permutation(names)[: len(names) // 2]
        y_train, y_test = np.isin(categories_train, ones), np.isin(categories_test, ones)
        if min(y_train.sum(), (~y_train).sum()) < FOLDS or not 0 < y_test.sum() < len(y_test):
            continue
        score, _ = fit_and_score(x_train, y_train, x_test, fold_seed, train.group)
        pairs.append((accuracy(score, y_test), auroc(score, y_test)))
    return _spread(pairs) if pairs else None
