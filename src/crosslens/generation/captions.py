"""The stage `written`: the model's own caption of every picture of a part, greedy, with the ids that it generated."""

import logging
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from crosslens.errors import InputError
from crosslens.generation.batches import in_batches
from crosslens.generation.decode import check_room, decode
from crosslens.generation.ids import end_tokens
from crosslens.generation.texts import as_columns, read_back
from crosslens.models.inputs import as_sample, build_inputs
from crosslens.models.load import LoadedModel, load_model
from crosslens.tables.documents import read_table, write_table

log = logging.getLogger(__name__)

COLUMNS = ["sample_id", "image_id", "row", "prompt", "image", "image_sha256"]
"""Of the dataset, those that decide what the model is shown."""


def write_captions(
    *,
    model: dict[str, Any],
    dataset: Path,
    images: Path | None,
    rows: tuple[int, int],
    max_new_tokens: int,
    batch: int,
    language: str,
    out: Path,
) -> None:
    """Let the model caption each picture among `rows` (first and last value of the dataset's column `row`) once.

    model: keyword arguments of `load_model`; batch: captions decoded at once, which moves their logits by no more than
    rounding. A caption is greedy, and ends at a token that ends a turn or after max_new_tokens. Writes parquet of kind
    `written`: COLUMNS of the first sample of each image, and caption, token_ids, char_start, char_end and finish as in the
    table of `texts`. A caption may be empty: the model may end it at once. A killed run goes on where it was.
    Raises InputError where no row is asked for, and for prompts that are too long to be answered.
    """
    table = read_table(dataset, "dataset", COLUMNS)
    shown = table[table["row"].between(*rows)].drop_duplicates("image_id")
    if shown.empty:
        raise InputError(
            dataset,
            found=f"none of the rows {rows[0]} to {rows[1]}",
            expected="some of them",
            mend="ask for rows that are there; quarantined ones are listed in summary.json",
        )
    parts = out.parent / "written_batches"

    @cache
    def load() -> LoadedModel:
        loaded = load_model(**model)
        check_room(
            loaded, [as_sample(row) for row in shown.to_dict("records")], max_new_tokens, images=images
        )
        return loaded

    written = in_batches(
        parts,
        shown,
        batch,
        lambda block: caption(load(), block, images=images, max_new_tokens=max_new_tokens),
        kind="written",
        progress=(f"own captions ({language})", "pictures"),
    )
    if empty := int((written["caption"].str.strip() == "").sum()):
        log.warning("%d of %d captions are empty", empty, len(written))
    write_table(out, "written", written)
    shutil.rmtree(parts)


def caption(
    loaded: LoadedModel, rows: pd.DataFrame, *, images: Path | None, max_new_tokens: int
) -> pd.DataFrame:
    """The rows (COLUMNS), all in one batch, with the greedy caption of each and its ids as JSON."""
    prompts = build_inputs(
        loaded, rows.to_dict("records"), images=images, with_caption=False, padding_side="left"
    )
    unread = torch.zeros(len(rows), max_new_tokens)
    ids = decode(loaded, prompts, unread, draws=1, temperature=0, ends=end_tokens(loaded))
    return rows.reset_index(drop=True).assign(**as_columns(read_back(loaded, ids)))
