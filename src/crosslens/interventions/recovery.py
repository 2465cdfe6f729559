"""Recoveries of patches and how attributions agree with them, with intervals by resampled groups."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import pearsonr, spearmanr

from crosslens.interventions.nodes import OF_TOWER
from crosslens.stats.correlation import fisher_interval
from crosslens.stats.fdr import benjamini_hochberg
from crosslens.stats.means import resampled_interval
from crosslens.stats.resampling import bootstrap_weights, stream
from crosslens.stats.sign_flips import sign_flip_p

METHODS = ("atp", "atp_star", "ig", "relp")
COLUMNS = {
    **dict.fromkeys(("swap", "group"), "str"),
    "case": "int64",
    **dict.fromkeys(("language", "variant", "direction", "source", "donor", "kind"), "str"),
    **dict.fromkeys(("layer", "node"), "int64"),
    "positions": "str",
    **dict.fromkeys(("outcome", "outcome_other", "outcome_patched", *METHODS), "float64"),
}
"""Of a table of effects, with their types."""
CELL = ("swap", "language", "direction", "source", "donor", "kind", "layer", "node", "positions")
PICTURED = ("image", "category")
"""Swaps of pictures, whose difference begins in what the decoder is given of them."""
COMPONENTS = ("attn_out", "mlp_out")
"""What a block adds, patched at all positions."""
BETWEEN = {
    "": ("other", "same"),
    "elsewhere": ("other_elsewhere", "same_elsewhere"),
    "romanised": ("other_romanised", "same_romanised"),
    "random": ("random", "same"),
}
"""What is exchanged between languages beside the states of the same case, with its donors of the other gender and of the own:
those of another case; of texts in Latin letters; and the own gender's with a step in a random direction."""
THETA = 0.1
"""Nats: an effect beyond is one to be found."""
ZERO = 0.01
"""Nats: an effect within is none."""
LEVEL = 0.05
"""Of the share of false ones among the blocks behind which a language's state is said to tell gender in another."""
TOP = 0.1
"""The largest tenth of the effects, whose share among the largest attributions is told."""


def recoveries(effects: pd.DataFrame, bound: float) -> pd.DataFrame:
    """Rows of effects with their `recovery` R = (patched - own) / (other - own); pairs that differ by less than `bound` left out.

    The run that is patched is the corrupt one (denoising: R is how much is sufficient) or the clean one (noising: R is
    how much of the difference is lost).
    """
    difference = effects["outcome_other"] - effects["outcome"]
    kept = effects[difference.abs() >= bound]
    return kept.assign(recovery=(kept["outcome_patched"] - kept["outcome"]) / difference[kept.index])


def maps(kept: pd.DataFrame, *, bootstraps: int, seed: int) -> pd.DataFrame:
    """Mean R of each cell (CELL), with its interval over groups; a row a cell."""
    parts = []
    for (swap, language), own in kept.groupby(["swap", "language"], sort=False):
        table = own.pivot_table(
            index="group", columns=[*CELL[2:]], values="recovery", aggfunc="mean", sort=False
        )
        found = pd.DataFrame(
            means(table.to_numpy(), bootstraps, stream(seed, "patching", swap, language)),
            columns=["n", "recovery", "low", "high"],
        )
        cells = table.columns.to_frame(index=False)
        parts.append(pd.concat([cells, found], axis=1).assign(swap=swap, language=language))
    columns = [*CELL, "n", "recovery", "low", "high"]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    return table[columns].astype({"n": "int64", "layer": "int64", "node": "int64"})


def means(values: np.ndarray, bootstraps: int, rng: np.random.Generator) -> np.ndarray:
    """(cells, 4): how many groups have a value, their mean and its bounds; values (groups, cells), NaN where a group has none.

    Bounds are NaN of fewer than two groups.
    """
    there = np.isfinite(values)
    filled = np.where(there, values, 0.0)
    weights = bootstrap_weights(np.zeros(len(values), dtype=np.int64), bootstraps, rng)
    n = there.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(axis=0) / n
        drawn = (weights.T @ filled) / (weights.T @ there)
    bounds = np.full((values.shape[1], 2), np.nan)
    for cell in np.flatnonzero(n > 1):
        draws = drawn[:, cell][np.isfinite(drawn[:, cell])]
        bounds[cell] = resampled_interval(draws, int(n[cell]))
    return np.column_stack([n, mean, bounds])


def score(row: np.ndarray) -> dict[str, Any]:
    """n, value, low and high as fields; None where undefined."""
    n, *numbers = row.tolist()
    named = zip(("value", "low", "high"), numbers, strict=True)
    return {"n": int(n)} | {name: value if np.isfinite(value) else None for name, value in named}


