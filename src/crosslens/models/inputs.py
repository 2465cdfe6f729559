"""Samples as model inputs, with what every token is: its role and its characters in the caption or the prompt."""

import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from crosslens.errors import InputError, blaming
from crosslens.models.lengths import check_lengths
from crosslens.models.load import LoadedModel
from crosslens.pictures import UnreadablePicture, load_picture
from crosslens.tables.roles import BOS, CAPTION, IMAGE, PROMPT, ROLES, SPECIAL

PADDING = 255
"""In `Batch.role` where there is no token."""
# Private-use characters that no template changes and no caption holds.
_PROMPT_MARK, _CAPTION_MARK = "\ue0f0", "\ue0f1"
_ONE_DAY = "{%- macro strftime_now(format) -%}26 Jul 2024{%- endmacro +%}"
"""Before a chat template, which would otherwise write today's date: an artifact would depend on the day it was made.

The day is that of Llama 3's templates where they cannot tell the date.
"""


class Sample(NamedTuple):
    """What a model is shown of one row of a dataset."""

    sample_id: str
    caption: str
    prompt: str
    image: str = ""
    """Path relative to the image folder, or empty."""
    image_sha256: str = ""
    """Checked where it is not empty."""
    token_ids: str = ""
    """JSON list of the ids that the model generated, where `caption` is what they say; else empty."""
    char_start: str = ""
    """JSON list: where the characters of each of `token_ids` start in `caption`, -1 for none."""
    char_end: str = ""
    """JSON list: where they end; -1 likewise."""


def as_sample(row: Any) -> Sample:
    """A mapping or an object with the fields of Sample as one: others are ignored, missing texts become empty."""
    if isinstance(row, Sample):
        return row
    fields = row if isinstance(row, Mapping) else {name: getattr(row, name, "") for name in Sample._fields}
    found = {name: fields.get(name, "") for name in Sample._fields}
    return Sample(**{name: value if isinstance(value, str) else "" for name, value in found.items()})


class Encoded(NamedTuple):
    """One sample's T tokens, unpadded."""

    token_id: np.ndarray
    """(T) int32."""
    role: np.ndarray
    """(T) uint8 index into ROLES."""
    char_start: np.ndarray
    """(T) int32 start in the caption (role caption) or prompt (role prompt), -1 where the token has no place in it."""
    char_end: np.ndarray
    """(T) int32 end, exclusive; -1 likewise."""

    def __len__(self) -> int:
        return len(self.token_id)


@dataclass(frozen=True)
class Batch:
    """B samples padded to T tokens, on the model's device."""

    inputs: dict[str, Tensor]
    """Keyword arguments of the model: input_ids and attention_mask (B, T), position_ids (B, T) or (axes, B, T), and what
    the family needs besides: the images' pixels, and which tokens see which (token_type_ids, cross_attention_mask, …)."""
    role: Tensor
    """(B, T) uint8 index into ROLES; PADDING where there is no token."""
    position: Tensor
    """(B, T) int64 position in the unpadded sample, from 0; -1 on padding."""
    char_start: Tensor
    """(B, T) int64 start in the caption or the prompt, by role; -1 where the token has no place in it."""
    char_end: Tensor
    """(B, T) int64 end, exclusive; -1 likewise."""

    def has_role(self, roles: Iterable[str]) -> Tensor:
        """(B, T) bool: the tokens whose role is one of `roles`."""
        wanted = torch.tensor([ROLES.index(role) for role in roles], dtype=torch.uint8)
        return torch.isin(self.role, wanted.to(self.role.device))

    @property
    def next_position(self) -> Tensor:
        """(B, 1) int64 position_ids of the token behind each sample, for decoding by hand."""
        positions = self.inputs["position_ids"].amax(dim=-1, keepdim=True)
        return (positions if positions.ndim == 2 else positions.amax(dim=0)) + 1


