"""What the model writes while a feature is held at a constant."""

from typing import Any

from crosslens.artifacts.kinds import Amount, At, Kind, Wildcards, Work
from crosslens.artifacts.needs import (
    codes_of,
    each_pair,
    first_sae,
    model_files,
    model_mb,
    model_of,
    model_place,
)
from crosslens.artifacts.stages.data import generation

PROMPTS = 12
"""The study's and unrelated ones, about."""


def clamped_saes(at: At) -> list[Wildcards]:
    """The SAEs at the sites that are asked for, where the model writes the texts."""
    chosen = at.settings["clamp"]
    if not chosen or not at.study.source.is_generation:
        return []
    sites = chosen["sites"] or at.study.sites
    return [
        {name: each[name] for name in ("corpus", "site")} for each in each_pair(at) if each["site"] in sites
    ]


def writing(at: At, reading: Any) -> Amount:
    """Each prompt, with and without a feature."""
    chosen = at.settings["clamp"]
    texts = PROMPTS * (1 + max(len(chosen["features"]), 1))
    return generation(texts, chosen, reading.model.parameters)


KINDS = [
    Kind(
        "clamp",
        "results/{study}/interventions/clamp/{corpus}/layer_{site}.json",
        by="clamp_features",
        module="crosslens.interventions.counterfactual",
        params=lambda at: {
            "model": at.study.model.identity,
            "site": at["site"],
            "roles": at.settings["sae"]["roles"],
            **{name: value for name, value in at.settings["clamp"].items() if name != "sites"},
        },
        needs=lambda at: [
            first_sae(at),
            *codes_of(at.moved(language=at.study.languages[0])),
            *model_of(at),
        ],
        files_read=model_files,
        every=clamped_saes,
        into=("page",),
        amount=writing,
    )
]
WORK = [Work("clamp_features", memory=lambda at, threads: model_mb(at) + 3000, gpu=True, local=model_place)]
