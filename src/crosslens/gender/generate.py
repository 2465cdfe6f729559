"""The model's own captions of pictures: constant prompt, sampled with a stream of its own for every draw."""

import logging
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from crosslens.generation.batches import in_batches
from crosslens.generation.decode import check_room, decode
from crosslens.generation.ids import end_tokens
from crosslens.generation.sampling import check_sampling, draw_uniforms
from crosslens.models.inputs import as_sample, build_inputs
from crosslens.models.load import LoadedModel, load_model
from crosslens.tables.documents import read_table, write_table

log = logging.getLogger(__name__)

COLUMNS = ["sample_id", "image_id", "group", "category", "draw", "text", "tokens"]


def generate_captions(
    *,
    model: dict[str, Any],
    dataset: Path,
    images: Path | None,
    split: str,
    gender: str | None,
    samples_per_image: int,
    temperature: float,
    max_new_tokens: int,
    batch: int,
    seed: int,
    language: str,
    out: Path,
) -> None:
    """Caption the pictures of one split (`all`: every split) and gender (None: any; `unknown`: not visible).

    `batch` is the number of captions decoded at once. Writes parquet of kind generated: sample_id (the first
    sample of the image), image_id, group, category, draw (from 0), text, tokens (the generated ids without the end
    token, list of int64); no rows where there is no such picture. A draw depends on seed, language, image and draw
    number, not on the batch it is in.
    Finished batches are kept beside `out` until the end, so that a killed run goes on where it was.
    """
    check_sampling(
        "samples_per_image",
        samples_per_image,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        batch=batch,
    )
    rows = _pictures(read_table(dataset, "dataset"), split, gender)
    if rows.empty:
        # Every picture's gender may be known: no captions are what there is to measure then.
        log.warning("%s: no picture of split %s and gender %s to caption", dataset, split, gender)
        write_table(out, "generated", rows.assign(draw=0, text="", tokens=None)[COLUMNS])
        return
    parts = out.parent / "generated_batches"

    @cache
    def load() -> LoadedModel:
        loaded = load_model(**model)
        prompts = [as_sample(row) for row in rows.to_dict("records")]
        check_room(loaded, prompts, max_new_tokens, images=images)
        return loaded

    captions = in_batches(
        parts,
        rows,
        max(1, batch // samples_per_image),
        lambda block: sample_captions(
            load(),
            block,
            images=images,
            draws=samples_per_image,
            temperature=temperature,
            max_new_tokens=max_new_tokens,
            seed=seed,
            language=language,
        ),
        kind="generated",
        progress=(f"captions ({language})", "pictures"),
    )
    write_table(out, "generated", captions)
    shutil.rmtree(parts)


def _pictures(samples: pd.DataFrame, split: str, gender: str | None) -> pd.DataFrame:
    """The first sample of each image that is asked for, in the order of the dataset."""
    keep = pd.Series(True, index=samples.index)
    if split != "all":
        keep &= samples["split"] == split
    if gender is not None:
        keep &= samples["gender"] == gender
    return samples[keep].drop_duplicates("image_id")


def sample_captions(
    loaded: LoadedModel,
    rows: pd.DataFrame,
    *,
    images: Path | None,
    draws: int,
    temperature: float,
    max_new_tokens: int,
    seed: int,
    language: str,
) -> pd.DataFrame:
    """`draws` captions of each row's picture, all in one batch; columns as COLUMNS, image after image.

    The prompt (with its picture) runs once an image; its key-value cache is then repeated for the draws.
    """
    prompts = build_inputs(
        loaded, rows.to_dict("records"), images=images, with_caption=False, padding_side="left"
    )
    uniforms = np.stack(
        [
            draw_uniforms(seed, language, image_id, draw, max_new_tokens)
            for image_id in rows["image_id"]
            for draw in range(draws)
        ]
    )
    ends = end_tokens(loaded)
    ids = decode(loaded, prompts, torch.from_numpy(uniforms), draws=draws, temperature=temperature, ends=ends)
    ids = [caption[:-1] if caption[-1] in ends else caption for caption in ids]
    table = pd.DataFrame({name: np.repeat(rows[name].to_numpy(), draws) for name in COLUMNS[:4]})
    table["draw"] = np.tile(np.arange(draws, dtype=np.int64), len(rows))
    table["text"] = [text.strip() for text in loaded.tokenizer.batch_decode(ids, skip_special_tokens=True)]
    table["tokens"] = ids
    return table[COLUMNS]
