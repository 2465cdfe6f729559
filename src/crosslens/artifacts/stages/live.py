"""A page that runs the model, of studies whose model is small enough."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crosslens.artifacts.kinds import At, Kind, Need, Wildcards, Work
from crosslens.artifacts.needs import (
    each_pair,
    each_sae,
    first_sae,
    model_files,
    model_mb,
    model_place,
    parts_of,
    samples_of,
    source_of,
)
from crosslens.artifacts.stages.data import lexicon_files, lexicons_of
from crosslens.artifacts.stages.gender import captioned

LIMIT = 64_000_000
"""Bytes of weights: more than that a browser does not run at a speed that anyone waits for."""
READ = ("prompt", "caption")
"""Conditions of what is given."""


def why_not(at: At) -> str:
    """Why a study has no such page, in words that follow "because"; empty where it has one."""
    study, model = at.study, at.study.model
    if study.control:
        return "it is a control of another study"
    if not study.source.has_pictures:
        return "its texts have no pictures"
    if not each_sae(at):
        return "it has no SAE"
    if model.config.get("model_type") != "gemma3" or "vision_config" not in model.config:
        return "its model is no Gemma-3 that sees pictures, the only family that the page can run"
    if at.settings["model"]["adapter"] is not None:
        return "its model is read by an adapter of the user's"
    if model.folder is None:
        return "its model is no folder of this machine"
    weights = sum(file.stat().st_size for file in model.folder.glob("*.safetensors"))
    if weights > LIMIT:
        return (
            f"its model has {weights / 1e6:,.0f} MB of weights, and the page runs at most {LIMIT / 1e6:.0f}"
        )
    return unlike_gemma(model.config["text_config"], model.folder / "tokenizer.json")


def unlike_gemma(text: dict[str, Any], tokenizer: Path) -> str:
    """Why the JavaScript does not know a model of that configuration and tokenizer; empty where it does."""
    ropes = text.get("rope_parameters") or {}
    kinds = {rope.get("rope_type", "default") for rope in ropes.values() if isinstance(rope, dict)}
    if text.get("attn_logit_softcapping") or not kinds <= {"default", "linear"}:
        return "its attention is not as Gemma 3's"
    try:
        found = json.loads(tokenizer.read_text(encoding="utf-8"))
        merges, normalizer = found["model"], found["normalizer"]
        known = merges["type"] == "BPE" and merges["byte_fallback"]
        known = known and (normalizer["type"], normalizer["content"]) == ("Replace", "▁")
    except (OSError, ValueError, KeyError, TypeError):
        known = False
    return "" if known else "its tokenizer is not as Gemma's"


def runnable(at: At) -> list[Wildcards]:
    """Once, where the model can be run."""
    return [] if why_not(at) else [{}]


def live_params(at: At) -> dict[str, Any]:
    """The model, what is edited, which words tell a person, and which effects are shown."""
    gendered, chosen = at.study.has_gender, at.settings["steering"]
    conditions = at.settings["gender"]["conditions"] if gendered else []
    return {
        "model": at.study.model.identity,
        "languages": at.study.languages,
        "roles": at.settings["sae"]["roles"],
        "condition": next((name for name in conditions if name in READ), None),
        "words": chosen["words"] if chosen and captioned(at) else {},
        "lexicons": lexicons_of(at) if captioned(at) else {},
    }


def live_needs(at: At) -> Iterator[Need]:
    """Every SAE with what it promotes; in every language its codes and effects; tables and tokens."""
    for language in at.study.languages:
        yield samples_of(at, language)
        yield from parts_of(at, "tokens", language)
    for each in each_sae(at):
        yield first_sae(at.moved(**each))
        yield at.need("promoted", **each)
    for each in each_pair(at):
        yield at.need("codes", **each)
        if at.study.has_gender:
            yield at.need("gender", **each)


KINDS = [
    Kind(
        "live",
        "results/{study}/report/live",
        by="pack_live_page",
        module="crosslens.report.live.pack",
        params=live_params,
        needs=live_needs,
        files_read=lambda at: [*model_files(at), *(lexicon_files(at) if captioned(at) else [])],
        reads=source_of,
        every=runnable,
        into=("page",),
        holds=30,
    ),
]
WORK = [
    Work(
        "pack_live_page",
        memory=lambda at, threads: model_mb(at) + 3000,
        local=lambda at: model_place(at) | {"lexicons": at.settings["lexicons"]},
    ),
]
