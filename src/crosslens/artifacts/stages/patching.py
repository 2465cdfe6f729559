"""States of one run of the model in the place of another's."""

from collections.abc import Iterator
from typing import Any

from crosslens.artifacts.kinds import Amount, At, Kind, Need, Wildcards, Work
from crosslens.artifacts.needs import model_files, model_mb, model_of, model_place, samples_of, source_of
from crosslens.artifacts.stages.gender import paired

PASSES_A_BLOCK = 40
"""Patches of one block, of which each computes half of the blocks."""


def patched(at: At) -> list[Wildcards]:
    """Where it is asked for, and there are runs that differ in gender alone: sentences in two genders, or pictures and words."""
    chosen = at.settings["patching"]
    pictured = bool(chosen and chosen["words"]) and at.study.source.has_pictures
    return [{}] if chosen and at.study.has_gender and (paired(at) or pictured) else []


def patching_params(at: At) -> dict[str, Any]:
    """The model, which runs are compared, and how many."""
    chosen = dict(at.settings["patching"])
    words = chosen.pop("words")
    pairs = [list(pair) for pair in at.study.pairs]
    return {
        "model": at.study.model.identity,
        "languages": at.study.languages,
        "language_pairs": pairs,
        "words": None if paired(at) else words,
        **chosen,
    }


def patching_needs(at: At) -> Iterator[Need]:
    """The table of every language; the model."""
    for language in at.study.languages:
        yield samples_of(at, language)
    yield from model_of(at)


def patching(at: At, reading: Any) -> Amount:
    """Passes over both runs of all pairs, both forms of each."""
    chosen, depth = at.settings["patching"], reading.model.depth
    swaps = 1 if paired(at) else 3
    passes = PASSES_A_BLOCK * depth / 2 * swaps
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
            "attribution.png": "Attributions beside the effects of the patches that they stand for.",
        },
    ),
]
WORK = [
    Work("patch_activations", memory=lambda at, threads: model_mb(at) + 5000, gpu=True, local=model_place),
    Work("draw_patching_figures", memory=1500),
]
