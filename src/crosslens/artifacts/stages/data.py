"""Pictures and captions: drawn, collected, the user's own, or written by the model; to one table a language."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from crosslens.artifacts.kinds import Amount, At, Kind, Wildcards, Work
from crosslens.artifacts.needs import (
    data_place,
    each_language,
    model_files,
    model_mb,
    model_of,
    model_place,
    source_of,
)


def lexicons_of(at: At) -> dict[str, str]:
    """Language to digest of its lexicon."""
    lexicons = sorted(at.settings["lexicons"].items())
    return {language: at.study.digests(Path(file)) for language, file in lexicons}


def lexicon_files(at: At) -> list[Path]:
    """Those of the study."""
    return [Path(file) for file in at.settings["lexicons"].values()]


def dataset_files(at: At) -> list[Path]:
    """Captions, pictures and lexicons of the user's."""
    return [*([] if at.study.source.kind else at.study.source.files), *lexicon_files(at)]


def dataset_params(at: At) -> dict[str, Any]:
    """What the tables of all languages are made from."""
    return {
        "source": at.study.source.identity,
        "languages": at.study.languages,
        "columns": at.settings["source"].get("columns"),
        "prompts": {language: at.settings["prompts"][language] for language in at.study.languages},
        "lexicons": lexicons_of(at),
        "splits": at.settings["splits"],
        "gender": at.study.has_gender,
        "mask": at.settings["mask"],
        "text": at.settings["text"],
    }


def summary_params(at: At) -> dict[str, Any]:
    """The same, and the names of files and folders, which the summary tells."""
    place = data_place(at)
    named = {
        "captions": place["captions"],
        "images": place["images"],
        **{f"lexicon {language}": file for language, file in place["lexicons"].items()},
    }
    return dataset_params(at) | {"names": {what: file and Path(file).name for what, file in named.items()}}


def texts_params(at: At) -> dict[str, Any]:
    """The prompts, and how the model answers them."""
    return {
        "model": at.study.model.identity,
        "language": at.study.languages[0],
        "prompts": at.study.source.settings,
        "generation": at.settings["generation"],
        "splits": at.settings["splits"],
    }


def answered(at: At, reading: Any) -> Amount:
    """Every answer as long as it may be."""
    chosen = at.settings["generation"]
    return generation(at.study.source.n_rows, chosen, reading.model.parameters)


def generation(texts: float, settings: dict[str, Any], parameters: int) -> Amount:
    """So many texts, as long as they may be."""
    longest = settings["max_new_tokens"]
    return Amount("generation", texts * longest * parameters, math.ceil(texts / settings["batch"]) * longest)


def made_as(kind: str) -> Callable[[At], list[Wildcards]]:
    """Once, where the source is made as this kind of artifact."""
    return lambda at: [{}] if at.study.source.kind == kind else []


def given(at: At) -> list[dict[str, str]]:
    """Once, where texts are given."""
    return [] if at.study.source.is_generation else [{}]


def written(at: At) -> list[dict[str, str]]:
    """Once, where the model writes the texts."""
    return [{}] if at.study.source.is_generation else []


TEXTS = Kind(
    "texts",
    "results/{study}/texts/{language}.parquet",
    by="generate_texts",
    module="crosslens.generation.texts",
    params=texts_params,
    needs=model_of,
    files_read=model_files,
    every=lambda at: each_language(at) if written(at) else [],
    role="dataset",
    called="table",
    amount=answered,
)
KINDS = [
    Kind(
        "model",
        "results/{study}/model/{model}",
        by="prepare_model",
        module="crosslens.models.gguf",
        params=lambda at: {"gguf": at.study.model.prepared_from},
        files_read=lambda at: filter(None, [at.study.model.gguf]),
        every=lambda at: [{"model": at.study.model.name}] if at.study.model.must_be_prepared else [],
    ),
    Kind(
        "source",
        "results/{study}/source",
        by="draw_source",
        module="crosslens.planted.source",
        params=lambda at: at.study.source.settings,
        every=made_as("source"),
    ),
    Kind(
        "collection",
        "results/{study}/collection",
        by="collect_source",
        module="crosslens.sources.write",
        params=lambda at: at.study.source.identity,
        files_read=lambda at: at.study.source.files,
        every=made_as("collection"),
        role="source",
    ),
    Kind(
        "mt_geneval",
        "results/{study}/mt_geneval",
        by="collect_mt_geneval",
        module="crosslens.sources.mt_geneval_table",
        params=lambda at: at.study.source.identity,
        files_read=lambda at: at.study.source.files,
        every=made_as("mt_geneval"),
        into=("page",),
        role="source",
    ),
    Kind(
        "dataset",
        "results/{study}/dataset/{language}.parquet",
        by="build_dataset",
        module="crosslens.data.dataset",
        params=lambda at: dataset_params(at) | {"language": at["language"]},
        needs=source_of,
        files_read=dataset_files,
        every=lambda at: each_language(at) if given(at) else [],
        called="{language}",
    ),
    Kind(
        "dataset_summary",
        "results/{study}/dataset/summary.json",
        by="build_dataset",
        module="crosslens.data.dataset",
        params=summary_params,
        needs=source_of,
        files_read=dataset_files,
        every=given,
        into=("page",),
        called="summary",
    ),
    TEXTS,
    replace(
        TEXTS,
        name="texts_metadata",
        path="results/{study}/texts/metadata.json",
        every=written,
        into=("page",),
        role="",
        called="metadata",
        amount=Kind.amount,
    ),
    replace(
        TEXTS,
        name="texts_summary",
        path="results/{study}/texts/summary.json",
        every=written,
        into=("page",),
        role="dataset_summary",
        called="summary",
        amount=Kind.amount,
    ),
]
WORK = [
    Work(
        "prepare_model",
        memory=lambda at, threads: 4 * model_mb(at),
        local=lambda at: {"source": at.settings["model"]["id"]},
    ),
    Work("draw_source", minutes=20, memory=800),
    Work("collect_source", memory=1500, local=lambda at: {"names": at.study.source.settings}),
    Work("collect_mt_geneval", memory=1500, local=lambda at: {"settings": at.study.source.settings}),
    Work("build_dataset", memory=1500, per=(), local=data_place),
    Work(
        "generate_texts",
        memory=lambda at, threads: model_mb(at) + 2000,
        per=(),
        gpu=True,
        local=model_place,
    ),
]
