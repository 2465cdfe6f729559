"""Attributions of patched features as the graphs that Neuronpedia shows (its `graph-schema.json`, version 1.0.0).

A graph is of one swap and language: means over pairs of runs, and no single prompt's. In the place of a prompt's tokens stand
the classes of positions that were patched. Links go from features and from what the SAE leaves out to the outcome; effects of
features on each other were not measured, and there are no such links.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from crosslens.interventions.feature_patching import LARGEST
from crosslens.interventions.recovery import recoveries
from crosslens.models.sites import parse_site
from crosslens.summary.reading import Document

POSITIONS = {"image": "<picture>", "word": "<gendered words before>", "last": "<last position>"}
"""Classes of positions, in the order in which they stand in a text."""
OUTCOME = "<outcome>"
SWAPS = {
    "gender": "sentences in two genders",
    "image": "two pictures that differ in gender",
    "category": "two pictures that hide the gender, of unlike categories",
    "caption": "one picture that hides the gender, with a text of a woman or of a man before it",
    "language": "one picture, asked for a caption in either language",
}
CAVEAT = (
    "Means over {n} pairs of runs ({swap}; {language}), of split test. Weight: integrated gradients of the part's difference "
    "between the two runs, in nats of the outcome, towards the other run. What all features of one layer and its error add up "
    "to is the difference; layers do not add up. Shown are the features that were chosen by integrated gradients on other "
    "pairs, and what the SAE leaves out. Positions are classes, no tokens. Effects between features were not measured: there "
    "are links to the outcome alone. R is the share of the difference that a patch of the feature alone brings over, with 95 % "
    "CI."
)


class Patched(NamedTuple):
    """What was patched at one site."""

    site: str
    effects: pd.DataFrame
    """Of kind feature_patches."""
    document: Document
    """Of kind feature_patching."""
    label: Callable[[int], str]
    """What a feature is called."""


def graphs(
    patched: Sequence[Patched], *, slug: str, model: str, source_set: str, depth: int, creator: str
) -> dict[str, dict[str, Any]]:
    """Slug -> graph, of every swap and language of SAEs of one corpus; depth: blocks of the model."""
    found: dict[tuple[str, str], list[tuple[Patched, pd.DataFrame]]] = {}
    for of in patched:
        kept = recoveries(of.effects, of.document("bound"))
        for (swap, language), rows in kept.groupby(["swap", "language"], sort=False):
            found.setdefault((str(swap), str(language)), []).append((of, rows))
    return {
        f"{slug}-{swap}-{language}": _graph(parts, swap, language, slug, model, source_set, depth, creator)
        for (swap, language), parts in found.items()
    }


def _graph(
    parts: Sequence[tuple[Patched, pd.DataFrame]],
    swap: str,
    language: str,
    slug: str,
    model: str,
    source_set: str,
    depth: int,
    creator: str,
) -> dict[str, Any]:
    places = [name for name in POSITIONS if any((rows["positions"] == name).any() for _, rows in parts)]
    tokens = [*(POSITIONS[name] for name in places), OUTCOME]
    outcome = {
        **{"node_id": f"{depth}_outcome_{len(places)}", "feature": None, "layer": str(depth)},
        **{"ctx_idx": len(places), "feature_type": "logit", "jsNodeId": f"{depth}_outcome-{len(places)}"},
        "clerp": "log P(first form) − log P(second form)",
    }
    found = [each for of, rows in parts for each in _nodes(of, rows, swap, language, places)]
    pairs = max(rows["case"].nunique() for _, rows in parts)
    told = CAVEAT.format(n=pairs, swap=SWAPS.get(swap, swap), language=language)
    return {
        "metadata": {
            **{"slug": f"{slug}-{swap}-{language}", "scan": model, "prompt_tokens": tokens},
            "prompt": f"{SWAPS.get(swap, swap)} ({language})",
            "feature_details": {"neuronpedia_source_set": source_set},
            "info": {
                **{"description": told, "creator_name": creator},
                "generator": {"name": "crosslens", "version": version("crosslens")},
            },
            "generation_settings": {
                **{"attribution": "integrated gradients", "steps": parts[0][0].document("steps")},
                **{"swap": swap, "language": language, "pairs": pairs},
                "sites": [of.site for of, _ in parts],
            },
        },
        "qParams": {"pinnedIds": [], "supernodes": [], "linkType": "both", "clickedId": "", "sg_pos": ""},
        "nodes": [*(node for node, _ in found), outcome],
        "links": [
            {"source": node["node_id"], "target": outcome["node_id"], "weight": weight}
            for node, weight in found
        ],
    }


def _nodes(
    of: Patched, rows: pd.DataFrame, swap: str, language: str, places: Sequence[str]
) -> Iterator[tuple[dict[str, Any], float]]:
    """Each chosen feature, and the error, at each class of positions, with its mean attribution."""
    recovered = {
        (row["positions"], row["feature"]): row["recovery"]
        for row in of.document("single")
        if (row["swap"], row["language"]) == (swap, language)
    }
    layer = parse_site(of.site).layer
    of_feature = (rows["part"] == "feature") & (rows["chosen"] == LARGEST)
    shown = rows[of_feature | (rows["part"] == "error")]
    towards = np.sign(shown["outcome_other"] - shown["outcome"]) * shown["ig"]
    for (place, feature), weight in (
        towards.groupby([shown["positions"], shown["feature"]], sort=False).mean().items()
    ):
        at, is_error = places.index(place), feature < 0
        name = "error" if is_error else str(feature)
        says = "what the SAE leaves out" if is_error else of.label(feature)
        if recovery := recovered.get((place, feature)):
            low, high = recovery["low"], recovery["high"]
            says += f"; R {_two(recovery['value'])}" + (
                "" if low is None else f" [{_two(low)}, {_two(high)}]"
            )
        node = {
            **{"node_id": f"{of.site}_{name}_{at}", "feature": None if is_error else int(feature)},
            **{"layer": str(layer), "ctx_idx": at, "jsNodeId": f"{of.site}_{name}-{at}", "clerp": says},
            "feature_type": "reconstruction error" if is_error else "SAE feature",
        }
        yield node, float(f"{weight:.6g}")


def _two(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f}"


def write_graphs(found: dict[str, dict[str, Any]], folder: Path) -> None:
    """Each as `{slug}.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    for slug, graph in found.items():
        text = json.dumps(graph, ensure_ascii=False, allow_nan=False, indent=1)
        (folder / f"{slug}.json").write_text(text + "\n", encoding="utf-8")
