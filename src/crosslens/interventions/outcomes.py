"""Runs of a model that are alike but for what they say of gender: their texts, the positions that go together, the outcome.

The outcome m of a run is log P(first form | what stands before) - log P(second form | …), in nats: of all pieces of both forms
from the first that differs, and of the word's end where the pieces of one begin the other's (as crosslens.gender.agreement).
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from crosslens.errors import InputError
from crosslens.gender.agreement import compared
from crosslens.models.head import Head
from crosslens.models.inputs import Batch, Encoded, Sample, collate, encode, load_images
from crosslens.models.lengths import check_lengths
from crosslens.models.load import LoadedModel
from crosslens.tables.roles import CAPTION, IMAGE, PROMPT

CLASSES = ("image", "prompt", "word", "words", "last", "all")
"""Positions that go together in two runs: the picture's tokens; the last piece of the prompt; of each gendered word; of
every word; the position that tells the first piece that differs; and all up to that one."""


class Side(NamedTuple):
    """One run."""

    language: str
    variant: str
    """What is swapped: its gender, or the language in which it is asked."""
    prompt: str
    prefix: str
    """The text up to the word that is asked for."""
    read: list[tuple[int, int]]
    """Where in it the gendered words are, characters from and to."""
    forms: tuple[str, str]
    """What may follow."""
    image: str = ""
    image_sha256: str = ""


class Case(NamedTuple):
    """Runs among which states are exchanged; the first is the clean one and the second the corrupt one."""

    swap: str
    group: str
    """The unit: what is drawn together when cases are resampled."""
    sides: tuple[Side, ...]


class Run(NamedTuple):
    """A side as tokens."""

    texts: list[tuple[Encoded, list[tuple[int, list[int], float]]]]
    """Tokens, and what is read of them: position, ids (of which any), and sign. One text where both forms differ in one piece."""
    at: dict[str, list[int]]
    """Class -> positions, the same in all of its texts."""


def encode_side(loaded: LoadedModel, side: Side, ends: Sequence[int], images: Path | None) -> Run | None:
    """None where the forms differ in the very first token, so that nothing stands before it.

    ends: ids that end a word. Raises InputError for a text that is too long.
    """
    samples = [
        Sample("patched", side.prefix + form, side.prompt, side.image, side.image_sha256)
        for form in side.forms
    ]
    encoded = encode(loaded, samples, with_caption=True, images=images)
    check_lengths(loaded, [side.prefix] * 2, [len(tokens) for tokens in encoded])
    texts = list(compared(*encoded))
    start = texts[0].start
    if start == 0:
        return None
    pieces = [text.tokens.token_id[text.start : text.stop].tolist() for text in texts]
    if all(len(own) == 1 for own in pieces) and not texts[0].word_end:
        reads = [(start - 1, own, sign) for own, sign in zip(pieces, (1.0, -1.0), strict=True)]
        found = [(Encoded(*(column[:start] for column in encoded[0])), reads)]
    else:
        found = []
        for text, own, sign in zip(texts, pieces, (1.0, -1.0), strict=True):
            reads = [(start - 1 + i, [id], sign) for i, id in enumerate(own)]
            reads += [(text.stop - 1, [*ends], sign)] if text.word_end else []
            found.append((Encoded(*(column[: reads[-1][0] + 1] for column in text.tokens)), reads))
    return Run(found, _positions(side, encoded[0], start))


def _positions(side: Side, tokens: Encoded, start: int) -> dict[str, list[int]]:
    """Of each class; the last position belongs to no word, though a gendered word may end there."""
    before = np.arange(len(tokens)) < start - 1

    def last_piece(role: int, first: int, end: int) -> int | None:
        inside = (tokens.role == role) & (tokens.char_start < end) & (tokens.char_end > first)
        own = np.flatnonzero(inside)
        return int(own[-1]) if len(own) and before[own[-1]] else None

    def of_spans(spans: Sequence[tuple[int, int]]) -> list[int]:
        found = [last_piece(CAPTION, first, end) for first, end in spans]
        # two words may end in one piece
        return [*dict.fromkeys(at for at in found if at is not None)]

    # a word's last piece is that of what is written, not of the space behind it
    whole = [(first, first + len(side.prefix[first:end].rstrip())) for first, end in side.read]
    found = {
        "image": np.flatnonzero(tokens.role == IMAGE).tolist(),
        "prompt": [at for at in [last_piece(PROMPT, 0, len(side.prompt))] if at is not None],
        "word": of_spans(whole),
        "words": of_spans([match.span() for match in re.finditer(r"\S+", side.prefix)]),
        "last": [start - 1],
        "all": list(range(start)),
    }
    return {name: positions for name, positions in found.items() if positions}


class Laid:
    """Runs of cases as one batch.

    case, side: (S) of each run, whose index is what `donors` of the exchanges are.
    """

    def __init__(self, loaded: LoadedModel, cases: Sequence[tuple[Case, Sequence[Run]]], images: Path | None):
        self.runs = [run for _, runs in cases for run in runs]
        self.sides = [side for case, _ in cases for side in case.sides]
        self.case = [number for number, (_, runs) in enumerate(cases) for _ in runs]
        texts = [(i, *text) for i, run in enumerate(self.runs) for text in run.texts]
        pictures = [
            Sample("patched", "", "", self.sides[i].image, self.sides[i].image_sha256) for i, *_ in texts
        ]
        self.batch: Batch = collate(
            loaded, [tokens for _, tokens, _ in texts], load_images(loaded, pictures, images)
        )
        length = self.batch.role.shape[1]
        self.padding = [length - len(tokens) for _, tokens, _ in texts]
        self.text_of: list[list[int]] = [[] for _ in self.runs]
        for row, (i, *_) in enumerate(texts):
            self.text_of[i].append(row)
        self.reads = [
            (row, self.padding[row] + position, ids, sign)
            for row, (_, _, reads) in enumerate(texts)
            for position, ids, sign in reads
        ]
        self.run_of_text = torch.tensor([i for i, *_ in texts], device=loaded.device)

    def outcome(self, head: Head, residual: Tensor) -> Tensor:
        """(texts) what each text contributes to m, by the last block's residual (texts, T, d)."""
        rows, positions = (
            torch.tensor(of, device=residual.device) for of in list(zip(*self.reads, strict=True))[:2]
        )
        told = head(residual[rows, positions]).log_softmax(-1)
        values = [
            sign * (told[i, ids[0]] if len(ids) == 1 else told[i, ids].logsumexp(0))
            for i, (_, _, ids, sign) in enumerate(self.reads)
        ]
        return told.new_zeros(len(residual)).index_add(0, rows, torch.stack(values))

    def by_run(self, of_texts: Tensor) -> Tensor:
        """(S, …) float64 sums over each run's texts of (texts, …)."""
        found = of_texts.new_zeros(len(self.runs), *of_texts.shape[1:], dtype=torch.float64)
        return found.index_add(0, self.run_of_text, of_texts.double())

    def exchange(self, name: str, donors: Sequence[int | None], *, cyclic: bool = False) -> "Exchange | None":
        """Which positions of class `name` take the states of which, where each run has a donor; None where no run has.

        A run takes part where both have equally many such positions; `cyclic`: or where both have some, the donor's one
        after the other as often as it takes.
        """
        found: list[tuple[int, int, int, int]] = []
        took = torch.zeros(len(self.runs), dtype=torch.bool)
        for i, donor in enumerate(donors):
            if donor is None:
                continue
            own, given = (self.runs[k].at.get(name, []) for k in (i, donor))
            if not own or not given or (len(own) != len(given) and not cyclic):
                continue
            took[i] = True
            source = self.text_of[donor][0]
            for row in self.text_of[i]:
                found += [
                    (row, self.padding[row] + p, source, self.padding[source] + given[k % len(given)])
                    for k, p in enumerate(own)
                ]
        if not found:
            return None
        device = self.run_of_text.device
        return Exchange(*(torch.tensor(column, device=device) for column in zip(*found, strict=True)), took)

    def both(
        self, name: str, first: Sequence[int | None], second: Sequence[int | None]
    ) -> tuple["Exchange | None", "Exchange | None"]:
        """The same positions, with the states of either run's donor: of runs that take part with both."""
        found = [self.exchange(name, donors) for donors in (first, second)]
        if any(one is None for one in found):
            return None, None
        took = found[0].took & found[1].took
        return tuple(
            self.exchange(name, [donor if own else None for donor, own in zip(donors, took, strict=True)])
            for donors in (first, second)
        )


class Exchange(NamedTuple):
    """n positions of a batch's texts, and those whose values they get."""

    rows: Tensor
    positions: Tensor
    donor_rows: Tensor
    donor_positions: Tensor
    took: Tensor
    """(S) bool: the runs that take part."""

    def own(self, value: Tensor) -> Tensor:
        """(n, width) of (texts, T, width)."""
        return value[self.rows, self.positions]

    def donated(self, value: Tensor) -> Tensor:
        """(n, width) of (texts, T, width)."""
        return value[self.donor_rows, self.donor_positions]


def check_cases(cases: Sequence[Case], what: str) -> None:
    """InputError where there are none."""
    if not cases:
        raise InputError(
            "patching",
            found=f"no {what}",
            expected="at least one pair of test runs that differ in gender",
            mend="give the study marked sentences, or pictures of both genders and `patching.words`",
        )
