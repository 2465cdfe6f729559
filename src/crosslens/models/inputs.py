"""Samples as model inputs, with what every token is: its role and its characters in the caption or the prompt."""

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from crosslens.errors import InputError
from crosslens.models.load import LoadedModel
from crosslens.tables.tokens import ROLES

PADDING = 255
"""In `Batch.role` where there is no token."""

BOS, SPECIAL, IMAGE, PROMPT, CAPTION = (
    ROLES.index(role) for role in ("bos", "special", "image", "prompt", "caption")
)
# Private-use characters that no template changes and no caption holds.
_PROMPT_MARK, _CAPTION_MARK = "\ue0f0", "\ue0f1"


class Sample(NamedTuple):
    """What a model is shown of one row of a dataset."""

    sample_id: str
    caption: str
    prompt: str
    image: str = ""
    """Path relative to the image folder, or empty."""
    image_sha256: str = ""
    """Checked where it is not empty."""


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
    """Keyword arguments of the model: input_ids, attention_mask and position_ids (B, T), and for vision-language models
    token_type_ids (B, T) and pixel_values (images, channels, height, width)."""
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
    that ends it; without `with_caption` the text stops where the model's answer begins. Without a template it is the
    prompt, a newline and the caption. samples: rows with `sample_id`, `caption`, `prompt`, `image` (relative to
    `images`, or empty) and optionally `image_sha256`. Raises InputError for missing or changed images, for images given
    to a text-only model, and for captions that hold special tokens.
    """
    rows = [as_sample(sample) for sample in samples]
    encoded = encode(loaded, rows, with_caption=with_caption)
    return collate(loaded, encoded, load_images(loaded, rows, images), padding_side=padding_side)


def encode(loaded: LoadedModel, samples: Sequence[Sample], *, with_caption: bool) -> list[Encoded]:
    """The tokens of every sample, with the places of the images' soft tokens, without touching image files."""
    around = {
        image: frame(loaded, image=image, with_caption=with_caption)
        for image in {bool(sample.image) for sample in samples}
    }
    frames = [around[bool(sample.image)] for sample in samples]
    special = _special_ids(loaded.tokenizer)
    captions = [sample.caption if with_caption else "" for sample in samples]
    texts = [
        head + sample.prompt + middle + caption + tail
        for (head, middle, tail), sample, caption in zip(frames, samples, captions, strict=True)
    ]
    templated = loaded.tokenizer.chat_template is not None
    tokens = loaded.tokenizer(texts, add_special_tokens=not templated, return_offsets_mapping=True)
    return [
        _label(loaded, special, sample, caption, len(head), len(middle), ids, np.array(spans, dtype=np.int64))
        for (head, middle, _), sample, caption, ids, spans in zip(
            frames, samples, captions, tokens["input_ids"], tokens["offset_mapping"], strict=True
        )
    ]


def frame(loaded: LoadedModel, *, image: bool, with_caption: bool) -> tuple[str, str, str]:
    """The text before the prompt, between prompt and caption, and behind the caption."""
    tokenizer, adapter = loaded.tokenizer, loaded.adapter
    if image and not adapter.is_vision:
        raise InputError(
            loaded.id,
            found="samples with images",
            expected="text only: this model has no vision tower",
            mend="choose a vision-language model, or a dataset whose image column is empty",
        )
    if tokenizer.chat_template is None:
        return "", "\n" if with_caption else "", ""

    def turn(role: str, text: str, image: bool) -> dict[str, Any]:
        if not adapter.is_vision:
            return {"role": role, "content": text}
        pictures = [{"type": "image"}] if image else []
        return {"role": role, "content": [*pictures, {"type": "text", "text": text}]}

    turns = [turn("user", _PROMPT_MARK, image)]
    if with_caption:
        turns.append(turn("assistant", _CAPTION_MARK, False))
    render = (adapter.processor or tokenizer).apply_chat_template
    text = render(turns, tokenize=False, add_generation_prompt=not with_caption)
    head, _, rest = text.partition(_PROMPT_MARK)
    middle, _, tail = rest.partition(_CAPTION_MARK)
    # Text behind the caption has seen the caption, so it may not pass for a part of the prompt.
    return adapter.expand_images(head) if image else head, middle, tail.rstrip()