def build_inputs(
    loaded: LoadedModel,
    samples: Sequence[Any],
    *,
    images: Path | None,
    with_caption: bool,
    padding_side: str = "left",
) -> Batch:
    """Samples as one padded batch.

    With a chat template the prompt is the user's turn (behind the image) and the caption the model's, up to the token
    that ends it; without `with_caption` the text stops where the model's answer begins. Without a template a text-only
    model sees the prompt, a newline and the caption, or the prompt alone. Of a caption with neither prompt nor image it
    sees that text alone, template or not, behind what the tokenizer begins texts with. samples: rows with `sample_id`, `caption`,
    `prompt`, `image` (relative to `images`, or empty) and optionally `image_sha256`. Raises InputError for missing or
    changed images, for images given to a model that cannot see or place them, for special tokens in texts, and for
    samples that are too long.
    """
    rows = [as_sample(sample) for sample in samples]
    encoded = encode(loaded, rows, with_caption=with_caption, images=images)
    check_lengths(loaded, [row.sample_id for row in rows], [len(row) for row in encoded])
    return collate(loaded, encoded, load_images(loaded, rows, images), padding_side=padding_side)


def encode(
    loaded: LoadedModel, samples: Sequence[Sample], *, with_caption: bool, images: Path | None = None
) -> list[Encoded]:
    """The tokens of every sample, with the places of the images' soft tokens.

    images: the image folder; read by families whose number of soft tokens depends on a picture's size.
    """
    adapter = loaded.adapter
    kinds = [
        _Kind(bool(sample.image), with_caption and not sample.prompt and not sample.image)
        for sample in samples
    ]
    begin = loaded.tokenizer.bos_token if loaded.prepend_bos else ""
    around = {
        kind: (begin, "", "") if kind.bare else frame(loaded, image=kind.image, with_caption=with_caption)
        for kind in set(kinds)
    }
    sizes = _image_sizes(samples, images) if adapter.sized_images else dict.fromkeys(samples)
    fill = functools.cache(adapter.image_text)
    texts = []
    for sample, kind in zip(samples, kinds, strict=True):
        head, middle, tail = around[kind]
        if sample.image:
            head = head.replace(adapter.image_marker, fill(sizes[sample]))
        texts.append(_Text(head, sample.prompt, middle, sample.caption if with_caption else "", tail))
    framed = [head for kind, (head, _, _) in around.items() if not kind.bare]
    special = _special_mask(loaded.tokenizer)
    labelled: dict[int, Encoded] = {}
    for bare in {kind.bare for kind in kinds}:
        rows = [row for row, kind in enumerate(kinds) if kind.bare == bare]
        with blaming(
            loaded.id,
            "a tokenizer that fails on texts",
            expected="one that reads them",
            mend="fetch tokenizer.json and tokenizer_config.json again",
        ):
            tokens = loaded.tokenizer(
                ["".join(texts[row]) for row in rows],
                add_special_tokens=not begin if bare else _lacks_special_tokens(loaded, framed),
                return_offsets_mapping=True,
            )
        for row, *found in zip(rows, tokens["input_ids"], tokens["offset_mapping"], strict=True):
            labelled[row] = _label(loaded, special, samples[row], texts[row], *found)
    return [labelled[row] for row in range(len(samples))]


class _Kind(NamedTuple):
    """Which frame stands around a sample."""

    image: bool
    bare: bool
    """None: a caption alone, without prompt and image."""


class _Text(NamedTuple):
    """One sample's text in its parts."""

    head: str
    prompt: str
    middle: str
    caption: str
    tail: str


