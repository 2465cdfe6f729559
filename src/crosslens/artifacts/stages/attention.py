"""Where the heads of the model look."""

from typing import Any

from crosslens.artifacts.kinds import Amount, At, Kind, Wildcards, Work
from crosslens.artifacts.needs import (
    data_place,
    each_language,
    model_files,
    model_mb,
    model_of,
    model_place,
    samples_of,
    source_of,
)

SETTINGS = ("samples", "shown", "threshold", "batch", "bootstraps", "seed")


def watched(at: At) -> list[Wildcards]:
    """Every language of a study that asks for patterns."""
    return each_language(at) if at.settings["attention"] else []


def watching(at: At, reading: Any) -> Amount:
    """A pass over the samples."""
    chosen = at.settings["attention"]
    samples = min(chosen["samples"], reading.samples * at.study.shares["test"])
    flops = reading.pass_flops(at["language"], samples, reading.model.depth)
    return Amount("forward", flops, samples / chosen["batch"])


KINDS = [
    Kind(
        "attention",
        "results/{study}/attention/{language}",
        by="measure_attention",
        module="crosslens.lens.attention",
        params=lambda at: {
            "model": at.study.model.identity,
            "language": at["language"],
            **{name: at.settings["attention"][name] for name in SETTINGS},
        },
        needs=lambda at: [samples_of(at), *model_of(at)],
        files_read=model_files,
        reads=source_of,
        every=watched,
        into=("page",),
        files={
            "attention.json": "",
            "heads.parquet": "",
            "patterns.parquet": "",
            "images.parquet": "",
        },
        amount=watching,
    ),
    Kind(
        "attention_figure",
        "results/{study}/figures",
        by="draw_attention_figure",
        module="crosslens.figures.attention",
        # The pictures are in the key by what the attention to them was measured on.
        needs=lambda at: at.every("attention"),
        reads=source_of,
        every=lambda at: [{}] if at.settings["attention"] else [],
        into=("page",),
        files={
            "attention.png": "Where each attention head looks, block by block: means over test texts.",
            "attention_pictures.png": "Weight of the caption's tokens on the image tokens, laid over the pictures, of the heads "
            "that look there most.",
        },
    ),
]
WORK = [
    Work("measure_attention", memory=lambda at, threads: model_mb(at) + 5000, gpu=True, local=model_place),
    Work("draw_attention_figure", minutes=10, memory=1500, local=data_place),
]