def _label(
    loaded: LoadedModel,
    special_ids: np.ndarray,
    sample: Sample,
    caption: str,
    head: int,
    middle: int,
    ids: list[int],
    spans: np.ndarray,
) -> Encoded:
    """Roles and spans from the character offsets (T, 2) of the tokens in the whole text."""
    token_id = np.array(ids, dtype=np.int32)
    prompt_end = head + len(sample.prompt)
    caption_start = prompt_end + middle
    caption_end = caption_start + len(caption)
    start, end = spans[:, 0], spans[:, 1]
    in_prompt = (start < prompt_end) & (end > head)
    in_caption = (start < caption_end) & (end > caption_start)
    special = np.isin(token_id, special_ids)
    image = token_id == (-1 if loaded.adapter.image_token_id is None else loaded.adapter.image_token_id)
    if (stray := np.flatnonzero((special | image) & (in_prompt | in_caption))).size:
        text = loaded.tokenizer.convert_ids_to_tokens(int(token_id[stray[0]]))
        raise InputError(
            f"sample {sample.sample_id}",
            found=f"the special token {text!r} in its caption or prompt",
            expected="plain text",
            mend="take it out of the text",
        )
    role = np.full(len(token_id), PROMPT, dtype=np.uint8)
    role[special | (start >= caption_end)] = SPECIAL
    role[in_caption] = CAPTION
    role[image] = IMAGE
    if (bos := loaded.tokenizer.bos_token_id) is not None:
        role[token_id == bos] = BOS
        if (count := int((token_id == bos).sum())) > 1:
            raise InputError(
                f"sample {sample.sample_id}",
                found=f"{count} beginning-of-sequence tokens",
                expected="one",
                mend="mend the chat template of the model's tokenizer",
            )
    char_start, char_end = np.full((2, len(token_id)), -1, dtype=np.int32)
    for inside, low, high in ((in_prompt, head, prompt_end), (in_caption, caption_start, caption_end)):
        char_start[inside] = np.maximum(start[inside], low) - low
        char_end[inside] = np.minimum(end[inside], high) - low
    return Encoded(token_id, role, char_start, char_end)


def _special_ids(tokenizer: Any) -> np.ndarray:
    """Ids that stand for no text. The unknown token does: some character that the vocabulary lacks."""
    added = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special}
    return np.array(
        sorted((added | set(tokenizer.all_special_ids)) - {tokenizer.unk_token_id}), dtype=np.int32
    )


def load_images(loaded: LoadedModel, samples: Sequence[Sample], images: Path | None) -> list[Image.Image]:
    """The pictures of the samples that have one, as RGB, in their order; InputError for a missing or changed file."""
    shown = [sample for sample in samples if sample.image]
    if shown and images is None:
        raise InputError(
            f"sample {shown[0].sample_id}",
            found=f"the image {shown[0].image}, and no image folder",
            expected="the folder that the dataset's image paths are relative to",
            mend="name the image folder of the dataset in the study",
        )
    return [_load_image(Path(images) / sample.image, sample) for sample in shown]


def _load_image(path: Path, sample: Sample) -> Image.Image:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(
            path,
            found="no file",
            expected=f"the image of sample {sample.sample_id}",
            mend="restore the image, or rebuild the dataset",
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if sample.image_sha256 and found != sample.image_sha256:
        raise InputError(
            path,
            found=f"sha256 {found} for sample {sample.sample_id}",
            expected=f"{sample.image_sha256} as in the dataset",
            mend="restore the image, or rebuild the dataset from the changed images",
        )
    try:
        return Image.open(io.BytesIO(data)).convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(
            path,
            found=f"a file that is no image ({error})",
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
    inputs = {
        "input_ids": torch.from_numpy(token_id),
        "attention_mask": torch.from_numpy((role != PADDING).astype(np.int64)),
        "position_ids": torch.from_numpy(position.clip(min=0)),
    }
    if loaded.adapter.is_vision:
        # Without them Gemma 3 attends to image tokens causally, silently.
        inputs["token_type_ids"] = torch.from_numpy((role == IMAGE).astype(np.int64))
        if images:
            inputs.update(loaded.adapter.image_inputs(images))
    columns = (
        torch.from_numpy(column).to(loaded.device) for column in (role, position, char_start, char_end)
    )
    return Batch({name: value.to(loaded.device) for name, value in inputs.items()}, *columns)
