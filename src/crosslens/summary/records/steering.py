"""How far can what a model says of gender be steered?"""

from typing import Any

from crosslens.summary.reading import Document
from crosslens.summary.records.base import Files, Record, bounds, expect

LISTS = ("steered", "steered_languages")
_OF_CAPTIONS = (
    "valid",
    "cause",
    "isolation",
    "disentanglement",
    "words_per_caption",
    "repetition",
    "perplexity",
)


_OF_ASKED = ("female_per_100_words", "male_per_100_words", "cause", "isolation", "valid")


def records(files: Files) -> dict[str, list[Record]]:
    """`steered`: one record per SAE, language and arm; `steered_languages`: per SAE and language, before any edit.

    `p`, of how far an arm moves P(female) beside random sets as long, is corrected in the family `steering`.
    """
    found: dict[str, list[Record]] = {name: [] for name in LISTS}
    for corpus, path in files["steering"].items():
        doc = Document(path / "steering.json", "steering")
        base = {"corpus": corpus} | {name: doc(name) for name in ("site", "sae", "outcome")}
        for language in doc("languages"):
            of = doc("of", language)
            here = base | {"language": language, "groups": of["groups"], "items": of["items"]["test"]}
            before = _before(of) | {"max_kl": doc("max_kl"), "empty_arms": doc("empty_arms")}
            found["steered_languages"].append(here | before)
            found["steered"] += [here | _arm(arm) | {"random_sets": doc("random_sets")} for arm in of["arms"]]
    return found


def check(summary: dict[str, Any]) -> None:
    """The SAEs whose quality was measured, at this site."""
    saes = {record["corpus"]: record["sae"] for record in summary.get("saes", [])}
    for name in LISTS:
        for record in summary[name]:
            where = f"{name} of {record['corpus']}/{record['language']} at {summary['site']}"
            expect(where, "site", record["site"], summary["site"])
            expect(where, "the SAE's digest", record["sae"], saes.get(record["corpus"], record["sae"]))


def _before(of: dict[str, Any]) -> Record:
    written, asked = of.get("captions"), of.get("asked")
    because = "no captions are written" if asked is None else asked.get("not_possible")
    return {
        "left_out": of["left_out"]["test"],
        "hidden": of["hidden"],
        "asked_because": because,
        **{f"asked_{name}": None if because else asked[name] for name in _OF_ASKED},
        **bounds("p_female", of["p_female"]),
        **bounds("left", of["left"]),
        "valid": written and written["valid"],
        "perplexity": written and written["perplexity"],
        "female_per_100_words": written and written["female_per_100_words"],
        "male_per_100_words": written and written["male_per_100_words"],
    }


def _arm(arm: dict[str, Any]) -> Record:
    record = {name: arm[name] for name in ("method", "found_in", "changes", "strength", "within_budget")}
    record["because"] = None if arm["changes"] else "it changes no logit at all"
    record |= {"features": len(arm["features"]), "anti_steerable": arm["anti_steerable"]}
    record |= bounds("moved", arm["moved"]) | bounds("slope", arm["slope"])
    record |= {"kl": max(arm["kl"].values())}
    record |= {f"{name}_random": arm["random"]["same_length"][name] for name in ("q95", "ratio")}
    for how in ("same_damage", "same_activations"):
        beside = arm["random"][how]
        record |= {f"{name}_{how}": beside and beside[name] for name in ("q95", "ratio", "p")}
    neutral = arm["neutralised"]
    record |= bounds("left", neutral["left"]) | bounds("removed", neutral["removed"])
    record |= {"left_random": neutral["random_q05"], "left_kl": neutral["kl"], "left_p": neutral["p"]}
    written = arm.get("captions")
    ways = [written[way] for way in ("female", "male")] if written else []
    for name in _OF_CAPTIONS:
        told = [way[name] for way in ways if way[name] is not None]
        record[name] = sum(told) / len(told) if told else None
    test = arm["random"]["same_length"]
    family = "steering" if arm["changes"] else None
    return record | {"p": test["p"] if family else None, "least_p": test["least_p"], "q_family": family}