def frame(loaded: LoadedModel, *, image: bool, with_caption: bool) -> tuple[str, str, str]:
    """The text before the prompt, between prompt and caption, and behind the caption; an image stands as its marker."""
    tokenizer, adapter = loaded.tokenizer, loaded.adapter
    if image and not adapter.is_vision:
        raise InputError(
            loaded.id,
            found="samples with images",
            expected="text only: this model has no vision tower",
            mend="choose a vision-language model, or a dataset whose image column is empty",
        )
    if (template := adapter.chat_template) is None:
        head, middle, tail = adapter.plain_frame(image=image, with_caption=with_caption)
        return (tokenizer.bos_token if loaded.prepend_bos else "") + head, middle, tail

    def turn(role: str, text: str, image: bool) -> dict[str, Any]:
        if not adapter.is_vision:
            return {"role": role, "content": text}
        pictures = [{"type": "image"}] if image else []
        return {"role": role, "content": [*pictures, {"type": "text", "text": text}]}

    turns = [turn("user", _PROMPT_MARK, image)]
    if with_caption:
        turns.append(turn("assistant", _CAPTION_MARK, False))
    if isinstance(template, dict):
        template = template["default"]
    render = (adapter.processor or tokenizer).apply_chat_template
    with blaming(
        loaded.id,
        "a chat template that fails",
        expected="one that writes a user's turn and the model's",
        mend="fetch chat_template.jinja, or the tokenizer's files, again",
    ):
        text = render(
            turns, tokenize=False, add_generation_prompt=not with_caption, chat_template=_ONE_DAY + template
        )
    head, _, rest = text.partition(_PROMPT_MARK)
    middle, _, tail = rest.partition(_CAPTION_MARK)
    if image and head.count(adapter.image_marker) != 1:
        raise InputError(
            loaded.id,
            found=f"a chat template that puts {head.count(adapter.image_marker)} images before the prompt",
            expected=f"one {adapter.image_marker}",
            mend="mend the chat template of the model's processor",
        )
    # Text behind the caption has seen the caption, so it may not pass for a part of the prompt.
    return head, middle, tail.rstrip()


def _check_ids(loaded: LoadedModel, sample: Sample, token_id: np.ndarray) -> None:
    """InputError for a token that the model has no embedding of; what stands for an image needs none."""
    rows = getattr(loaded.model.get_input_embeddings(), "num_embeddings", None)
    beyond = token_id[token_id != loaded.adapter.image_token_id] if rows else ()
    if len(beyond) and (most := int(beyond.max())) >= rows:
        raise InputError(
            f"sample {sample.sample_id}",
            found=f"token {most} ({loaded.tokenizer.convert_ids_to_tokens(most)!r}), which {loaded.id} has no embedding of",
            expected=f"0 to {rows - 1}",
            mend="fetch the tokenizer's files and the weights again, both of one revision",
        )


def _lacks_special_tokens(loaded: LoadedModel, heads: Iterable[str]) -> bool:
    """Whether the tokenizer has to add them to texts that begin so, by the rules of transformers.

    Tokenizers add none to a chat template's text, processors do unless it holds the BOS (LLaVA's does not).
    """
    bos = loaded.tokenizer.bos_token
    if bos is not None and any(bos in head for head in heads):
        return False
    return loaded.adapter.is_vision or loaded.adapter.chat_template is None


def _label(
    loaded: LoadedModel,
    special_ids: np.ndarray,
    sample: Sample,
    text: _Text,
    ids: list[int],
    offsets: list[tuple[int, int]],
) -> Encoded:
    """Roles and spans from the character offsets of the tokens in the whole text; special_ids: (vocabulary) bool."""
    if not ids:
        raise InputError(
            f"sample {sample.sample_id}",
            found="no tokens",
            expected="a prompt or a caption: this model's texts begin with no token of their own",
            mend="give the sample a text",
        )
    token_id = np.array(ids, dtype=np.int32)
    _check_ids(loaded, sample, token_id)
    head, prompt_end, caption_start, caption_end, _ = np.cumsum([len(part) for part in text])
    special = special_ids[token_id]
    whole = "".join(text)
    for i in np.flatnonzero(token_id == loaded.tokenizer.unk_token_id):
        # The unknown token stands for some character that the vocabulary lacks, unless it was written out.
        special[i] = whole[slice(*offsets[i])].strip() == loaded.tokenizer.unk_token
    start, end = _without_gaps(whole, np.array(offsets, dtype=np.int64), special)
    in_prompt = (start < prompt_end) & (end > head)
    in_caption = (start < caption_end) & (end > caption_start)
    image = token_id == (-1 if loaded.adapter.image_token_id is None else loaded.adapter.image_token_id)
    if (stray := np.flatnonzero((special | image) & (in_prompt | in_caption))).size:
        found = loaded.tokenizer.convert_ids_to_tokens(int(token_id[stray[0]]))
        raise InputError(
            f"sample {sample.sample_id}",
            found=f"the special token {found!r} in its caption or prompt",
            expected="plain text",
            mend="take it out of the text",
        )
    role = np.full(len(token_id), PROMPT, dtype=np.uint8)
    role[special | (start >= caption_end)] = SPECIAL
    role[in_caption] = CAPTION
    role[image] = IMAGE
    if (bos := _bos(loaded, token_id, in_prompt | in_caption, sample)) is not None:
        role[bos] = BOS
    char_start, char_end = np.full((2, len(token_id)), -1, dtype=np.int32)
    for inside, low, high in ((in_prompt, head, prompt_end), (in_caption, caption_start, caption_end)):
        char_start[inside] = np.maximum(start[inside], low) - low
        char_end[inside] = np.minimum(end[inside], high) - low
    return Encoded(token_id, role, char_start, char_end)


