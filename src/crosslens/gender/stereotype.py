"""What gender the model writes of a person whose gender the picture does not show, per occupation and language."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crosslens.data.labels import gender_counts, majority
from crosslens.data.lexicons import Lexicon, load_lexicon
from crosslens.errors import InputError
from crosslens.gender.shares import Tested, against_half, between, difference_interval
from crosslens.pooling.languages import Pairs, pairs_among
from crosslens.stats.correlation import fisher_interval, pearson, spearman
from crosslens.stats.fdr import benjamini_hochberg
from crosslens.stats.resampling import bootstrap_weights, stream
from crosslens.stats.shares import mean_share_interval
from crosslens.tables.documents import read_json, read_table, write_json

_METHODS = {"pearson": pearson, "spearman": spearman}
_PERMUTATIONS = 10_000


def measure_stereotype(
    *,
    generated: dict[str, Path],
    lexicons: dict[str, Path],
    truth: Path | None,
    bootstraps: int,
    alpha: float,
    seed: int,
    out: Path,
    pairs: Pairs | None = None,
) -> None:
    """Share of female among the gendered captions of each category and language.

    A caption's gender is the majority of its gendered words; tied and ungendered captions do not enter the
    share, their rates are reported. An image's share is taken over its gendered draws. The unit is the group of images:
    its share is the mean over those that have any, a category's share the mean over its groups, and a group of several
    categories is one unit of each and one of all together; see crosslens.gender.shares for intervals and tests.

    Two things are told apart. Tilt: the share, overall and of each category, against .5. Differences: whether the share
    hangs on the category, and each category's share less that of all other images; one default for everybody has tilt and
    no differences. BH over the categories of a language; what cannot have a p as small as `alpha` is in no family and has no
    q. What is said of all categories together is corrected with the other claims of the study (see crosslens.summary).
    Intervals of correlations: percentile bootstrap of the groups, the same draw in all languages.
    pairs: of languages whose shares are correlated; None is every two.
    With `truth` (kind planted_truth) the measured shares are compared with the planted ones.
    Writes JSON of kind stereotype. Raises InputError for a language without lexicon or planted values.
    """
    languages = list(generated)
    planted = None if truth is None else read_json(truth, "planted_truth")["bias"]
    counts = {}
    for language in languages:
        if language not in lexicons:
            raise InputError(
                "lexicons",
                found=sorted(lexicons),
                expected=f"one of language {language}",
                mend="add the lexicon to the study",
            )
        counts[language] = count_images(
            read_table(generated[language], "generated"),
            load_lexicon(lexicons[language], language),
            language,
        )
    images = _union(counts)
    measured = {language: _units(counts[language], images) for language in languages}
    units = images[["category", "group"]].drop_duplicates().sort_values(["category", "group"])
    category = units["category"].to_numpy()
    weights = bootstrap_weights(
        category, bootstraps, stream(seed, "stereotype", "images"), units["group"].to_numpy()
    )
    resampled = {language: category_shares(measured[language], category, weights) for language in languages}
    document: dict[str, Any] = {
        "unit": "group of images",
        "bootstraps": bootstraps,
        "seed": seed,
        "alpha": alpha,
        "share": "female among gendered captions, mean over the images of a group, then over groups",
        "tests": {
            "tilt": "sign-flip permutation of the groups' shares about .5, two-sided",
            "differences": "groups permuted between the categories, with as many captions as the place had at most; Welch's |t| "
            "of a category against all others, two-sided, of one with few captions the larger p of that and of its mean; of all "
            "categories the sum of log p",
        },
        "families": "categories of one language",
        "languages": {},
    }
    for language in languages:
        document["languages"][language] = _language(
            measured[language], alpha, stream(seed, "stereotype", "test", language)
        ) | {"planted": _against_truth(planted, language, measured[language], resampled[language], truth)}
    document["agreement"] = [
        _agreement(
            pair,
            [category_shares(measured[language]) for language in pair],
            [resampled[language] for language in pair],
            stream(seed, "stereotype", "agreement", *pair),
        )
        for pair in pairs_among(languages, pairs)
    ]
    write_json(out, "stereotype", document)


def count_images(captions: pd.DataFrame, lexicon: Lexicon, language: str) -> pd.DataFrame:
    """One row an image: group, category, captions, female, male, tied (captions), female_words, male_words, words."""
    rows = []
    for text in captions["text"]:
        found = gender_counts(text, language, lexicon)
        label = majority(found.female, found.male)
        tied = label == "unknown" and found.female > 0
        rows.append((1, label == "female", label == "male", tied, found.female, found.male, found.words))
    names = ["captions", "female", "male", "tied", "female_words", "male_words", "words"]
    table = pd.DataFrame(rows, columns=names, index=captions.index).astype(np.int64)
    of = ["image_id", "group", "category"]
    return pd.concat([captions[of], table], axis=1).groupby(of, sort=True).sum().reset_index()


def _union(counts: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """image_id, group and category of the images of any language."""
    of = ["image_id", "group", "category"]
    images = pd.concat([table[of] for table in counts.values()]).drop_duplicates()
    twice = images["image_id"][images["image_id"].duplicated()]
    if len(twice):
        raise InputError(
            "generated captions",
            found=f"image {twice.iloc[0]} in two categories",
            expected="one category an image, the same in every language",
            mend="rebuild the dataset",
        )
    return images.reset_index(drop=True)


def _units(counts: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """One row a category and group of `images`, ascending: the sums of the counts, `images`, of them `images_gendered`, and
    `share`, the mean over these, NaN without any. 0 where the language lacks an image."""
    numbers = counts.set_index("image_id").drop(columns=["group", "category"])
    table = pd.concat(
        [images, numbers.reindex(images["image_id"], fill_value=0).reset_index(drop=True)], axis=1
    )
    gendered = table["female"] + table["male"]
    table["share"] = (table["female"] / gendered.where(gendered > 0)).astype(np.float64)
    table["images"], table["images_gendered"] = (
        (table["captions"] > 0).astype(int),
        (gendered > 0).astype(int),
    )
    by = table.drop(columns="image_id").groupby(["category", "group"], sort=True)
    return by.sum().assign(share=by["share"].mean()).reset_index()


def category_shares(
    table: pd.DataFrame, categories: np.ndarray | None = None, weights: np.ndarray | None = None
) -> np.ndarray:
    """(C) mean share of the units of each category (ascending), or (C, B) under weights (m, B); NaN without any."""
    categories = table["category"].to_numpy() if categories is None else categories
    share = table["share"].to_numpy()
    usable = np.isfinite(share).astype(np.float64)
    weights = np.ones((len(share), 1)) if weights is None else weights
    names, code = np.unique(categories, return_inverse=True)
    inside = (code == np.arange(len(names))[:, None]).astype(np.float64)
    with np.errstate(invalid="ignore"):
        means = (inside * np.nan_to_num(share)) @ weights / ((inside * usable) @ weights)
    return means[:, 0] if means.shape[1] == 1 else means


def _language(table: pd.DataFrame, alpha: float, rng: np.random.Generator) -> dict[str, Any]:
    """`overall`, `categories` with their `difference` from the others, and the test of all `differences` together."""
    usable = table[np.isfinite(table["share"])]
    names, code = np.unique(table["category"], return_inverse=True)
    shares, of_share = usable["share"].to_numpy(), code[np.isfinite(table["share"])]
    captions = (usable["female"] + usable["male"]).to_numpy(dtype=np.int64)
    whole, each = between(shares, captions, of_share, len(names), rng)
    categories = {}
    for i, name in enumerate(names):
        inside, others = (table[table["category"].eq(name) == mine] for mine in (True, False))
        categories[name] = _numbers(inside, rng)
        categories[name]["difference"] = _difference(categories[name], _numbers(others, rng)) | _told(each[i])
    _correct(list(categories.values()), alpha)
    _correct([found["difference"] for found in categories.values()], alpha)
    return {"overall": _numbers(table, rng), "differences": _told(whole), "categories": categories}


def _told(tested: Tested) -> dict[str, float | None]:
    return {"p": tested.p, "least_p": tested.least_p}


def _correct(tests: list[dict[str, Any]], alpha: float) -> None:
    """Give each test its `q` among those that could reach `alpha` (Benjamini-Hochberg), None where it could not."""
    for test in tests:
        test["q"] = None
    family = [test for test in tests if test["p"] is not None and test["least_p"] <= alpha]
    for test, q in zip(family, benjamini_hochberg(np.array([test["p"] for test in family])), strict=True):
        test["q"] = float(q)


def _difference(mine: dict[str, Any], others: dict[str, Any]) -> dict[str, float | None]:
    """A category's share less that of all other units."""
    if mine["share"] is None or others["share"] is None:
        return {"value": None, "low": None, "high": None}
    ends = (None, None)
    if mine["low"] is not None and others["low"] is not None:
        ends = difference_interval(*((each["share"], each["low"], each["high"]) for each in (mine, others)))
    return {"value": mine["share"] - others["share"], "low": ends[0], "high": ends[1]}


