"""One forward pass per language and part writes the token table and every layer that the store lacks."""

import math
from typing import Any, NamedTuple

from crosslens.artifacts.kinds import Amount, At, Kind, Need, Work
from crosslens.artifacts.needs import (
    each_language,
    model_files,
    model_mb,
    model_of,
    model_place,
    samples_of,
    source_of,
)
from crosslens.data.languages import language_of
from crosslens.models.picture_tokens import token_side

GEMMA = {"mm_tokens_per_image": 256, "image_size": 896}
"""Of Gemma 3, the largest pictures of the families: for models whose sizes are not known."""

AS_READ = 16 << 20
"""Bytes of a user's picture, decoded, where nobody has looked."""
FRAME = 128
"""Tokens that a chat template puts around a prompt and its answer, at most."""


SAMPLES = (
    "crosslens.data.altered",
    "crosslens.data.captions",
    "crosslens.data.dataset",
    "crosslens.data.images",
    "crosslens.data.picture_files",
)
"""They say which rows there are, with which text and picture; of labels and splits, the dataset's others, no token knows."""


def samples_code(at: At) -> dict[str, str]:
    """Modules that decide the samples, to digests: `block` below holds what was read, not what is made of it."""
    found = {name: sha256 for need in source_of(at) for name, sha256 in at.table.code(*need).modules.items()}
    if at.study.source.is_generation:
        return found
    tables = at.table.code(*samples_of(at)).modules
    return found | {name: tables[name] for name in SAMPLES}


def text_of(at: At) -> str | None:
    """What a control does to the texts of this language; Latin letters change nothing where there are no others."""
    text = at.settings["text"]
    return None if text == "romanised" and not language_of(at["language"]).romanisation else text


def letters_of(at: At) -> dict[str, str]:
    """Of a control in Latin letters, its table: all that the texts follow of the language's module."""
    return language_of(at["language"]).romanisation if text_of(at) == "romanised" else {}


def block_params(at: At) -> dict[str, Any]:
    """What decides the tokens of one part: the model, the samples of the part, how they are batched and stored."""
    stored = at.settings["activations"]
    return {
        **({"letters": letters} if (letters := letters_of(at)) else {}),
        "model": at.study.model.identity,
        "language": at["language"],
        "prompt": at.settings["prompts"].get(at["language"]),
        "text": text_of(at),
        "rows": at.study.part_rows(at["part"]),
        "block": at.study.block_identity(at["part"], at["language"]),
        "code": samples_code(at),
        **{name: stored[name] for name in ("roles", "dtype", "batch_tokens", "shard_mb")},
    }


def block_needs(at: At) -> list[Need]:
    """The model, where a rule makes it, and the texts that it has written."""
    return [*model_of(at), *([samples_of(at)] if at.study.source.is_generation else [])]


def block_reads(at: At) -> list[Need]:
    """The samples come from the dataset, but `block` above already says which they are: appending rows changes no key."""
    return [] if at.study.source.is_generation else [samples_of(at), *source_of(at)]


def each_part(at: At) -> list[dict[str, str]]:
    """Every part of every language."""
    return [each | {"part": part} for each in each_language(at) for part in at.parts]


def read_alone(at: At) -> list[dict[str, str]]:
    """Where captions with pictures are compared between languages: what their words are without."""
    if not compares_captions(at):
        return []
    return [each | {"site": site} for site in at.study.sites for each in each_part(at)]


def compares_captions(at: At) -> bool:
    """Whether captions with pictures are compared between languages."""
    return at.study.source.has_pictures and bool(at.study.pairs)


def passed(at: At, reading: Any) -> Amount:
    """A part's share of the forward passes of its language."""
    parts, language = len(at.parts), at["language"]
    return Amount(
        "forward",
        reading.extraction_flops[language] / parts,
        reading.extraction_batches[language] / parts,
    )


def passed_alone(at: At, reading: Any) -> Amount:
    """A part's and a site's share of the pass over the captions of a language without pictures."""
    return Amount("forward", reading.alone_flops(at["language"]) / (len(at.parts) * len(at.study.sites)))


class Pictures(NamedTuple):
    """Of a part, as the model sees them."""

    tokens: int | None
    """Of the text, that the largest takes; None where that is not known."""
    fewest: int
    """That the smallest takes; where that is not known, as many as Gemma's."""
    values: int
    """Numbers that the model is given of the largest."""
    as_read: int
    """Bytes of the largest file, decoded."""


