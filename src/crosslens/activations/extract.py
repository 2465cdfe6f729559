"""The extraction stage: every missing site of a block of samples from one forward pass."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crosslens.activations.background import Background
from crosslens.activations.disk import disk_errors
from crosslens.activations.plan import Plan, make_plan
from crosslens.activations.writer import SiteWriter
from crosslens.errors import InputError
from crosslens.generation.continuation import encode_samples
from crosslens.memory import memory_kept
from crosslens.models.hooks import capture
from crosslens.models.inputs import Batch, Sample, as_sample, collate, load_images
from crosslens.models.load import LoadedModel, check_sites, load_model
from crosslens.models.sites import parse_site
from crosslens.progress import Progress
from crosslens.tables.activations import STORED
from crosslens.tables.documents import read_table
from crosslens.tables.tokens import write_tokens

log = logging.getLogger(__name__)

STORED_ROLES = ("prompt", "caption")
QUEUE_BATCHES = 4
"""Computed batches that may wait for the disk."""


def extract(
    *,
    dataset: Path,
    images: Path | None,
    rows: tuple[int, int],
    model: dict[str, Any],
    sites: dict[str, Path],
    tokens: Path | None,
    batch_tokens: int,
    shard_bytes: int,
    language: str,
    dtype: str = "bfloat16",
    roles: Sequence[str] = STORED_ROLES,
) -> None:
    """Store the activations of `sites` (site name → path of the group to make) for a block of `dataset`.

    rows: first and last value of its column `row`, both included; quarantined rows may be missing between them.
    images: the folder that the dataset's image paths are relative to. model: keyword arguments of `load_model`.
    tokens: where to write the token table, or None when it is there already (the rows are the same ones). dtype: of the
    stored values, "bfloat16" or "float32". batch_tokens: bound of padded tokens per forward pass. shard_bytes: of one
    stored shard before compression; one shard per site is held in memory. roles: of the tokens that are stored.

    A killed run resumes from what stands beside each output and ends with the same bytes. Raises InputError for bad
    rows, samples, images, sites or models, for NaN or infinite activations, and for a disk that cannot take them.
    """
    if dtype not in STORED:
        raise InputError(
            "activations dtype",
            found=repr(dtype),
            expected=" or ".join(STORED),
            mend="use bfloat16: float16 ends at 65,504 and Gemma-3 residuals reach 800,000",
        )
    for site in sites:
        parse_site(site)
    samples = read_samples(dataset, rows)
    loaded = load_model(**model)
    parsed = {str(site): site for site in check_sites(loaded, sites)}
    plan = make_plan(loaded, samples, images=images, roles=roles, batch_tokens=batch_tokens)
    if tokens is not None:
        with disk_errors(tokens):
            shutil.rmtree(tokens, ignore_errors=True)
            write_tokens(tokens, plan.tokens, language=language)
    digest = plan.digest()
    writers = {
        name: SiteWriter(
            sites[name],
            rows=plan.rows,
            d_model=loaded.d_model,
            dtype=dtype,
            shard_bytes=shard_bytes,
            plan=digest,
            attributes={
                "site": name,
                "layer": site.layer,
                "language": language,
                "model": loaded.name,
                "revision": model.get("revision") or "",
            },
        )
        for name, site in parsed.items()
    }
    run_batches(loaded, samples, plan, writers, images=images, dtype=dtype, language=language)
    for writer in writers.values():
        writer.finish()


def read_samples(dataset: Path, rows: tuple[int, int]) -> list[Sample]:
    """The samples whose `row` (docs/storage.md) is rows[0] to rows[1], both included; InputError when there are none.

    Quarantined rows are missing from the table, and the last part may end early.
    """
    table = read_table(dataset, "dataset")
    first, last = rows
    chosen = table[table["row"].between(first, last)]
    if chosen.empty:
        raise InputError(
            dataset,
            found=f"none of the rows {first} to {last}",
            expected=f"some of them; it has rows {table['row'].min()} to {table['row'].max()}",
            mend="ask for rows that are there; quarantined ones are listed in summary.json",
        )
    return [as_sample(row) for row in chosen.to_dict("records")]


def run_batches(
    loaded: LoadedModel,
    samples: Sequence[Sample],
    plan: Plan,
    writers: dict[str, SiteWriter],
    *,
    images: Path | None,
    dtype: str,
    language: str,
) -> None:
    """Compute what the writers lack, from the first row that one of them lacks, and hand it to them."""
    first = min((writer.next_row for writer in writers.values()), default=plan.rows)
    progress = Progress(f"activations {language}", plan.rows, "tokens", start=first)
    done = sum(len(batch.samples) for batch in plan.batches if batch.stop <= first)
    # The thread moves `next_row` on; what a batch must compute follows from where this run began.
    began = {name: writer.next_row for name, writer in writers.items()}
    with memory_kept(), Background(QUEUE_BATCHES) as background:
        for planned in plan.from_row(first):
            lacking = [name for name, row in began.items() if planned.stop > row]
            batch_samples = [samples[i] for i in planned.samples]
            batch = collate(
                loaded,
                encode_samples(loaded, batch_samples, images=images),
                load_images(loaded, batch_samples, images),
            )
            stored = forward(loaded, batch, lacking, plan.roles, batch_samples, dtype)
            for name, (values, _) in stored.items():
                if len(values) != planned.stop - planned.start:
                    raise RuntimeError(f"{name}: {len(values)} rows computed, {planned} planned")
            background.put(_append, writers, planned.start, stored)
            done += len(batch_samples)
            progress.update(planned.stop - max(planned.start, first), samples=done)


def forward(
    loaded: LoadedModel,
    batch: Batch,
    sites: Sequence[str],
    roles: Sequence[str],
    samples: Sequence[Sample],
    dtype: str,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Per site the kept rows as stored, (n, d), and their norms before rounding, (n) float32.

    The pass ends behind the deepest site. InputError names the sample, site and position of a value that is not finite.
    """
    kept = batch.has_role(roles)
    index = kept.flatten().nonzero().squeeze(1)
    with torch.inference_mode():
        with capture(loaded, sites, stop=True) as values:
            loaded.model(**batch.inputs, use_cache=False)
        # All sites are computed before one is fetched: the first copy from a GPU waits for everything before it.
        found = [_kept_rows(values.pop(site), index) for site in sites]
        return {
            site: _as_stored(rows, norms, site, batch, kept, samples, dtype)
            for site, (rows, norms) in zip(sites, found, strict=True)
        }


