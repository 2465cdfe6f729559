"""The extraction stage: every missing site of a block of samples from one forward pass."""

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from crosslens.activations.alone import Means
from crosslens.activations.background import Background, ahead
from crosslens.activations.disk import disk_errors
from crosslens.activations.plan import BatchPlan, Plan, make_plan
from crosslens.activations.writer import SiteWriter
from crosslens.errors import InputError
from crosslens.generation.continuation import encode_samples
from crosslens.memory import memory_kept
from crosslens.models.composition import MOST_TOKENS, check_composition
from crosslens.models.hooks import capture
from crosslens.models.inputs import Batch, Encoded, Sample, as_sample, collate, load_images
from crosslens.models.load import DTYPES, LoadedModel, check_sites, load_model
from crosslens.models.sites import parse_site
from crosslens.progress import Progress
from crosslens.store.remove import remove
from crosslens.tables.activations import STORED
from crosslens.tables.documents import read_table
from crosslens.tables.tokens import write_tokens

log = logging.getLogger(__name__)

STORED_ROLES = ("prompt", "caption")
QUEUE_BATCHES = 2
"""Computed batches that may wait for the disk."""
MOST_THREADS = 4
"""Batches, with their pictures, that are read at the same time, and sites that are written: enough for a fast GPU, and few
enough that a machine of many cores does not hold dozens of batches."""


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
    alone: dict[str, Path] | None = None,
    kind: str = "dataset",
) -> None:
    """Store the activations of `sites` (site name → path of the group to make) for a block of `dataset`.

    rows: first and last value of its column `row`, both included; quarantined rows may be missing between them.
    images: the folder that the dataset's image paths are relative to. model: keyword arguments of `load_model`.
    tokens: where to write the token table, or None when it is there already (the rows are the same ones). dtype: of the
    stored values, "bfloat16" or "float32". batch_tokens: bound of padded tokens per forward pass. shard_bytes: of one
    stored shard before compression; one shard per site is held in memory. roles: of the tokens that are stored. alone: sites
    at which the captions are read without their pictures as well, in a pass of their own, and where to write their means.
    kind: of the table `dataset`, or `written`, whose captions are ids that the model generated.

    A killed run resumes from what stands beside each output and ends with the same bytes. Raises InputError for bad
    rows, samples, images, sites, adapters or models, for NaN or infinite activations, and for a disk that cannot take them.
    """
    if dtype not in STORED:
        raise InputError(
            "activations dtype",
            found=repr(dtype),
            expected=" or ".join(STORED),
            mend="use bfloat16: float16 ends at 65,504 and Gemma-3 residuals reach 800,000",
        )
    alone = alone or {}
    for site in (*sites, *alone):
        parse_site(site)
    samples = read_samples(dataset, rows, kind)
    loaded = load_model(**model)
    parsed = {str(site): site for site in check_sites(loaded, sorted({*sites, *alone}))}

    def attributes(name: str) -> dict[str, Any]:
        return {
            "site": name,
            "layer": parsed[name].layer,
            "language": language,
            "model": loaded.name,
            "revision": model.get("revision") or "",
        }

    if alone:
        texts = [sample._replace(image="", image_sha256="") for sample in samples]
        plan = make_plan(loaded, texts, roles=("caption",), batch_tokens=batch_tokens)
        means = {
            name: Means(path, plan.tokens, d_model=loaded.d_model, **attributes(name))
            for name, path in alone.items()
        }
        run_batches(loaded, texts, plan, means, images=None, dtype="float32", language=language)
        for mean in means.values():
            mean.finish()
    if not sites and tokens is None:
        return
    plan = make_plan(loaded, samples, images=images, roles=roles, batch_tokens=batch_tokens)
    if parsed:
        shortest = _few_tokens_twice(loaded, samples[plan.batches[0].samples[0]], images)
        check_composition(loaded, shortest, 1 + max(site.layer for site in parsed.values()))
    if tokens is not None:
        with disk_errors(tokens):
            remove(tokens)
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
            attributes=attributes(name),
        )
        for name in sites
    }
    run_batches(loaded, samples, plan, writers, images=images, dtype=dtype, language=language)
    for writer in writers.values():
        writer.finish()


def _few_tokens_twice(loaded: LoadedModel, sample: Sample, images: Path | None) -> Batch:
    """Twice a sample with its picture, or the first MOST_TOKENS tokens of one without."""
    (encoded,) = encode_samples(loaded, [sample], images=images)
    if not sample.image:
        encoded = Encoded(*(column[:MOST_TOKENS] for column in encoded))
    return collate(loaded, [encoded] * 2, load_images(loaded, [sample] * 2, images))