def interchange(kept: pd.DataFrame, *, bootstraps: int, seed: int) -> list[dict[str, Any]]:
    """Of each two languages, block and class, and of each of BETWEEN: R by the state of the other gender and of the own one, and
    other − same, with its p by groups' signs, BH over the blocks.

    What destroys information alone moves the outcome too: other − same is what the language of the donor says of gender. Of the
    own language (source = language) `same` is the state that is there, whose R is 0; its controls are those of `controls`.
    `beyond`: how much further other − same goes than the control's, of the groups that have both.
    """
    sites = kept[(kept["kind"] == "resid_post") & (kept["positions"] != "all")]
    found = []
    keys = ["swap", "language", "source", "positions", "layer"]
    for (swap, language, source, positions, layer), own in sites.groupby(keys, sort=False):
        table = own.pivot_table(
            index=["group", "variant"], columns="donor", values="recovery", aggfunc="mean"
        )
        if source == language:
            table["same"] = 0.0
        between = BETWEEN if source != language else {"": BETWEEN[""]}
        by_control = {
            control: _differences(table, *donors)
            for control, donors in between.items()
            if {*donors} <= {*table.columns}
        }
        for control, by_group in by_control.items():
            if by_group.empty:
                continue
            if "" in by_control and control:
                by_group["beyond"] = by_control[""]["difference"] - by_group["difference"]
            columns = by_group.reindex(columns=["other", "same", "difference", "beyond"])
            about = {"swap": swap, "language": language, "source": source, "control": control}
            about |= {"positions": positions, "layer": int(layer)}
            rng = stream(seed, "interchange", *map(str, about.values()))
            scores = map(score, means(columns.to_numpy(), bootstraps, rng))
            p = sign_flip_p(columns["difference"].to_numpy(), rng)
            found.append(about | dict(zip(columns.columns, scores, strict=True)) | {"p": p})
    _correct(found)
    return found


def _differences(table: pd.DataFrame, other: str, same: str) -> pd.DataFrame:
    """A row for each group: R by either donor, of the runs that have both, and the difference."""
    both = table[[other, same]].dropna().set_axis(["other", "same"], axis=1)
    return both.assign(difference=both["other"] - both["same"]).groupby("group").mean()


def _correct(rows: list[dict[str, Any]]) -> None:
    """Give each row its `q`, of the blocks of one exchange."""
    exchanges: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        named = ("swap", "language", "source", "control", "positions")
        exchanges.setdefault(tuple(row[name] for name in named), []).append(row)
    for own in exchanges.values():
        for row, q in zip(own, benjamini_hochberg(np.array([row["p"] for row in own])), strict=True):
            row["q"] = float(q)


def controls(kept: pd.DataFrame, *, bootstraps: int, seed: int) -> list[dict[str, Any]]:
    """R of patches of the residual stream that should do little, beside that of the other run, of both runs of a pair and of
    each by itself; by block and class."""
    names = ["other", "same_elsewhere", "other_elsewhere", "random"]
    ways = ["denoising", "noising"]
    sites = kept[
        (kept["kind"] == "resid_post") & (kept["source"] == kept["language"]) & kept["donor"].isin(names)
    ]
    found = []
    for (swap, language, positions, layer), own in sites.groupby(
        ["swap", "language", "positions", "layer"], sort=False
    ):
        if positions == "all":
            continue
        of_other = own[own["donor"] == "other"]
        table = pd.concat(
            [
                rows.pivot_table(index="group", columns=by, values="recovery", aggfunc="mean")
                for rows, by in ((own, "donor"), (of_other, "direction"))
            ],
            axis=1,
        ).reindex(columns=[*names, *ways])
        rng = stream(seed, "patching controls", swap, language, positions, str(layer))
        scores = map(score, means(table.to_numpy(), bootstraps, rng))
        found.append(
            {"swap": swap, "language": language, "positions": positions, "layer": int(layer)}
            | dict(zip(table.columns, scores, strict=True))
        )
    return found


def components(kept: pd.DataFrame, *, bootstraps: int, seed: int) -> list[dict[str, Any]]:
    """R where pictures are swapped, of both runs of a pair: of what each half of each block of the image encoder adds, of what
    the decoder is given of a picture (`resid_pre`, all of it), and of what each half of each block adds at all positions."""
    given = kept["kind"].isin(["resid_pre", *OF_TOWER]) & (kept["positions"] == "image")
    added = kept["kind"].isin(COMPONENTS) & (kept["positions"] == "all")
    by_other = (kept["donor"] == "other") & (kept["source"] == kept["language"])
    own = kept[kept["swap"].isin(PICTURED) & by_other & (given | added)]
    found = []
    for (swap, language), rows in own.groupby(["swap", "language"], sort=False):
        table = rows.pivot_table(index="group", columns=["kind", "layer"], values="recovery", aggfunc="mean")
        scores = means(table.to_numpy(), bootstraps, stream(seed, "components", swap, language))
        found += [
            {"swap": swap, "language": language, "kind": kind, "layer": int(layer), "recovery": score(row)}
            for (kind, layer), row in zip(table.columns, scores, strict=True)
        ]
    return found


def agreement(effects: pd.DataFrame, *, bootstraps: int, seed: int) -> list[dict[str, Any]]:
    """How far each method's attributions are the effects of the patches, in nats towards the other run; of each kind of place,
    over all blocks (`layer` None) and block by block."""
    made = effects[
        (effects["donor"] == "other")
        & (effects["source"] == effects["language"])
        & (effects["positions"] != "all")
        & effects["atp"].notna()
    ]
    found = []
    for (swap, language, kind), own in made.groupby(["swap", "language", "kind"], sort=False):
        for layer, rows in [(None, own), *own.groupby("layer", sort=True)]:
            about = {
                "swap": swap,
                "language": language,
                "kind": kind,
                "layer": None if layer is None else int(layer),
            }
            found += by_method(
                about, rows, METHODS, bootstraps, stream(seed, "attribution", *map(str, about.values()))
            )
    return found