def _without_gaps(text: str, spans: np.ndarray, special: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends (T) of the tokens that leave no character of the text out, from offsets (T, 2) that may.

    Byte-level tokenizers may trim the space before a word, which goes to the token behind it; normalisers merge or drop
    characters (combining marks, for one), which go to the token before them.
    """
    start, end = spans[:, 0].copy(), spans[:, 1].copy()
    reached = np.concatenate([[0], np.maximum.accumulate(end)])
    for i in np.flatnonzero(start > reached[:-1]):
        low = reached[i]
        before = np.flatnonzero((end[:i] == low) & ~special[:i])
        gap = text[low : start[i]]
        merged = len(gap if special[i] else gap.rstrip()) if before.size else 0
        end[before] += merged
        if not special[i]:
            start[i] = low + merged
    end[(end == reached[-1]) & ~special] = len(text)
    return start, end


def _bos(loaded: LoadedModel, token_id: np.ndarray, in_text: np.ndarray, sample: Sample) -> int | None:
    """Index of the beginning-of-sequence token: the first of that id, before all text; None where there is none.

    Many tokenizers have none (Qwen2, GPT-2, Pythia); the id may stand for other things further back (the end of the
    text in GPT-2, the start of every turn in SmolLM2), but not directly behind: that is a doubled BOS.
    """
    before = np.cumsum(in_text) == 0
    found = np.flatnonzero((token_id == loaded.tokenizer.bos_token_id) & before)
    if len(found) > 1 and found[1] == found[0] + 1:
        raise InputError(
            f"sample {sample.sample_id}",
            found="two beginning-of-sequence tokens",
            expected="one",
            mend="mend the chat template of the model's tokenizer",
        )
    return int(found[0]) if len(found) else None


def special_ids(tokenizer: Any) -> set[int]:
    """Ids that stand for no text."""
    added = tokenizer.added_tokens_decoder.items()
    return {id for id, token in added if token.special} | set(tokenizer.all_special_ids)


def _special_mask(tokenizer: Any) -> np.ndarray:
    """(vocabulary) bool: the ids that stand for no text."""
    special = np.zeros(max([len(tokenizer), *tokenizer.added_tokens_decoder]) + 1, dtype=bool)
    special[[*special_ids(tokenizer)]] = True
    return special


def _image_sizes(samples: Sequence[Sample], images: Path | None) -> dict[Sample, tuple[int, int] | None]:
    """(height, width) in pixels of each sample's picture as it is shown; None for a sample without one."""
    _check_folder(samples, images)
    # A header tells neither whether the rest can be read nor, in every format, how the picture was held.
    pictures = ((sample, _load_image(images, sample) if sample.image else None) for sample in samples)
    return {sample: (picture.height, picture.width) if picture else None for sample, picture in pictures}


def load_images(loaded: LoadedModel, samples: Sequence[Sample], images: Path | None) -> list[Image.Image]:
    """The pictures of the samples that have one, as `crosslens.pictures` reads them, in their order.

    Raises InputError for a missing, changed or unreadable file.
    """
    _check_folder(samples, images)
    return [_load_image(images, sample) for sample in samples if sample.image]


def _check_folder(samples: Sequence[Sample], images: Path | None) -> None:
    shown = [sample for sample in samples if sample.image]
    if shown and images is None:
        raise InputError(
            f"sample {shown[0].sample_id}",
            found=f"the image {shown[0].image}, and no image folder",
            expected="the folder that the dataset's image paths are relative to",
            mend="name the image folder of the dataset in the study",
        )


def _load_image(images: Path, sample: Sample) -> Image.Image:
    path = Path(images) / sample.image
    try:
        data = path.read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if sample.image_sha256 and found != sample.image_sha256:
            raise InputError(
                path,
                found=f"sha256 {found} for sample {sample.sample_id}",
                expected=f"{sample.image_sha256} as in the dataset",
                mend="restore the image, or rebuild the dataset from the changed images",
            )
        return load_picture(data)
    except OSError as error:
        raise InputError(
            path,
            found="no file" if isinstance(error, FileNotFoundError) else error.strerror or error,
            expected=f"the image of sample {sample.sample_id}",
            mend="restore the image, or rebuild the dataset",
        ) from error
    except UnreadablePicture as error:
        raise InputError(
            path,
            found=f"a file that {error}",
            expected=f"the image of sample {sample.sample_id}",
            mend="replace the image, or quarantine it and rebuild the dataset",
        ) from error


def collate(
    loaded: LoadedModel,
    encoded: Sequence[Encoded],
    images: list[Image.Image],
    *,
    padding_side: str = "left",
) -> Batch:
    """Pad the samples to one length and add the pixels. Positions count real tokens only."""
    if padding_side not in ("left", "right"):
        raise ValueError(f"padding_side {padding_side!r}: expected left or right")
    shape = len(encoded), max(len(sample) for sample in encoded)
    pad = loaded.tokenizer.pad_token_id
    token_id = np.full(shape, 0 if pad is None else pad, dtype=np.int64)
    role = np.full(shape, PADDING, dtype=np.uint8)
    position, char_start, char_end = np.full((3, *shape), -1, dtype=np.int64)
    for i, sample in enumerate(encoded):
        length = len(sample)
        place = slice(shape[1] - length, None) if padding_side == "left" else slice(length)
        token_id[i, place] = sample.token_id
        role[i, place] = sample.role
        position[i, place] = np.arange(length)
        char_start[i, place] = sample.char_start
        char_end[i, place] = sample.char_end
    adapter, roles = loaded.adapter, torch.from_numpy(role)
    _check_mix(loaded, role)
    inputs = {
        "input_ids": torch.from_numpy(token_id),
        "attention_mask": torch.from_numpy((role != PADDING).astype(np.int64)),
    }
    if images:
        with blaming(
            loaded.id,
            "a processor that fails on pictures",
            expected="one that makes pixels of them",
            mend="fetch processor_config.json and preprocessor_config.json again",
        ):
            inputs.update(adapter.image_inputs(images))
    inputs.update(adapter.token_inputs(roles, inputs))
    inputs["position_ids"] = adapter.position_ids(torch.from_numpy(position.clip(min=0)), inputs)
    columns = (
        torch.from_numpy(column).to(loaded.device) for column in (role, position, char_start, char_end)
    )
    return Batch({name: value.to(loaded.device) for name, value in inputs.items()}, *columns)


def _check_mix(loaded: LoadedModel, role: np.ndarray) -> None:
    shows = (role == IMAGE).any(axis=1)
    if shows.any() and not shows.all() and not loaded.adapter.mixes_images:
        raise InputError(
            loaded.id,
            found="samples with and without an image in one batch",
            expected="one of the two: in this family the one would change the other",
            mend="keep them in datasets of their own",
        )