def _kept_rows(value: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Of (B, T, d) the (n, d) tokens at flat places `index`, and their norms (n) float32, where the value lies."""
    rows = value.flatten(0, 1).index_select(0, index.to(value.device))
    return rows, torch.linalg.vector_norm(rows, dim=-1, dtype=torch.float32)


def _as_stored(
    rows: Tensor, norms: Tensor, site: str, batch: Batch, kept: Tensor, samples: Sequence[Sample], dtype: str
) -> tuple[np.ndarray, np.ndarray]:
    norms = norms.cpu()
    if not torch.isfinite(norms).all():
        bad = int(torch.nonzero(~torch.isfinite(norms))[0])
        sample, column = torch.nonzero(kept)[bad].tolist()
        value = rows[bad][~torch.isfinite(rows[bad])]
        raise InputError(
            f"sample {samples[sample].sample_id}, site {site}, position {int(batch.position[sample, column])}",
            found=f"the activation {float(value[0]) if len(value) else float(norms[bad])}",
            expected="finite activations",
            mend="use model.dtype float32 or bfloat16 with sound weights, or quarantine the sample",
        )
    if dtype == "bfloat16":
        return rows.to(torch.bfloat16).cpu().view(torch.uint16).numpy(), norms.numpy()
    return rows.float().cpu().numpy(), norms.numpy()


def _append(
    writers: dict[str, SiteWriter], start: int, stored: dict[str, tuple[np.ndarray, np.ndarray]]
) -> None:
    for site, (values, norms) in stored.items():
        writers[site].append(start, values, norms)
