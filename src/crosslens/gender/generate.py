"""The model's own captions of pictures: constant prompt, sampled with a stream of its own for every draw."""

import hashlib
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crosslens.errors import InputError
from crosslens.progress import Progress
from crosslens.tables.documents import read_table, write_table

if TYPE_CHECKING:
    import torch

    from crosslens.models.load import LoadedModel

log = logging.getLogger(__name__)

_WORTH_COMPACTING = 0.85
"""Ended captions leave the batch when no more than this share goes on: copying the cache costs as well."""
COLUMNS = ["sample_id", "image_id", "category", "draw", "text", "tokens"]


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
    sample of the image), image_id, category, draw (from 0), text, tokens (the generated ids without the end
    token, list of int64). A draw depends on seed, language, image and draw number, not on the batch it is in.
    Finished batches are kept beside `out` until the end, so that a killed run goes on where it was.
    """
    _check_sampling(samples_per_image, temperature, max_new_tokens, batch)
    rows = _pictures(read_table(dataset, "dataset"), split, gender, dataset)
    parts = out.parent / "generated_batches"
    parts.mkdir(exist_ok=True)
    step = max(1, batch // samples_per_image)
    names = [parts / f"{start:08d}.parquet" for start in range(0, len(rows), step)]
    for stale in set(parts.iterdir()) - set(names):
        stale.unlink()
    done = sum(name.is_file() for name in names)
    progress = Progress(f"captions ({language})", len(rows), "pictures", start=min(done * step, len(rows)))
    loaded = None
    for name, start in zip(names, range(0, len(rows), step), strict=True):
        if name.is_file():
            continue
        if loaded is None:
            from crosslens.models.load import load_model

            loaded = load_model(**model)
        block = rows.iloc[start : start + step]
        captions = sample_captions(
            loaded,
            block,
            images=images,
            draws=samples_per_image,
            temperature=temperature,
            max_new_tokens=max_new_tokens,
            seed=seed,
            language=language,
        )
        unfinished = name.with_suffix(".partial")
        write_table(unfinished, "generated", captions)
        unfinished.replace(name)
        progress.update(len(block))
    write_table(
        out, "generated", pd.concat([read_table(name, "generated") for name in names], ignore_index=True)
    )
    shutil.rmtree(parts)


def _check_sampling(samples_per_image: int, temperature: float, max_new_tokens: int, batch: int) -> None:
    for name, value in (("samples_per_image", samples_per_image), ("max_new_tokens", max_new_tokens)) + (
        ("batch", batch),
    ):
        if value < 1:
            raise InputError(name, found=value, expected="at least 1", mend=f"set {name} in the study")
    if temperature < 0 or (temperature == 0 and samples_per_image > 1):
        raise InputError(
            "temperature",
            found=f"{temperature} with {samples_per_image} samples an image",
            expected="more than 0, or 0 (greedy) with one sample",
            mend="raise the temperature or set samples_per_image to 1",
        )


def _pictures(samples: pd.DataFrame, split: str, gender: str | None, where: Path) -> pd.DataFrame:
    """The first sample of each image that is asked for, in the order of the dataset."""
    keep = pd.Series(True, index=samples.index)
    if split != "all":
        keep &= samples["split"] == split
    if gender is not None:
        keep &= samples["gender"] == gender
    rows = samples[keep].drop_duplicates("image_id")
    if rows.empty:
        raise InputError(
            where,
            found=f"no picture of split {split} and gender {gender}",
            expected="at least one",
            mend="choose another split or gender for the generated captions",
        )
    return rows


def draw_uniforms(seed: int, language: str, image_id: str, draw: int, count: int) -> np.ndarray:
    """(count) float64 in [0, 1): the random numbers of one caption, one per token."""
    key = hashlib.sha256("\0".join([str(seed), language, image_id, str(draw)]).encode()).digest()[:16]
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little"))).random(count)


def pick_tokens(logits: "torch.Tensor", uniform: "torch.Tensor", temperature: float) -> "torch.Tensor":
    """(B) ids drawn from softmax(logits (B, V) / temperature) by inversion at uniform (B); greedy at 0."""
    import torch

    if temperature == 0:
        return logits.argmax(dim=-1)
    exact = torch.float32 if logits.device.type == "mps" else torch.float64
    cumulative = (logits.to(exact) / temperature).softmax(dim=-1).cumsum(dim=-1)
    # cast before the move: mps has no float64
    level = uniform.to(exact).to(logits.device)[:, None] * cumulative[:, -1:]
    return (cumulative <= level).sum(dim=-1).clamp(max=logits.shape[-1] - 1)


def end_tokens(loaded: "LoadedModel") -> list[int]:
    """Ids that end a caption: those of the generation config and of the tokenizer."""
    found = loaded.model.generation_config.eos_token_id
    ids = set(found) if isinstance(found, list) else {found}
    ids.add(loaded.tokenizer.eos_token_id)
    return sorted(i for i in ids if i is not None)


def sample_captions(
    loaded: "LoadedModel",
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
    import torch

    from crosslens.models.inputs import build_inputs

    inputs = build_inputs(
        loaded, rows.to_dict("records"), images=images, with_caption=False, padding_side="left"
    ).inputs
    uniforms = np.stack(
        [
            draw_uniforms(seed, language, image_id, draw, max_new_tokens)
            for image_id in rows["image_id"]
            for draw in range(draws)
        ]
    )
    with torch.inference_mode():
        ids = _decode(
            loaded.model, inputs, torch.from_numpy(uniforms), draws, temperature, end_tokens(loaded)
        )
    table = pd.DataFrame(
        {name: np.repeat(rows[name].to_numpy(), draws) for name in ("sample_id", "image_id", "category")}
    )
    table["draw"] = np.tile(np.arange(draws, dtype=np.int64), len(rows))
    table["text"] = [text.strip() for text in loaded.tokenizer.batch_decode(ids, skip_special_tokens=True)]
    table["tokens"] = ids
    return table[COLUMNS]


def _decode(
    model: Any,
    inputs: dict[str, "torch.Tensor"],
    uniforms: "torch.Tensor",
    draws: int,
    temperature: float,
    ends: list[int],
) -> list[list[int]]:
    """Generated ids of each caption without the end token; `uniforms` is (captions, max_new_tokens)."""
    import torch

    mask, positions = inputs["attention_mask"], inputs["position_ids"]
    output = model(**inputs, use_cache=True, logits_to_keep=1)
    cache, logits = output.past_key_values, output.logits[:, -1]
    cache.batch_repeat_interleave(draws)
    logits, mask = logits.repeat_interleave(draws, dim=0), mask.repeat_interleave(draws, dim=0)
    position = positions[:, -1:].repeat_interleave(draws, dim=0) + 1
    stop = torch.tensor(ends, device=logits.device)
    captions: list[list[int]] = [[] for _ in range(len(uniforms))]
    running = torch.arange(len(uniforms))
    alive = torch.ones(len(uniforms), dtype=torch.bool, device=logits.device)
    for step in range(uniforms.shape[1]):
        picked = pick_tokens(logits, uniforms[running, step], temperature)
        alive &= ~torch.isin(picked, stop)
        for caption, token, goes in zip(running.tolist(), picked.tolist(), alive.tolist(), strict=True):
            if goes:
                captions[caption].append(token)
        if step + 1 == uniforms.shape[1] or not alive.any():
            break
        if alive.float().mean() <= _WORTH_COMPACTING:
            rows = alive.nonzero()[:, 0]
            cache.batch_select_indices(rows)
            picked, mask, position, alive = picked[rows], mask[rows], position[rows], alive[rows]
            running = running[rows.cpu()]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        output = model(
            input_ids=picked[:, None],
            attention_mask=mask,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache, logits, position = output.past_key_values, output.logits[:, -1], position + 1
    return captions
