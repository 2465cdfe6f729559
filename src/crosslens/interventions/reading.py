"""The same texts read again and again under edits, and what the model expects behind them."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from crosslens.features.splice import kl_divergence, norms
from crosslens.gender.agreement import Text, compared, word_ends, word_log_p
from crosslens.generation.continuation import encode_samples
from crosslens.interventions.edits import Edit, Rows, check_finite, editing
from crosslens.models.head import Head
from crosslens.models.hooks import capture, edit
from crosslens.models.inputs import Batch, Encoded, Sample, collate, load_images
from crosslens.models.lengths import check_lengths
from crosslens.models.load import LoadedModel
from crosslens.models.resume import Replay
from crosslens.models.sites import parse_site
from crosslens.tables.roles import SINK_FACTOR


class Passage(NamedTuple):
    """A text, and the positions whose next token is asked for."""

    sample: Sample
    """Its picture, where it has one."""
    tokens: Encoded
    reads: np.ndarray
    """(r) int64, positions of the tokens."""


class _Part(NamedTuple):
    """One batch, as often as it is run."""

    numbers: list[int]
    """Which passages."""
    batch: Batch
    mask: Tensor
    """(B, T) bool: positions that may be edited."""
    replay: Replay
    row: Tensor
    column: Tensor
    """Of every read."""


class Reading:
    """Passages that are run under one edit after the other; blocks before the site run once."""

    def __init__(
        self,
        loaded: LoadedModel,
        site: str,
        passages: Sequence[Passage],
        *,
        roles: Sequence[str],
        images: Path | None,
        batch: int,
        limit: float | None = None,
    ):
        """roles: of the positions that are edited, but for sinks: norms above `limit`, or without it above SINK_FACTOR times
        the median of these positions."""
        check_lengths(loaded, [p.sample.sample_id for p in passages], [len(p.tokens) for p in passages])
        self.loaded, self.site, self.roles, self.point = loaded, site, roles, parse_site(site)
        self.last = str(len(loaded.adapter.blocks) - 1)
        self.sizes = [len(passage.reads) for passage in passages]
        order = sorted(range(len(passages)), key=lambda i: len(passages[i].tokens))
        found: list[Tensor] = []
        self.parts: list[_Part] = []
        for start in range(0, len(order), batch):
            part, states = self._prepared(order[start : start + batch], passages, images)
            self.parts.append(part)
            found.append(norms(states[part.mask.to(states.device)]).cpu())
        norm = torch.cat(found) if found else torch.zeros(0)
        self.median = float(norm.median()) if len(norm) else math.nan
        self.limit = limit or (SINK_FACTOR * self.median if len(norm) else math.inf)
        self.sinks = int((norm > self.limit).sum())
        self.positions = len(norm) - self.sinks

    @torch.no_grad()
    def _prepared(
        self, numbers: list[int], passages: Sequence[Passage], images: Path | None
    ) -> tuple[_Part, Tensor]:
        own = [passages[i] for i in numbers]
        shown = load_images(self.loaded, [passage.sample for passage in own], images)
        batch = collate(self.loaded, [passage.tokens for passage in own], shown)
        replay = Replay(self.loaded, self.point)
        width = batch.inputs["input_ids"].shape[1]
        column = np.concatenate([passage.reads + width - len(passage.tokens) for passage in own])
        row = np.repeat(np.arange(len(own)), [len(passage.reads) for passage in own])
        with replay.record(), capture(self.loaded, [self.site, self.last], stop=True) as captured:
            self.loaded.model(**batch.inputs, use_cache=False)
        mask = batch.has_role(self.roles)
        part = _Part(numbers, batch, mask, replay, torch.from_numpy(row), torch.from_numpy(column))
        return part, captured[self.site]

    def run(self, part: _Part, *, resume: bool = True) -> Tensor:
        """(reads of the part, d): states of the last block."""
        with (
            part.replay.up_to(self.point) if resume else nullcontext(),
            capture(self.loaded, [self.last], stop=True) as captured,
        ):
            self.loaded.model(**part.batch.inputs, use_cache=False)
        return captured[self.last][part.row, part.column]

    @torch.no_grad()
    def states(
        self, edits: Sequence[Edit] = (), strength: float | Tensor = 0.0, *, resume: bool = True
    ) -> list[Tensor]:
        """(r, d) of each passage: states of the last block where it is read, under the edits.

        strength: one for all, or (passages).
        """
        told: list[Tensor] = [torch.empty(0)] * len(self.sizes)
        strengths = torch.as_tensor(strength, dtype=torch.float32).expand(len(self.sizes))
        for part in self.parts:
            rows = Rows(part.mask, strengths[part.numbers].to(part.mask.device), limit=self.limit)
            with editing(self.loaded, edits, rows):
                found = self.run(part, resume=resume)
            for number, own in zip(
                part.numbers, found.split([self.sizes[i] for i in part.numbers]), strict=True
            ):
                told[number] = own
        return told


def check_identity(reading: Reading, edits: Sequence[Edit]) -> None:
    """RuntimeError unless running from the site on, with edits of strength 0, gives every bit of the plain pass."""
    first = reading.parts[:1]
    whole, reading.parts = reading.parts, first
    try:
        plain = reading.states(resume=False)
        same = reading.states(edits, 0.0)
    finally:
        reading.parts = whole
    numbers = first[0].numbers if first else []
    if not all(torch.equal(plain[i], same[i]) for i in numbers):
        raise RuntimeError(
            "an edit of strength 0 changed the model's last states: the pass does not repeat itself exactly, or the edit is "
            "applied wrongly"
        )


class Question(NamedTuple):
    """A text, and the two words that may follow."""

    name: str
    prompt: str
    prefix: str
    female: str
    male: str
    image: str = ""
    image_sha256: str = ""


class Questions:
    """log P(female word) − log P(male word) behind each prefix, under edits."""

    def __init__(
        self,
        loaded: LoadedModel,
        site: str,
        questions: Sequence[Question],
        *,
        roles: Sequence[str],
        images: Path | None,
        batch: int,
    ):
        """As of `Reading`. A word is all of its pieces from the first in which the two differ, see gender.agreement."""
        samples = [
            Sample(f"{question.name}, {form}", question.prefix + form, question.prompt, *question[5:])
            for question in questions
            for form in (question.female, question.male)
        ]
        encoded = encode_samples(loaded, samples, images=images)
        pairs = zip(encoded[::2], encoded[1::2], strict=True)
        self.texts: list[Text] = [text for pair in pairs for text in compared(*pair)]
        self.n, self.head = len(questions), Head(loaded)
        self.ends = word_ends(loaded.tokenizer) if any(text.word_end for text in self.texts) else None
        # two words of one piece each are asked of one text
        places: dict[tuple, int] = {}
        passages: list[Passage] = []
        self.passage: list[int] = []
        for text, sample in zip(self.texts, samples, strict=True):
            if text.start == 0:
                raise ValueError(f"{sample.sample_id}: nothing stands before the two words")
            tokens = Encoded(*(column[: text.told_by.stop] for column in text.tokens))
            key = (tokens.token_id.tobytes(), sample.image, text.start)
            if key not in places:
                places[key] = len(passages)
                passages.append(Passage(sample, tokens, np.array(text.told_by)))
            self.passage.append(places[key])
        self.reading = Reading(loaded, site, passages, roles=roles, images=images, batch=batch)

    @torch.no_grad()
    def log_odds(self, edits: Sequence[Edit] = (), strength: float = 0.0) -> np.ndarray:
        """(n) float64, nats."""
        states = self.reading.states(edits, strength)
        lengths = [len(own) for own in states]
        # once: the head is larger than all blocks of a small model
        told = self.head(torch.cat(states)) if states else torch.zeros(0, 1)
        check_finite(told, strength)
        told = told.log_softmax(-1).split(lengths)
        values = np.array(
            [
                float(word_log_p(text, told[passage], self.ends))
                for text, passage in zip(self.texts, self.passage, strict=True)
            ]
        )
        return values[::2] - values[1::2]

    def gradient(self) -> np.ndarray:
        """(d) float64: mean over questions of Σ over the edited positions of ∂(log-odds)/∂x at the site."""
        total = torch.zeros(self.reading.loaded.d_model, dtype=torch.float64)
        for part in self.reading.parts:
            shape = (*part.mask.shape, self.reading.loaded.d_model)
            nudge = torch.zeros(shape, device=part.mask.device, requires_grad=True)
            with edit(
                self.reading.loaded,
                self.reading.site,
                lambda value, nudge=nudge: value + nudge.to(value),
            ):
                states = self.reading.run(part).split([self.reading.sizes[i] for i in part.numbers])
            own = dict(zip(part.numbers, states, strict=True))
            signed = [
                (-1 if i % 2 else 1) * word_log_p(text, self.head(own[passage]).log_softmax(-1), self.ends)
                for i, (text, passage) in enumerate(zip(self.texts, self.passage, strict=True))
                if passage in own
            ]
            (found,) = torch.autograd.grad(sum(signed), nudge)
            total += found[part.mask].double().sum(dim=0).cpu()
        return (total / max(self.n, 1)).numpy()


class Damage:
    """KL(clean ‖ edited) where an edit should change nothing."""

    def __init__(self, reading: Reading):
        self.reading, self.head = reading, Head(reading.loaded)
        self.clean = torch.cat(reading.states()) if reading.sizes else torch.zeros(0, 1)

    @torch.no_grad()
    def kl(self, edits: Sequence[Edit], strength: float) -> float:
        """Mean over all reads, nats."""
        edited = torch.cat(self.reading.states(edits, strength))
        total = 0.0
        for start in range(0, len(edited), READS):
            clean, changed = (self.head(x[start : start + READS]) for x in (self.clean, edited))
            check_finite(changed, strength)
            total += float(kl_divergence(clean.log_softmax(-1), changed.log_softmax(-1)).double().sum())
        return total / len(edited)


READS = 256
"""Logits of so many positions at a time."""