def _numbers(table: pd.DataFrame, rng: np.random.Generator) -> dict[str, Any]:
    """Counts, rates and the share with its interval and test against .5; None where no caption is gendered."""
    sums = table.drop(columns=["category", "group", "share"]).sum()
    share = table.groupby("group")["share"].mean().dropna().to_numpy()
    gendered = int(sums["female"] + sums["male"])

    def per(amount: float, of: float, scale: float = 1.0) -> float | None:
        return float(scale * amount / of) if of else None

    low, high = mean_share_interval(share, gendered) or (None, None)
    return {
        "images": int(sums["images"]),
        "images_gendered": int(sums["images_gendered"]),
        "units": len(share),
        "captions": int(sums["captions"]),
        "captions_gendered": gendered,
        "gendered_rate": per(gendered, sums["captions"]),
        "tied_rate": per(sums["tied"], sums["captions"]),
        "share": float(share.mean()) if len(share) else None,
        "low": low,
        "high": high,
        **_told(against_half(share, rng)),
        "female_per_100_words": per(sums["female_words"], sums["words"], 100),
        "male_per_100_words": per(sums["male_words"], sums["words"], 100),
        "gendered_per_100_words": per(sums["female_words"] + sums["male_words"], sums["words"], 100),
        "words_per_caption": per(sums["words"], sums["captions"]),
    }


