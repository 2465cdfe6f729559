"""How many samples and tokens a study has: counted by the tokenizer where both can be read, else estimated."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from crosslens.activations.plan import cut
from crosslens.data.languages import language_of
from crosslens.generation.continuation import encode_samples
from crosslens.models.inputs import encode
from crosslens.models.lengths import check_lengths
from crosslens.planning.outline import Outline
from crosslens.planning.rates import Rates
from crosslens.planning.samples import Samples, read_samples
from crosslens.study.study import Study
from crosslens.tables.roles import ROLES

AT_ONCE = 512


class Counts(NamedTuple):
    """One language's samples."""

    stored: np.ndarray
    """(n) tokens that are stored."""
    trained: np.ndarray
    """(n) of them, those that SAEs read."""
    all: np.ndarray
    """(n) tokens of the forward pass."""
    pictures: int
    """Samples with a picture."""
    images: int
    """Pictures, or groups of texts that count as one."""
    labelled: int
    """Images of known gender, at most."""
    hidden: int
    """Images of unknown gender, at most."""
    basis: str


def count_tokens(
    study: Study, outline: Outline, rates: Rates, language: str, *, samples: int | None, tokens: int | None
) -> Counts:
    """Tokens of every sample of a language.

    samples, tokens: how many samples, and text tokens in each, to assume where there is no table to count. Of texts that
    the model writes the settings say how many there are. Raises InputError for texts that are too long.
    """
    texts = read_samples(study, language) if samples is None or study.source.is_generation else None
    pictures = outline.image_tokens() if study.source.has_pictures else 0
    if texts is None:
        return _assumed(study, rates, samples or study.source.n_rows, tokens, pictures)
    if outline.loaded is not None:
        by_role = _counted(study, outline, texts)
        basis = f"counted: {texts.basis}, the model's tokenizer"
    else:
        spoken = language_of(language)
        rate = spoken.characters_per_token
        by_role = _estimated(texts, rate, rates.find("template_tokens").value, pictures)
        basis = f"estimated: {texts.basis}, {rate:.2g} characters a token ({spoken.characters_basis})"
    by_role["generated"] = by_role["generated"] + texts.unwritten
    pictured = sum(bool(sample.image) for sample in texts.samples)
    told = all(gender is not None for _, gender in texts.units)
    hidden = texts.images - (texts.labelled if told else 0)
    return _of_roles(study, by_role, pictured, (texts.images, texts.labelled, hidden), basis)


def _of_roles(
    study: Study, by_role: dict[str, np.ndarray], pictures: int, images: tuple[int, int, int], basis: str
) -> Counts:
    stored, trained, every = (
        sum(by_role[role] for role in roles)
        for roles in (study.settings["activations"]["roles"], study.settings["sae"]["roles"], ROLES)
    )
    return Counts(stored, trained, every, pictures, *images, basis)


def _assumed(study: Study, rates: Rates, samples: int, tokens: int | None, pictures: int) -> Counts:
    """Text tokens have the template's in them; any image may show its gender or hide it."""
    rate = rates.find("text_tokens_per_sample")
    by_role = dict.fromkeys(ROLES, np.zeros(samples, dtype=np.int64))
    by_role["caption"] = np.full(samples, tokens or round(rate.value), dtype=np.int64)
    by_role["image"] = np.full(samples, pictures, dtype=np.int64)
    basis = "as --tokens says" if tokens else f"{rate.value:g} text tokens a sample, {rate.basis}"
    return _of_roles(study, by_role, samples if pictures else 0, (samples,) * 3, f"estimated: {basis}")


def _estimated(texts: Samples, rate: float, template: float, pictures: int) -> dict[str, np.ndarray]:
    """By the number of characters; an empty prompt has no template around it but one token that begins the text."""

    def column(values: list[float]) -> np.ndarray:
        return np.ceil(np.array(values)).astype(np.int64)

    samples = texts.samples
    return dict.fromkeys(ROLES, np.zeros(len(samples), dtype=np.int64)) | {
        "prompt": column([len(sample.prompt) / rate for sample in samples]),
        "caption": column([len(sample.caption) / rate for sample in samples]),
        "image": column([pictures if sample.image else 0 for sample in samples]),
        "special": column([template if sample.prompt else 1 for sample in samples]),
    }


def _counted(study: Study, outline: Outline, texts: Samples) -> dict[str, np.ndarray]:
    found, lengths = [], []
    for first in range(0, len(texts.samples), AT_ONCE):
        block = texts.samples[first : first + AT_ONCE]
        if texts.unwritten:
            encoded = encode(outline.loaded, block, with_caption=False)
        else:
            encoded = encode_samples(outline.loaded, block, images=study.source.images)
        lengths += [len(sample) for sample in encoded]
        found += [np.bincount(sample.role, minlength=len(ROLES)) for sample in encoded]
    check_lengths(
        outline.loaded,
        [sample.sample_id for sample in texts.samples],
        lengths,
        more=texts.unwritten,
        batch_tokens=study.settings["activations"]["batch_tokens"],
    )
    return dict(zip(ROLES, np.array(found, dtype=np.int64).T, strict=True))


def batches(counts: Counts, batch_tokens: int, part_rows: int) -> Iterator[int]:
    """Tokens of every forward pass with their padding: each part's samples by length, in batches."""
    for first in range(0, len(counts.all), part_rows):
        lengths = np.sort(counts.all[first : first + part_rows], kind="stable")
        for low, high in cut(lengths, batch_tokens):
            yield (high - low) * int(lengths[high - 1])