def extraction_mb(at: At, threads: int) -> int:
    """The model, the values of batches that wait to be written and of the one in the model, and pictures that wait.

    A part with fewer rows than a batch takes is no larger than its rows.
    """
    model, batch_tokens = at.study.model, at.settings["activations"]["batch_tokens"]
    rows, longest = at.study.extent(at["part"], at["language"]) if "part" in at else (math.inf, None)
    padded, scores = batch_tokens, 0
    seen = pictures_of(at)
    in_picture = seen.tokens if seen else 0
    if longest is not None and in_picture is not None:
        longest = min(batch_tokens, longest + FRAME + in_picture)
        padded = min(batch_tokens, rows * longest)
        # Of all pairs of tokens, as they are, as float32 behind the softmax, and cast again.
        scores = 3 * 4 * model.heads * padded * longest
    values = 4 * padded * model.d_model * len(at.study.sites)
    pictures = _pictures_mb(seen, rows, batch_tokens, threads + 2) if seen else 0
    samples = min(rows, at.settings["activations"]["part_rows"])
    means = 4 * samples * model.d_model * len(at.study.sites) if compares_captions(at) else 0
    return model_mb(at) + 1500 + (4 * values + scores + means) // 2**20 + pictures


def pictures_of(at: At) -> Pictures | None:
    """None where the study has none. Files are looked into only where tokens hang on their sizes."""
    if not at.study.source.has_pictures:
        return None
    model, drawn = at.study.model, at.study.source.drawn_pixels
    side = token_side(model.config)
    sizes = at.study.picture_sizes(at["part"]) if side and "part" in at else None
    tokens = [model.picture_tokens(size) for size in sizes or [None]]
    most, usual = None if None in tokens else max(tokens), GEMMA["mm_tokens_per_image"]
    if side is not None:
        # each pixel twice, as a film of two frames
        values = 2 * 3 * most * side**2
    else:
        values = 3 * model.config.get("vision_config", {}).get("image_size", GEMMA["image_size"]) ** 2
    # as the model sees it, or of a camera's
    as_read = 3 * max(height * width for height, width in sizes) if sizes else values if drawn else AS_READ
    fewest = min(tokens) if sizes else usual if side or most is None else most
    return Pictures(most, fewest, values, as_read)


def _pictures_mb(seen: Pictures, rows: float, batch_tokens: int, batches: int) -> int:
    """Pictures as read, as float32, and in the dtype of the model.

    batches: how many are read ahead, in the model and behind it, if there are as many rows: one for each reader, one in the
    model and one that was read in time.
    """
    held, read = (
        min(rows, batches * max(1, batch_tokens // each))
        for each in (seen.tokens or seen.fewest, seen.fewest)
    )
    return -(-(read * seen.as_read + held * 8 * seen.values) // 2**20)


KINDS = [
    Kind(
        "tokens",
        "results/{study}/activations/{language}/tokens/part_{part}.zarr",
        by="extract",
        module="crosslens.activations.extract",
        params=block_params,
        needs=block_needs,
        reads=block_reads,
        files_read=model_files,
        every=each_part,
        called="tokens",
        amount=passed,
    ),
    Kind(
        "activations",
        "results/{study}/activations/{language}/layer_{site}/part_{part}.zarr",
        by="extract",
        module="crosslens.activations.extract",
        params=lambda at: block_params(at) | {"site": at["site"]},
        needs=block_needs,
        reads=block_reads,
        files_read=model_files,
        every=lambda at: [each | {"site": site} for site in at.study.sites for each in each_part(at)],
        called="{site}",
    ),
    # A pass of its own in the same job; with some hundred tokens a picture it is a small part of the other.
    Kind(
        "text_alone",
        "results/{study}/activations/{language}/text_alone/layer_{site}/part_{part}.zarr",
        by="extract",
        module="crosslens.activations.extract",
        params=lambda at: block_params(at) | {"site": at["site"], "pictures": False},
        needs=block_needs,
        reads=block_reads,
        files_read=model_files,
        every=read_alone,
        called="alone.{site}",
        holds=3,
        amount=passed_alone,
    ),
]
WORK = [Work("extract", memory=extraction_mb, per=("language", "part"), gpu=True, local=model_place)]