def read_samples(dataset: Path, rows: tuple[int, int], kind: str = "dataset") -> list[Sample]:
    """The samples whose `row` (docs/storage.md) is rows[0] to rows[1], both included; InputError when there are none.

    Quarantined rows are missing from the table, and the last part may end early.
    """
    table = read_table(dataset, kind)
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
    writers: Mapping[str, SiteWriter | Means],
    *,
    images: Path | None,
    dtype: str,
    language: str,
) -> None:
    """Compute what the writers lack, from the first row that one of them lacks, and hand it to them.

    Batches are read (texts, pictures) by as many threads as torch has (MOST_THREADS at most), ahead of the model, and
    sites are written by as many behind it, so that a GPU waits neither for pictures nor for the disk.
    """
    first = min((writer.next_row for writer in writers.values()), default=plan.rows)
    progress = Progress(f"activations {language}", plan.rows, "tokens", start=first)
    done = sum(len(batch.samples) for batch in plan.batches if batch.stop <= first)
    # The thread moves `next_row` on; what a batch must compute follows from where this run began.
    began = {name: writer.next_row for name, writer in writers.items()}
    tokenizing = threading.Lock()

    def read(planned: BatchPlan) -> _Reading:
        chosen = [samples[i] for i in planned.samples]
        # A tokenizer serves one thread at a time; pictures, which take longest, are read side by side.
        with tokenizing:
            encoded = encode_samples(loaded, chosen, images=images)
        batch = collate(loaded, encoded, load_images(loaded, chosen, images))
        kept = batch.has_role(plan.roles).flatten().nonzero().squeeze(1)
        return _Reading(planned, chosen, batch, kept)

    threads = min(torch.get_num_threads(), MOST_THREADS)
    batches = ahead(read, plan.from_row(first), threads=threads)
    with (
        memory_kept(),
        ThreadPoolExecutor(threads, thread_name_prefix="crosslens-shards") as pool,
        Background(QUEUE_BATCHES) as background,
        closing(batches),
    ):
        for reading in batches:
            planned = reading.planned
            lacking = [name for name, row in began.items() if planned.stop > row]
            found, events = forward(loaded, reading.batch, lacking, reading.kept, dtype)
            for name, (rows, _) in found.items():
                if len(rows) != planned.stop - planned.start:
                    raise RuntimeError(f"{name}: {len(rows)} rows computed, {planned} planned")
            background.put(_append, writers, reading, found, events, pool)
            done += len(reading.samples)
            progress.update(planned.stop - max(planned.start, first), samples=done)


class _Reading(NamedTuple):
    """A batch as the model takes it."""

    planned: BatchPlan
    samples: list[Sample]
    batch: Batch
    kept: Tensor
    """(n) int64, where the stored tokens are in the flattened batch."""


def forward(
    loaded: LoadedModel, batch: Batch, sites: Sequence[str], kept: Tensor, dtype: str
) -> tuple[dict[str, tuple[Tensor, Tensor]], list[torch.cuda.Event]]:
    """Per site the kept tokens (n, d) in the stored dtype, and their norms before rounding, (n) float32; on the CPU.

    kept: (n) int64 indices into the B · T tokens. The pass ends behind the deepest site. With CUDA nothing here waits for
    a GPU: the values are there when the events, one for each GPU that computed some, have come.
    """
    devices = set()
    with torch.inference_mode():
        with capture(loaded, sites, stop=True) as values:
            loaded.model(**batch.inputs, use_cache=False)
        found = {}
        for site in sites:
            value = values.pop(site)
            devices.add(value.device)
            rows = value.flatten(0, 1).index_select(0, kept.to(value.device))
            norms = torch.linalg.vector_norm(rows, dim=-1, dtype=torch.float32)
            found[site] = _fetched(rows.to(DTYPES[dtype])), _fetched(norms)
    return found, [
        torch.cuda.current_stream(place).record_event() for place in devices if place.type == "cuda"
    ]


def _fetched(value: Tensor) -> Tensor:
    """`value` on the CPU; from CUDA by way of page-locked memory, without waiting."""
    return value.to("cpu", non_blocking=value.is_cuda)


def _append(
    writers: Mapping[str, SiteWriter | Means],
    reading: _Reading,
    found: dict[str, tuple[Tensor, Tensor]],
    events: list[torch.cuda.Event],
    pool: ThreadPoolExecutor,
) -> None:
    """Check and write a batch's values. InputError names sample, site and position of one that is not finite."""
    for event in events:
        event.synchronize()

    def write(site: str) -> None:
        rows, norms = found[site]
        values = rows.view(torch.uint16) if rows.dtype == torch.bfloat16 else rows
        writers[site].append(reading.planned.start, values.numpy(), norms.numpy())

    # None of a batch is written before all of it is known to be sound.
    for site, (rows, norms) in found.items():
        _check_finite(site, rows, norms, reading)
    for _ in pool.map(write, found):
        pass


def _check_finite(site: str, rows: Tensor, norms: Tensor, reading: _Reading) -> None:
    bad = torch.nonzero(~torch.isfinite(norms))
    if not len(bad):
        return
    row, batch = rows[int(bad[0])], reading.batch
    value = row[~torch.isfinite(row)]
    sample, column = divmod(int(reading.kept[int(bad[0])]), batch.role.shape[1])
    raise InputError(
        f"sample {reading.samples[sample].sample_id}, site {site}, position {int(batch.position[sample, column])}",
        found=f"the activation {float(value[0]) if len(value) else float(norms[bad[0]])}",
        expected="finite activations",
        mend="use model.dtype float32 or bfloat16 with sound weights, or quarantine the sample",
    )