def by_method(
    about: dict[str, Any],
    rows: pd.DataFrame,
    methods: Sequence[str],
    bootstraps: int,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """`compared` of each method that says something of all rows.

    Both runs of a pair: each towards the other, or every place would go the way of its run, and anything that does so would seem
    to tell places apart.
    """
    towards = np.sign(rows["outcome_other"] - rows["outcome"]).to_numpy()
    true = towards * (rows["outcome_patched"] - rows["outcome"]).to_numpy()
    return [
        about | {"method": method} | compared(true, said, rows["group"].to_numpy(), bootstraps, rng)
        for method in methods
        for said in [towards * rows[method].to_numpy()]
        if np.isfinite(said).all()
    ]


def compared(
    true: np.ndarray, said: np.ndarray, groups: np.ndarray, bootstraps: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Effects (n) and what is said of them (n), nats; None where undefined. `total_error`: Σ|said − true| / Σ|true|."""
    varied = len(true) > 2 and np.ptp(true) > 0 and np.ptp(said) > 0
    large, none = np.abs(true) > THETA, np.abs(true) <= ZERO
    top = max(1, round(TOP * len(true)))
    largest = [{*np.argsort(-np.abs(of), kind="stable")[:top].tolist()} for of in (true, said)]
    weights = bootstrap_weights(np.zeros(len(true), dtype=np.int64), bootstraps, rng, groups)
    few = len({*groups.tolist()}) < 3
    r = float(pearsonr(true, said).statistic) if varied else None
    drawn = _pearsons(true, said, weights) if varied and not few else np.empty(0)
    low, high = (None, None) if r is None else fisher_interval(r, drawn)
    return {
        "n": len(true),
        "groups": len({*groups.tolist()}),
        "pearson": {"value": r, "low": low, "high": high},
        "spearman": float(spearmanr(true, said).statistic) if varied else None,
        "sign": float(np.mean(np.sign(true[large]) == np.sign(said[large]))) if large.any() else None,
        "top": len(largest[0] & largest[1]) / top,
        "large": int(large.sum()),
        "missed": float(np.mean(np.abs(said[large]) <= THETA)) if large.any() else None,
        "none": int(none.sum()),
        "false_positives": float(np.mean(np.abs(said[none]) > THETA)) if none.any() else None,
        "total_error": float(np.abs(said - true).sum() / np.abs(true).sum()) if np.abs(true).sum() else None,
    }


def _pearsons(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(draws) correlations of x and y (n) with weights (n, draws)."""
    total = weights.sum(axis=0)

    def mean(of: np.ndarray) -> np.ndarray:
        return of @ weights / total

    mx, my = mean(x), mean(y)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (mean(x * y) - mx * my) / np.sqrt((mean(x * x) - mx**2) * (mean(y * y) - my**2))


def counted(effects: pd.DataFrame, bound: float) -> list[dict[str, Any]]:
    """Of each swap and language: how many pairs of runs, how many of them differ by `bound` nats, and by how many on average; of
    texts as they are, and in Latin letters where these are exchanged."""
    text = effects["donor"].str.endswith("_romanised").map({True: "romanised", False: ""})
    first = effects.assign(text=text)[effects["direction"] == "noising"]
    first = first.drop_duplicates(["swap", "language", "text", "case", "variant"])
    found = []
    for (swap, language, text), own in first.groupby(["swap", "language", "text"], sort=False):
        difference = (own["outcome"] - own["outcome_other"]).to_numpy()
        kept = np.abs(difference) >= bound
        found.append(
            {
                "swap": swap,
                "language": language,
                "text": text or None,
                "pairs": len(own),
                "kept": int(kept.sum()),
                "groups": int(own["group"][kept].nunique()),
                "difference": float(difference.mean()),
                "positive": float((difference > 0).mean()),
            }
        )
    return found


def told(effects: pd.DataFrame, *, bound: float, bootstraps: int, seed: int) -> dict[str, Any]:
    """What the document of kind patching says of a table of effects."""
    kept = recoveries(effects, bound)
    everywhere = (kept["positions"] == "all") & (kept["kind"] == "resid_post")
    whole = kept[everywhere & (kept["donor"] == "other")]["recovery"]
    of = {"bootstraps": bootstraps, "seed": seed}
    return {
        "pairs": counted(effects, bound),
        "all_patched": {
            "n": len(whole),
            "largest_error": float((whole - 1).abs().max()) if len(whole) else None,
        },
        "theta": THETA,
        "zero": ZERO,
        "top": TOP,
        "level": LEVEL,
        "interchange": interchange(kept, **of),
        "controls": controls(kept, **of),
        "components": components(kept, **of),
        "attribution": agreement(effects, **of),
    }
