"""States of one run of the model in the place of another's."""

from collections.abc import Iterator
from typing import Any

from crosslens.artifacts.kinds import Amount, At, Kind, Need, Wildcards, Work
from crosslens.artifacts.needs import (
    features_of,
    first_sae,
    model_files,
    model_mb,
    model_of,
    model_place,
    samples_of,
    source_of,
)
from crosslens.artifacts.stages.gender import paired, shared_saes
from crosslens.data.languages import language_of

SWAPS = 4
"""Of pictures."""
PASSES_A_BLOCK = 48
"""Patches of one block, of which each computes half of the blocks."""
PASSES_OF_GRADIENTS = 60
"""Forward and back again, of two classes of positions."""


def patched(at: At) -> list[Wildcards]:
    """Where it is asked for, and there are runs that differ in gender alone: sentences in two genders, or pictures and words."""
    chosen = at.settings["patching"]
    pictured = bool(chosen and chosen["words"]) and at.study.source.has_pictures
    return [{}] if chosen and at.study.has_gender and (paired(at) or pictured) else []


def patched_saes(at: At) -> list[Wildcards]:
    """The SAEs of all languages, where single features are asked for."""
    return shared_saes(at) if patched(at) and at.settings["patching"]["features"] else []


def compared_runs(at: At, *left_out: str) -> dict[str, Any]:
    """The model, which runs are compared, and how many; left_out: settings that say nothing here."""
    chosen = dict(at.settings["patching"])
    words = chosen.pop("words")
    return {
        "model": at.study.model.identity,
        "languages": at.study.languages,
        "language_pairs": [list(pair) for pair in at.study.pairs],
        "words": None if paired(at) else words,
        **{name: value for name, value in chosen.items() if name not in left_out},
    }


def feature_params(at: At) -> dict[str, Any]:
    """The runs, and at which site features are patched."""
    place = {"site": at["site"], "roles": at.settings["sae"]["roles"]}
    return compared_runs(at, "attributed", "heads") | place


def patching_params(at: At) -> dict[str, Any]:
    """The runs, and of languages of another script the Latin letters in which they are compared too."""
    tables = {language: language_of(language).romanisation for language in at.study.languages}
    letters = {language: table for language, table in tables.items() if table} if len(tables) > 1 else {}
    return compared_runs(at, "features") | {"letters": letters}


def patching_needs(at: At) -> Iterator[Need]:
    """The table of every language; the model."""
    for language in at.study.languages:
        yield samples_of(at, language)
    yield from model_of(at)


def feature_needs(at: At) -> Iterator[Need]:
    """An SAE; the table of every language; the model."""
    yield first_sae(at)
    yield from patching_needs(at)


def patching(at: At, reading: Any) -> Amount:
    """Passes over both runs of all pairs, both forms of each."""
    return _passes(at, reading, PASSES_A_BLOCK * reading.model.depth / 2)


def patching_features(at: At, reading: Any) -> Amount:
    """Of half of the pairs a pass for each feature and class of positions; of all of them those of attributions."""
    return _passes(at, reading, PASSES_OF_GRADIENTS + 2 * at.settings["patching"]["features"])


def _passes(at: At, reading: Any, each: float) -> Amount:
    chosen, depth = at.settings["patching"], reading.model.depth
    passes = each * (1 if paired(at) else SWAPS)
    texts = 4 * chosen["pairs"]
    flops = sum(reading.pass_flops(language, texts, depth) for language in at.study.languages)
    return Amount("forward", passes * flops, passes * len(at.study.languages) * texts / chosen["batch"])


KINDS = [
    Kind(
        "patching",
        "results/{study}/interventions/patching",
        by="patch_activations",
        module="crosslens.interventions.patching",
        params=patching_params,
        needs=patching_needs,
        files_read=model_files,
        reads=source_of,
        every=patched,
        into=("page",),
        files={"effects.parquet": "", "maps.parquet": "", "patching.json": ""},
        amount=patching,
    ),
    Kind(
        "feature_patching",
        "results/{study}/interventions/feature_patching/{corpus}/layer_{site}",
        by="patch_features",
        module="crosslens.interventions.feature_patching",
        params=feature_params,
        needs=feature_needs,
        files_read=model_files,
        reads=source_of,
        every=patched_saes,
        into=("page",),
        files={"effects.parquet": "", "features.json": ""},
        amount=patching_features,
    ),
    Kind(
        "patching_figures",
        "results/{study}/figures",
        by="draw_patching_figures",
        module="crosslens.figures.patching",
        needs=lambda at: [at.need("patching")],
        every=patched,
        into=("page",),
        files={
            "patching.png": "How much of the difference in gender a patch of each place brings over, by block and positions.",
            "patched_heads.png": "The same of single heads at the last position.",
            "interchange.png": "What one language's state tells of gender in another, by block, beside controls.",
            "attribution.png": "Attributions beside the effects of the patches that they stand for.",
        },
    ),
]
WORK = [
    Work("patch_activations", memory=lambda at, threads: model_mb(at) + 5000, gpu=True, local=model_place),
    Work("draw_patching_figures", minutes=10, memory=1500),
    Work(
        "patch_features",
        memory=lambda at, threads: (
            model_mb(at) + 4000 + 16 * features_of(at) * at.study.model.d_model // 2**20
        ),
        gpu=True,
        local=model_place,
    ),
]
