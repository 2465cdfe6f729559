"""Log-odds of two words at a place, by every lens at every depth, and their gradients."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from crosslens.gender.agreement import Text, compared, states_of, word_ends, word_log_p
from crosslens.generation.continuation import encode_samples
from crosslens.lens.lenses import LENSES, Reader, sites_of
from crosslens.lens.places import GenderPlace
from crosslens.models.hooks import capture, edit
from crosslens.models.inputs import Batch, Encoded, Sample, collate, load_images
from crosslens.models.lengths import check_lengths
from crosslens.models.load import LoadedModel
from crosslens.progress import Progress


class Contrast(NamedTuple):
    """What a place has in common with both words, and the tokens by which they part there."""

    sample: Sample
    tokens: Encoded
    """Up to the token that differs."""
    female: Tensor
    """Ids (one, or all that end a word) of the female form's next token."""
    male: Tensor


class Told(NamedTuple):
    """Of a place: its two texts, and where they part."""

    texts: tuple[Text, Text]
    """Behind which the female, and the male word stands."""
    contrast: Contrast


def told_of(loaded: LoadedModel, places: Sequence[GenderPlace], images: Path | None) -> list[Told]:
    """Each place with both of its words, tokenised with what stands before them."""
    samples = [
        place.sample._replace(caption=place.sample.caption + form)
        for place in places
        for form in (place.female, place.male)
    ]
    if not samples:
        return []
    encoded = encode_samples(loaded, samples, images=images)
    check_lengths(loaded, [sample.sample_id for sample in samples], [len(tokens) for tokens in encoded])
    ends, found = word_ends(loaded.tokenizer), []
    for place, female, male in zip(places, encoded[::2], encoded[1::2], strict=True):
        texts = tuple(compared(female, male))
        start = texts[0].start
        ids = [ends if text.stop == start else torch.tensor([text.tokens.token_id[start]]) for text in texts]
        before = Encoded(*(column[:start] for column in texts[0].tokens))
        found.append(Told(texts, Contrast(place.sample, before, *ids)))
    return found


@torch.inference_mode()
def log_odds(
    loaded: LoadedModel,
    reader: Reader,
    told: Sequence[Told],
    *,
    images: Path | None,
    batch: int,
) -> np.ndarray:
    """(n, lenses, L) float64: log P(female) - log P(male) of each place, nats; lenses: LENSES.

    A word is all of its pieces from the first that differs, each behind those before it, as crosslens.gender.agreement has it.
    """
    texts = [(text, of.contrast.sample) for of in told for text in of.texts]
    values = np.full((len(texts), len(LENSES), loaded.n_layers), np.nan)
    ends = word_ends(loaded.tokenizer)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i][0].tokens))
    progress = Progress("lenses", len(order), "texts")
    for first in range(0, len(order), batch):
        rows = order[first : first + batch]
        values[rows] = _log_p(loaded, reader, [texts[i] for i in rows], ends, images)
        progress.update(len(rows))
    return values[::2] - values[1::2]


def _log_p(
    loaded: LoadedModel,
    reader: Reader,
    texts: Sequence[tuple[Text, Sample]],
    ends: Tensor,
    images: Path | None,
) -> np.ndarray:
    """(B, lenses, L) float64: log-probability of each text's tokens from start to stop, and of the word's end where it counts."""
    sites = sites_of(loaded)
    pictures = load_images(loaded, [sample for _, sample in texts], images)
    inputs = collate(loaded, [text.tokens for text, _ in texts], pictures)
    with capture(loaded, sites, stop=True) as captured:
        loaded.model(**inputs.inputs, use_cache=False)
    words = [text for text, _ in texts]
    values = np.zeros((len(texts), len(LENSES), len(sites)))
    for layer, site in enumerate(sites):
        states = states_of(captured[site], words)
        for i, lens in enumerate(LENSES):
            log_p = reader.logits(lens, layer, torch.cat(states)).log_softmax(-1).split([*map(len, states)])
            values[:, i, layer] = [float(word_log_p(*each, ends)) for each in zip(words, log_p, strict=True)]
    return values


def parted(logits: Tensor, contrasts: Sequence[Contrast]) -> Tensor:
    """(B) logit difference of the first token by which the two words part, of logits (B, V); what ends a word is one token."""
    return torch.stack(
        [
            row[one.female.to(row.device)].logsumexp(0) - row[one.male.to(row.device)].logsumexp(0)
            for row, one in zip(logits, contrasts, strict=True)
        ]
    )


def batched(
    loaded: LoadedModel, contrasts: Sequence[Contrast], *, images: Path | None, batch: int
) -> Iterator[tuple[list[int], list[Contrast], Batch]]:
    """Numbers, contrasts and inputs, those of like length together; padded on the left, so that the place is the last column."""
    order = sorted(range(len(contrasts)), key=lambda i: len(contrasts[i].tokens))
    for first in range(0, len(order), batch):
        rows = order[first : first + batch]
        chosen = [contrasts[i] for i in rows]
        pictures = load_images(loaded, [one.sample for one in chosen], images)
        yield rows, chosen, collate(loaded, [one.tokens for one in chosen], pictures)


def gradients(
    loaded: LoadedModel, reader: Reader, contrasts: Sequence[Contrast], inputs: Batch
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """One backward pass for all blocks: (B, T, d) float32 gradients of `parted` at the last column, the residual streams that
    they are of, and its values (B)."""
    sites = sites_of(loaded)
    with (
        torch.enable_grad(),
        # parameters are frozen: the graph begins here
        edit(loaded, "0.resid_pre", lambda value: value.detach().requires_grad_()),
        capture(loaded, sites, stop=True) as captured,
    ):
        loaded.model(**inputs.inputs, use_cache=False)
    streams = [captured[site] for site in sites]
    with torch.enable_grad():
        value = parted(reader.head(streams[-1][:, -1]), contrasts)
        found = torch.autograd.grad(value.sum(), streams)
    return [of.float() for of in found], [of.detach() for of in streams], value.detach()
