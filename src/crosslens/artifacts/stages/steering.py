"""What a model says of gender, steered."""

from collections.abc import Iterator
from typing import Any

from crosslens.artifacts.kinds import Amount, At, Kind, Need, Wildcards, Work
from crosslens.artifacts.needs import (
    codes_of,
    features_of,
    first_sae,
    model_files,
    model_mb,
    model_of,
    model_place,
    parts_of,
    source_of,
)
from crosslens.artifacts.stages.data import lexicon_files, lexicons_of
from crosslens.artifacts.stages.gender import captioned, paired, shared_saes

FEATURE_ARMS, DIRECTION_ARMS = 4, 3
READ = ("prompt", "caption")
"""Conditions of what is given: the model writes something else under each edit."""


def steered_saes(at: At) -> list[Wildcards]:
    """The SAEs of all languages at the sites that are asked for, where there is something to steer."""
    chosen = at.settings["steering"]
    if not chosen or not (paired(at) or captioned(at)):
        return []
    return [each for each in shared_saes(at) if each["site"] in (chosen["sites"] or at.study.sites)]


def steering_needs(at: At) -> Iterator[Need]:
    """An SAE; of every language its codes, activations, effects and table; the model."""
    yield first_sae(at)
    for language in at.study.languages:
        own = at.moved(language=language)
        yield from codes_of(own)
        yield from parts_of(own, "activations", language, "site")
        yield own.need("gender", "corpus", "language", "site")
    yield from model_of(at)


def steering_params(at: At) -> dict[str, Any]:
    """All settings but where it runs."""
    chosen = at.settings["steering"]
    pictured = captioned(at)
    return {
        "model": at.study.model.identity,
        "site": at["site"],
        "languages": at.study.languages,
        "outcome": "pictures" if pictured else "pairs",
        "roles": at.settings["sae"]["roles"],
        "condition": chosen["condition"] or next(c for c in at.settings["gender"]["conditions"] if c in READ),
        "grammar": at.study.source.has_truth,
        **{name: value for name, value in chosen.items() if name not in ("sites", "condition")},
        **({"lexicons": lexicons_of(at)} if pictured else {}),
    }


def steered(at: At, reading: Any) -> Amount:
    """Of each arm and strength a pass over samples of select and test and over those that must not change, in each language."""
    chosen, languages = at.settings["steering"], at.study.languages
    found_in = len(languages) + (len(languages) > 1)
    arms = found_in * (FEATURE_ARMS + DIRECTION_ARMS)
    passes = 2 * len(chosen["strengths"]) * (3 * arms + 2 * chosen["random_sets"])
    flops = sum(
        reading.pass_flops(language, chosen["samples"], reading.model.depth) for language in languages
    )
    return Amount("forward", passes * flops, passes * len(languages) * chosen["samples"] / chosen["batch"])


def steering_mb(at: At, threads: int) -> int:
    """The model, its logits, an SAE, the states of the texts, and what the codes hold of select."""
    return model_mb(at) + 4000 + 8 * features_of(at) * at.study.model.d_model // 2**20


KINDS = [
    Kind(
        "steering",
        "results/{study}/interventions/steering/{corpus}/layer_{site}",
        by="steer_features",
        module="crosslens.interventions.steering",
        params=steering_params,
        needs=steering_needs,
        files_read=lambda at: [*model_files(at), *(lexicon_files(at) if captioned(at) else [])],
        reads=source_of,
        every=steered_saes,
        into=("layer",),
        files={"doses.parquet": "", "steering.json": ""},
        amount=steered,
    ),
    Kind(
        "steering_figures",
        "results/{study}/figures/steering/{corpus}/layer_{site}",
        by="draw_steering_figures",
        module="crosslens.figures.steering",
        needs=lambda at: [at.need("steering", "corpus", "site")],
        every=steered_saes,
        into=("page",),
        files={
            "dose_response.png": "What each way of steering does to what the model says, by its strength, beside random "
            "features.",
            "frontier.png": "What is left of the bias, by what the edit costs elsewhere.",
        },
    ),
]
WORK = [
    Work(
        "steer_features",
        memory=steering_mb,
        gpu=True,
        local=lambda at: model_place(at) | {"lexicons": at.settings["lexicons"]},
    ),
    Work("draw_steering_figures", minutes=10, memory=1000),
]
