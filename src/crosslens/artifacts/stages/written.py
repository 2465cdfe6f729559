"""The model's own captions of the study's pictures, and what it and the SAEs make of them: the condition `generated`."""

from pathlib import Path
from typing import Any

from crosslens.artifacts.kinds import Amount, At, Kind, Work
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
from crosslens.artifacts.stages import activations, features, gender
from crosslens.artifacts.stages.data import generation
from crosslens.artifacts.written import writes, written

ROLES = ["generated", "special"]
"""What is stored: the id that ends a caption too, so that one without a word has a token."""


def shown_params(at: At) -> dict[str, Any]:
    """What the model is shown of one part, and how long it may answer."""
    seen = ("model", "language", "prompt", "rows", "block", "code")
    shown = activations.block_params(at)
    return {name: shown[name] for name in seen} | {
        "max_new_tokens": at.settings["stereotype"]["max_new_tokens"]
    }


def mask_params(at: At) -> dict[str, Any]:
    """The lexicon, and what is masked beside its words."""
    return {
        "language": at["language"],
        "lexicon": [at.study.digests(file) for file in lexicon_of(at)],
        "mask": at.settings["mask"],
    }


def lexicon_of(at: At) -> list[Path]:
    """Of the language, where the study has one."""
    return [Path(file) for name, file in at.settings["lexicons"].items() if name == at["language"]]


def pictures(at: At, reading: Any) -> float:
    """Of one part."""
    return reading.counts[at["language"]].images / len(at.parts)


def answering(at: At, reading: Any) -> Amount:
    """A caption of every picture of a part, as long as it may be."""
    return generation(pictures(at, reading), at.settings["stereotype"], reading.model.parameters)


def passing(at: At, reading: Any) -> Amount:
    """A part's pictures through the blocks up to the deepest site."""
    samples = pictures(at, reading)
    return Amount("forward", reading.pass_flops(at["language"], samples, reading.blocks))


def extracted(kind: Kind, **changes: Any) -> Kind:
    """Made as that of the given captions is, of the part's own ones."""
    return written(
        kind,
        by="extract_written",
        script="extract",
        params=lambda at: kind.params(at) | shown_params(at) | {"roles": ROLES},
        needs=lambda at: [*model_of(at), at.need("written", "language", "part")],
        reads=source_of,
        **changes,
    )


TOKENS, ACTIVATIONS = (
    next(kind for kind in activations.KINDS if kind.name == name) for name in ("tokens", "activations")
)
OF_CODES = ("codes", "seed_codes", "swept_codes")
OF_GENDER = ("gender", "gender_robustness", "probe_codes", "probe_activations", "probe_words")

KINDS = [
    Kind(
        "written",
        "results/{study}/written/{language}/part_{part}.parquet",
        by="write_captions",
        module="crosslens.generation.captions",
        params=shown_params,
        needs=model_of,
        files_read=model_files,
        reads=lambda at: [samples_of(at), *source_of(at)],
        every=lambda at: activations.each_part(at) if writes(at) else [],
        amount=answering,
    ),
    Kind(
        "written_dataset",
        "results/{study}/written/{language}.parquet",
        by="mask_captions",
        module="crosslens.data.written",
        params=mask_params,
        needs=lambda at: [
            samples_of(at),
            *(at.need("written", language=at["language"], part=part) for part in at.parts),
        ],
        files_read=lexicon_of,
        every=lambda at: each_language(at) if writes(at) else [],
        role="dataset",
    ),
    extracted(TOKENS, role="tokens", amount=passing),
    extracted(ACTIVATIONS, role="activations"),
    *(
        written(kind, role=kind.name, params=lambda at, kind=kind: kind.params(at) | {"roles": ["generated"]})
        for kind in features.KINDS
        if kind.name in OF_CODES
    ),
    *(written(kind) for kind in gender.KINDS if kind.name in OF_GENDER),
]
WORK = [
    Work(
        "write_captions",
        memory=lambda at, threads: model_mb(at) + 2000,
        gpu=True,
        local=lambda at: model_place(at) | {"batch": at.settings["stereotype"]["batch"]},
    ),
    Work("mask_captions", memory=1500, local=data_place),
    Work(
        "extract_written",
        memory=activations.extraction_mb,
        per=("language", "part"),
        gpu=True,
        local=model_place,
    ),
]
