"""Where in depth do two languages part and meet? Each measure over the layers, with where it is largest and smallest."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from crosslens.errors import InputError
from crosslens.stats.fdr import benjamini_hochberg
from crosslens.summary.names import site_order
from crosslens.summary.reading import Document
from crosslens.tables.documents import write_json

LEAST_GROUPS = 8
"""Fewer have too few halves to tell how they vary; as in `alignment.sharing`, of exchanges."""
COVERED = 0.95
"""Share of the draws that the layers named for an extremum hold together."""
METHOD = "difference_of_means"
"""Of the transfers in a layer's summary, the one whose direction is the cosine's too."""
WHAT = ("measure", "of", "source", "target")
"""What a series is of: the measure; the condition or what was read; two languages."""
LIMITS = {"cosine": (-1.0, 1.0), "transfer": (0.0, 1.0), "cka": (-np.inf, 1.0)}
"""What a measure can be at all."""
Series = dict[tuple[str, str, str, str], dict[str, Any]]


def compare_layers(*, layers: dict[str, Path], representations: dict[str, Path], out: Path) -> None:
    """Write JSON of kind divergence: series over the layers, how they deviate out of representations, the rest out of layers'
    summaries: of more units than representations compare, deviations are those of fewer, and so too wide rather than too small.

    layers, representations: site -> file. The deviations of all sites are of the same halves of the images, so that sites
    are compared within a draw: see `series_of`. Raises InputError where a site's files are missing or of another site.
    """
    if layers.keys() != representations.keys():
        raise InputError(
            "representations",
            found=f"sites {sorted(representations)}",
            expected=f"{sorted(layers)}, those of the layers",
            mend="name the files of every site",
        )
    places = sorted(layers, key=site_order)
    found: dict[str, Series] = {}
    for site in places:
        document, layer = Document(representations[site], "representations"), Document(layers[site], "layer")
        for name, of in (("site", document("site")), ("site", layer("site"))):
            if of != site:
                raise InputError(
                    document.path, found=f"{name} {of}", expected=site, mend="name the right file"
                )
        found[site] = {
            key: told | _beside(key, layer) for key, told in measured(document) if told["value"] is not None
        }
    results = []
    for kind in dict.fromkeys(site.partition(".")[2] for site in places):
        sites = [site for site in places if site.partition(".")[2] == kind]
        keys = dict.fromkeys(key for site in sites for key in found[site])
        for key in keys:
            told = {site: found[site][key] for site in sites if key in found[site]}
            results.append(
                dict(zip(WHAT, key, strict=True))
                | {"kind": kind or "resid_post"}
                | series_of(told, LIMITS.get(key[0], (-np.inf, np.inf)))
            )
    tested = [of for of in results if of["differs"]["p"] is not None]
    for of, q in zip(
        tested, benjamini_hochberg(np.array([of["differs"]["p"] for of in tested])), strict=True
    ):
        of["differs"]["q"] = float(q)
    write_json(out, "divergence", {"sites": places, "covered": COVERED, "series": results})


def measured(document: Document) -> Iterator[tuple[tuple[str, str, str, str], dict[str, Any]]]:
    """What a document of kind representations measured of which: `value`, `deviations` and `groups`."""
    for pair in document("pairs"):
        languages = tuple(pair["languages"])
        for read in pair["reads"]:
            of = {"groups": read["groups"]}
            yield ("cka", read["read"], *languages), read["cka"] | of
            for row in read["retrieval"]:
                yield ("retrieval", read["read"], row["source"], row["target"]), row | of
        for gender in pair["gender"]:
            yield ("cosine", gender["condition"], *languages), gender["cosine"]
            for row in gender["transfer"]:
                yield ("transfer", gender["condition"], row["source"], row["target"]), row


def _beside(key: tuple[str, str, str, str], layer: Document) -> dict[str, Any]:
    """What a layer's summary has of the same measure, so that one number of a page has one value, n, interval and null.

    `value` and `groups` where it was measured there; `null_low` and `null_high`, None where there is none; of R@1 `low` and
    `high`, as halves give a share near 0 no interval.
    """
    measure, of, source, target = key

    def record(name: str, **wanted: Any) -> dict[str, Any]:
        return next((r for r in layer.records(name) if all(r[k] == v for k, v in wanted.items())), {})

    if measure == "transfer":
        row = record("transfer", condition=of, source=source, target=target, method=METHOD)
        own, groups, null = row.get("auroc"), row.get("groups"), (row.get("null_low"), row.get("null_high"))
    elif measure == "cosine":
        row = record("directions", condition=of, languages=[source, target])
        groups = min(row["train_groups"]) if "train_groups" in row else None
        own, null = row.get("cosine"), (row.get("null_low"), row.get("null_high"))
    elif measure == "cka":
        row = record("cka", read=of, languages=[source, target])
        own, groups, null = row.get("unbiased"), row.get("units"), (None, row.get("unbiased_q95"))
    else:
        row = record("retrieval", read=of, source=source, target=target, centred=True)
        own, groups, null = row.get("r1"), row.get("units"), (None, row.get("r1_chance"))
    told = {"null_low": null[0], "null_high": null[1]}
    if measure == "retrieval":
        told |= {name: row.get(f"r1_{name}") for name in ("low", "high")}
    return told if own is None else told | {"value": own, "groups": groups}


def series_of(
    told: dict[str, dict[str, Any]], limits: tuple[float, float] = (-np.inf, np.inf)
) -> dict[str, Any]:
    """One measure over its sites: `points` with 95 % intervals, `differs`, and the `highest` and `lowest` site.

    told: site -> value, deviations (B) of the same draws at every site, null_low, null_high, groups, and low and high where
    they are known otherwise; limits: what the measure can be. Without an interval where no draw deviates. differs: p that all
    sites are the same, of the sum of squares about their mean among that of the deviations, or why there is none. highest,
    lowest: the site, the `share` of draws in which it is that, and the sites that are in COVERED of them, the most frequent
    first.
    """
    sites = list(told)
    values = np.array([told[site]["value"] for site in sites])
    noise = np.array([told[site]["deviations"] for site in sites])
    points = [
        {"site": site, "value": told[site]["value"]}
        | _interval(told[site], limits)
        | {name: told[site][name] for name in ("null_low", "null_high", "groups")}
        for site in sites
    ]
    draws = values[:, None] + noise
    units = min(of["groups"] for of in told.values())
    because = (
        f"there are {units} independent units, and it takes {LEAST_GROUPS}" if units < LEAST_GROUPS else None
    )
    because = "one layer alone was measured" if len(sites) < 2 else because
    return {
        "points": points,
        "differs": {"p": None if because else _differ(values, noise), "q": None, "because": because},
        "highest": _extremum(sites, values, draws, np.argmax),
        "lowest": _extremum(sites, values, draws, np.argmin),
    }


def _interval(of: dict[str, Any], limits: tuple[float, float]) -> dict[str, float | None]:
    if "low" in of:
        return {name: of[name] for name in ("low", "high")}
    if not np.ptp(of["deviations"]):
        return {"low": None, "high": None}
    low, high = np.clip(of["value"] + np.quantile(of["deviations"], [0.025, 0.975]), *limits)
    return {"low": float(low), "high": float(high)}


def _differ(values: np.ndarray, noise: np.ndarray) -> float:
    observed = np.square(values - values.mean()).sum()
    spread = np.square(noise - noise.mean(axis=0)).sum(axis=0)
    return float((1 + np.sum(spread >= observed - 1e-12)) / (1 + noise.shape[1]))


def _extremum(sites: list[str], values: np.ndarray, draws: np.ndarray, which: Any) -> dict[str, Any]:
    shares = np.bincount(which(draws, axis=0), minlength=len(sites)) / draws.shape[1]
    order = np.argsort(-shares, kind="stable")
    within = order[: int(np.searchsorted(np.cumsum(shares[order]), COVERED - 1e-9)) + 1]
    at = int(which(values))
    return {"site": sites[at], "share": float(shares[at]), "within": [sites[i] for i in within]}