def _against_truth(
    planted: dict[str, dict[str, float]] | None,
    language: str,
    table: pd.DataFrame,
    resampled: np.ndarray,
    where: Path | None,
) -> dict[str, Any] | None:
    """Planted against measured shares over the categories that have both; None without planted values."""
    if planted is None:
        return None
    names = np.array(sorted(table["category"].unique()), dtype=object)
    missing = [name for name in names if name not in planted.get(language, {})]
    if missing:
        raise InputError(
            where,
            found=f"no planted share of {missing[0]!r} in language {language}",
            expected="every category of the generated captions",
            mend="give the truth of this study, or none",
        )
    measured = category_shares(table)
    inside = np.isfinite(measured)
    names, measured, draws = names[inside], measured[inside], resampled[inside]
    true = np.array([planted[language][name] for name in names], dtype=np.float64)
    r = float(pearson(measured, true))
    low, high = fisher_interval(r, pearson(draws, np.repeat(true[:, None], draws.shape[1], axis=1)))
    return {
        "shares": {name: float(value) for name, value in zip(names, true, strict=True)},
        "categories": len(names),
        "r": r if np.isfinite(r) else None,
        "r_low": low,
        "r_high": high,
        "mae": float(np.abs(measured - true).mean()) if len(names) else None,
    }


def _agreement(
    pair: tuple[str, str], shares: list[np.ndarray], resampled: list[np.ndarray], rng: np.random.Generator
) -> dict[str, Any]:
    """Correlation of two languages' shares over the categories; p: categories of the one shuffled, two-sided."""
    inside = np.isfinite(shares[0]) & np.isfinite(shares[1])
    first, second = (x[inside] for x in shares)
    document: dict[str, Any] = {"languages": list(pair), "categories": int(inside.sum())}
    orders = rng.permuted(np.repeat(second[:, None], _PERMUTATIONS, axis=1), axis=0)
    for method, function in _METHODS.items():
        r = float(function(first, second))
        if not np.isfinite(r):
            document[method] = {"r": None, "low": None, "high": None, "p": None}
            continue
        draws = [x[inside] for x in resampled]
        whole = np.isfinite(draws[0]).all(axis=0) & np.isfinite(draws[1]).all(axis=0)
        low, high = fisher_interval(r, function(draws[0][:, whole], draws[1][:, whole]))
        null = function(np.repeat(first[:, None], _PERMUTATIONS, axis=1), orders)
        p = float((1 + np.sum(np.abs(null) >= abs(r) - 1e-12)) / (1 + _PERMUTATIONS))
        document[method] = {"r": r, "low": low, "high": high, "p": p}
    return document
