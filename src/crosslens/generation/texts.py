"""The stage `texts`: prompts in, what the model answers out, as a dataset whose tokens are the model's own."""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from crosslens.data.genders import GENDERS
from crosslens.data.splits import SPLITS, assign_splits
from crosslens.data.warnings import data_warnings
from crosslens.errors import InputError
from crosslens.generation.batches import in_batches
from crosslens.generation.continuation import continuation_roles
from crosslens.generation.decode import check_room, decode
from crosslens.generation.ids import character_spans, end_tokens, text_of
from crosslens.generation.sampling import check_sampling, draw_uniforms
from crosslens.models.inputs import Sample, build_inputs
from crosslens.models.load import LoadedModel, load_model
from crosslens.tables.documents import write_json, write_table
from crosslens.tables.roles import GENERATED

log = logging.getLogger(__name__)

EMPTY = "the model wrote no token of text"


def generate_texts(
    *,
    model: dict[str, Any],
    prompts: Sequence[str],
    language: str,
    samples_per_prompt: int,
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    batch: int,
    seed: int,
    splits: Mapping[str, float],
    split_seed: int,
    out_table: Path | None,
    out_metadata: Path | None,
    out_summary: Path | None,
) -> None:
    """Let the model answer every prompt, and write its texts with the ids that it generated.

    model: keyword arguments of `load_model`. A prompt is the user's turn of the chat template, or plain text where
    the tokenizer has none. temperature 0 is greedy, with one sample a prompt; otherwise the next token is drawn from
    softmax(logits / temperature) within the nucleus `top_p`. batch: texts decoded at once. A text depends on seed,
    language, its prompt and its number among the prompt's samples: every text has random numbers of its own, and the
    batch it is in moves its logits by no more than their rounding. It ends at a token that ends a turn, or after
    max_new_tokens.

    Writes what a path is given for: a table of kind `dataset` (image_id is the prompt, caption the generated text)
    with the columns token_ids, char_start, char_end (JSON lists, one entry a generated token, as `character_spans`
    says) and finish ("eos" or "length"); JSON of kind `generation_metadata`; and JSON of kind `dataset_summary`.
    splits: shares of the prompts, dealt by split_seed; thirds where one of them is less than a prompt. Texts without a token
    (the model ended them at once) are in the metadata and, with the reason, in the summary's `quarantine` alone. A
    killed run goes on where it was. Raises InputError for settings that draw nothing, for fewer than three prompts,
    empty or repeated ones, ones too long to be answered, and for a split without a text.
    """
    check_sampling(
        "samples_per_prompt",
        samples_per_prompt,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        batch=batch,
        top_p=top_p,
    )
    rows = _prompts(prompts, splits, split_seed)
    loaded = load_model(**model)
    check_room(loaded, _samples(rows), max_new_tokens)
    (beside, *_) = (out for out in (out_table, out_metadata, out_summary) if out is not None)
    parts = beside.parent / "generated_batches"
    texts = in_batches(
        parts,
        rows,
        max(1, batch // samples_per_prompt),
        lambda block: answer(
            loaded,
            block,
            draws=samples_per_prompt,
            temperature=temperature,
            top_p=top_p,
            max_new_tokens=max_new_tokens,
            seed=seed,
            language=language,
        ),
        kind="generated",
        progress=(f"texts ({language})", "prompts"),
    )
    texts["row"] = np.arange(1, len(texts) + 1)
    empty = np.array([not (continuation_roles(loaded, ids) == GENERATED).any() for ids in texts["token_ids"]])
    if empty.any():
        log.warning("%d texts have no token of text; the summary lists them", empty.sum())
    table = _table(texts[~empty])
    for split in SPLITS:
        if split not in set(table["split"]):
            raise InputError(
                f"texts of split {split}",
                found=EMPTY,
                expected="a text in every split",
                mend="use more prompts, or other ones",
            )
    if out_table is not None:
        write_table(out_table, "dataset", table)
    if out_metadata is not None:
        settings = {
            "samples_per_prompt": samples_per_prompt,
            "max_new_tokens": max_new_tokens,
            "temperature": float(temperature),
            "top_p": float(top_p),
            "seed": seed,
        }
        description = _metadata(loaded, model.get("revision"), texts)
        write_json(
            out_metadata,
            "generation_metadata",
            {"language": language, "settings": settings, **description},
        )
    if out_summary is not None:
        left_out = [
            {"image_id": text.image_id, "reason": f"sample {text.draw}: {EMPTY}"}
            for text in texts[empty].itertuples()
        ]
        summary = _summary(table, language, splits, split_seed)
        write_json(out_summary, "dataset_summary", summary | {"quarantine": left_out})
    shutil.rmtree(parts)


def _prompts(prompts: Sequence[str], splits: Mapping[str, float], seed: int) -> pd.DataFrame:
    """One row a prompt: index, image_id, prompt, split."""
    if len(prompts) < len(SPLITS):
        raise InputError(
            "source.prompts",
            found=f"{len(prompts)} prompts",
            expected=f"at least {len(SPLITS)}: all texts of a prompt are in one of {', '.join(SPLITS)}",
            mend="add prompts",
        )
    for i, prompt in enumerate(prompts):
        if not prompt.strip() or prompt in prompts[:i]:
            raise InputError(
                f"source.prompts, entry {i + 1}",
                found=repr(prompt),
                expected="a text that no other entry has",
                mend="remove or change it",
            )
    ids = [f"prompt_{i:06d}" for i in range(len(prompts))]
    # Where a share is less than a prompt, its split could stay empty.
    few = min(splits[name] for name in SPLITS) * len(ids) < 1
    shares = dict.fromkeys(SPLITS, 1 / len(SPLITS)) if few else splits
    assigned = assign_splits(dict.fromkeys(ids, ""), shares, seed)
    return pd.DataFrame(
        {
            "index": np.arange(len(ids)),
            "image_id": ids,
            "prompt": list(prompts),
            "split": [assigned[id] for id in ids],
        }
    )


def _samples(rows: pd.DataFrame) -> list[Sample]:
    return [Sample(row.image_id, "", row.prompt) for row in rows.itertuples()]


def answer(
    loaded: LoadedModel,
    rows: pd.DataFrame,
    *,
    draws: int,
    temperature: float,
    top_p: float,
    max_new_tokens: int,
    seed: int,
    language: str,
) -> pd.DataFrame:
    """`draws` texts of each prompt of `rows`, all in one batch: its columns, and draw, caption, token_ids, finish."""
    prompts = build_inputs(loaded, _samples(rows), images=None, with_caption=False, padding_side="left")
    uniforms = np.stack(
        [
            draw_uniforms(seed, language, prompt, draw, max_new_tokens)
            for prompt in rows["prompt"]
            for draw in range(draws)
        ]
    )
    ends = end_tokens(loaded)
    ids = decode(
        loaded,
        prompts,
        torch.from_numpy(uniforms),
        draws=draws,
        temperature=temperature,
        top_p=top_p,
        ends=ends,
    )
    table = rows.loc[rows.index.repeat(draws)].reset_index(drop=True)
    table["draw"] = np.tile(np.arange(draws), len(rows))
    return table.assign(**read_back(loaded, ids))


def read_back(loaded: LoadedModel, ids: list[list[int]]) -> dict[str, list[Any]]:
    """Of the generated ids of each text: caption (what they say), token_ids, spans (of each id) and finish, eos or length."""
    ends = end_tokens(loaded)
    return {
        "caption": [text_of(loaded.tokenizer, text) for text in ids],
        "token_ids": ids,
        "spans": [character_spans(loaded.tokenizer, text).tolist() for text in ids],
        "finish": ["eos" if text[-1] in ends else "length" for text in ids],
    }


def as_columns(found: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    """What `read_back` finds as columns of a table: lists as JSON, spans as char_start and char_end."""
    return {
        "caption": list(found["caption"]),
        "token_ids": [json.dumps([int(id) for id in ids]) for ids in found["token_ids"]],
        "char_start": [json.dumps([int(start) for start, _ in spans]) for spans in found["spans"]],
        "char_end": [json.dumps([int(end) for _, end in spans]) for spans in found["spans"]],
        "finish": list(found["finish"]),
    }


def _table(texts: pd.DataFrame) -> pd.DataFrame:
    """The texts as rows of a dataset, with what they were generated as."""
    table = pd.DataFrame(
        {
            "sample_id": _sample_ids(texts),
            "image_id": texts["image_id"],
            "row": texts["row"],
            "caption": texts["caption"],
            "prompt": texts["prompt"],
            "gender": "unknown",
            "gender_source": "none",
            "category": "",
            "image": "",
            "image_sha256": "",
            "split": texts["split"],
            "label_spans": "[]",
        }
    ).reset_index(drop=True)
    written = as_columns(texts)
    return table.assign(**{name: written[name] for name in ("token_ids", "char_start", "char_end", "finish")})


def _sample_ids(texts: pd.DataFrame) -> list[str]:
    return [f"{image_id}#{draw}" for image_id, draw in zip(texts["image_id"], texts["draw"], strict=True)]


def _metadata(loaded: LoadedModel, revision: str | None, texts: pd.DataFrame) -> dict[str, Any]:
    """The model and every text with its tokens in words: the characters of each, or the name of one without."""
    described = []
    for sample_id, text in zip(_sample_ids(texts), texts.to_dict("records"), strict=True):
        ids = [int(id) for id in text["token_ids"]]
        spans = [[int(start), int(end)] for start, end in text["spans"]]
        names = loaded.tokenizer.convert_ids_to_tokens(ids)
        described.append(
            {
                "sample_id": sample_id,
                "index": text["index"],
                "prompt": text["prompt"],
                "generated_text": text["caption"],
                "tokens": [
                    text["caption"][start:end] if start >= 0 else name
                    for (start, end), name in zip(spans, names, strict=True)
                ],
                "token_ids": ids,
                "offsets": spans,
                "finish": text["finish"],
            }
        )
    return {
        "model": {
            "name": loaded.name,
            "revision": revision or "",
            "dtype": str(loaded.model.dtype).removeprefix("torch."),
        },
        "chat_template": loaded.adapter.chat_template is not None,
        "texts": described,
    }


def _summary(table: pd.DataFrame, language: str, splits: Mapping[str, float], seed: int) -> dict[str, Any]:
    """What a dataset summary says; nothing in it tells a gender."""
    cells = [
        (split, gender, table[(table["split"] == split) & (table["gender"] == gender)])
        for split in SPLITS
        for gender in GENDERS
    ]
    tested = table.loc[table["split"] == "test", ["image_id", "gender"]].itertuples(index=False)
    warned = data_warnings(
        {language: table["caption"].tolist()},
        genders=None,
        hits={},
        tested=[tuple(row) for row in tested],
        unit="prompt",
    )
    for warning in warned:
        log.warning("%s", warning.message)
    return {
        "languages": [language],
        "rows": len(table),
        "images": table["image_id"].nunique(),
        "gender_source": "none",
        "mask": None,
        "splits": dict(splits),
        "seed": seed,
        "counts": [
            {
                "split": split,
                "gender": gender,
                "category": "",
                "images": inside["image_id"].nunique(),
                "rows": len(inside),
            }
            for split, gender, inside in cells
        ],
        "warnings": [warning._asdict() for warning in warned],
        "quarantine": [],
        "identical_images": [],
        "agreement": {"languages": [], "column": []},
        "lexicon_hits": {},
        "masked": {},
        "sources": {"captions": None, "images": None, "lexicons": {}},
    }
