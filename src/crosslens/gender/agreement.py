"""What a model does with gender: does it go on with the form that agrees with what it has read?

At every gendered word behind another one of its sentence (see crosslens.gender.targets), in nats:

    y(prefix) = log P(female form | prefix) - log P(male form | prefix)
    m = y(female prefix), or -y(male prefix): is the own form the likelier?
    D = y(female prefix) - y(male prefix): what the gendered words before it change

D is free of how common the two forms are, which m is not. A form is all of its pieces from the first that differs; where the
pieces of one form begin the other's, the end of the word counts too. Prefix and form are tokenised together.
"""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from crosslens.gender.agreed import agreed
from crosslens.gender.targets import GENDERS, Target, targets_of
from crosslens.generation.continuation import encode_samples
from crosslens.models.head import Head
from crosslens.models.hooks import capture
from crosslens.models.inputs import Batch, Encoded, Sample, collate, special_ids
from crosslens.models.lengths import check_lengths
from crosslens.models.load import LoadedModel, load_model
from crosslens.progress import Progress
from crosslens.tables.documents import read_table, write_json, write_table
from crosslens.tables.roles import CAPTION

log = logging.getLogger(__name__)

COLUMNS = {
    **dict.fromkeys(("group", "split"), "str"),
    **dict.fromkeys(("target", "before", "distance"), "int64"),
    **dict.fromkeys(("form_female", "form_male"), "str"),
    **dict.fromkeys(("pieces_female", "pieces_male"), "int64"),
    "word_end": "bool",
    **dict.fromkeys(("log_odds_female", "log_odds_male", "log_odds_alone"), "float64"),
}


def measure_agreement(
    *,
    model: dict[str, Any],
    dataset: Path,
    language: str,
    batch: int,
    alpha: float,
    bootstraps: int,
    seed: int,
    out: Path,
) -> None:
    """Write `targets.parquet` (kind agreement_targets, a row a target) and `agreement.json` (kind agreement) to the folder `out`.

    model: keyword arguments of load_model. batch: texts of one forward pass. Of all sentences and of those of split test:
    see `agreed`. Log-odds are of logits in float32, whatever the model computes in.
    """
    targets, left_out = targets_of(read_table(dataset, "dataset"))
    rows = _rows(load_model(**model), targets, batch) if targets else []
    table = pd.DataFrame(rows, columns=[*COLUMNS]).astype(COLUMNS)
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "targets.parquet", "agreement_targets", table)
    document = {
        "language": language,
        "unit": "sentence",
        "alpha": alpha,
        "bootstraps": bootstraps,
        "seed": seed,
        "sentences": table["group"].nunique(),
        "left_out": left_out,
        "of": {
            name: agreed(rows, alpha=alpha, bootstraps=bootstraps, seed=seed, stream_name=language)
            for name, rows in (("all", table), ("test", table[table["split"] == "test"]))
        },
    }
    write_json(out / "agreement.json", "agreement", document)
    log.info("%s: %d targets of %d sentences", language, len(table), document["sentences"])


def _rows(loaded: LoadedModel, targets: Sequence[Target], batch: int) -> list[tuple[Any, ...]]:
    """A row of COLUMNS each."""
    places: dict[Place, int] = {}
    asked = [
        [
            places.setdefault(Place(target.prompt, prefix, *map(target.form.get, GENDERS)), len(places))
            for prefix in (*map(target.prefix.get, GENDERS), alone(target.prefix))
        ]
        for target in targets
    ]
    scored = log_odds(loaded, list(places), batch=batch)
    rows = []
    for target, own in zip(targets, asked, strict=True):
        female, male, without = (scored[number] for number in own)
        rows.append(
            (
                *target[:5],
                *map(target.form.get, GENDERS),
                *female.pieces,
                female.word_end or male.word_end,
                *(female.log_odds, male.log_odds, without.log_odds),
            )
        )
    return rows


def alone(prefix: dict[str, str]) -> str:
    """What the word is written onto, and the space before that: with nothing read, the two forms are as common as they are."""
    ends = {re.search(r"\S*$", text)[0] for text in prefix.values()}
    return f" {ends.pop() if len(ends) == 1 else ''}"


class Place(NamedTuple):
    """A prefix, and the two words that may follow."""

    prompt: str
    prefix: str
    female: str
    male: str


class Scored(NamedTuple):
    """Of a place."""

    log_odds: float
    """log P(female) - log P(male), nats; NaN where the forms differ in the very first token."""
    pieces: tuple[int, int]
    """Tokens of the female and of the male form, from the first that differs."""
    word_end: bool
    """Whether the end of the word counted."""


class Text(NamedTuple):
    """Prefix and form, and which of its tokens count."""

    tokens: Encoded
    start: int
    stop: int
    word_end: bool

    @property
    def told_by(self) -> range:
        """The positions that tell what counts: the token at i is told by the state at i - 1."""
        return range(self.start - 1, self.stop - 1 + self.word_end)


def states_of(residual: Tensor, texts: Sequence[Text]) -> list[Tensor]:
    """(r, d) of each text: the states that tell what counts, of a residual stream (B, T, d) padded on the left."""
    width = residual.shape[1]
    return [
        row[width - len(text.tokens) + text.told_by.start : width - len(text.tokens) + text.told_by.stop]
        for row, text in zip(residual, texts, strict=True)
    ]


Editing = Callable[[Batch], AbstractContextManager]
"""What is done to the model while it reads a batch."""


def log_odds(
    loaded: LoadedModel, places: Sequence[Place], *, batch: int, editing: Editing = nullcontext
) -> list[Scored]:
    """Of each place; texts of like length run together, `batch` at a time, each inside `editing`."""
    samples = [
        Sample(f"target {number}, {form}", place.prefix + form, place.prompt)
        for number, place in enumerate(places)
        for form in (place.female, place.male)
    ]
    encoded = encode_samples(loaded, samples)
    check_lengths(loaded, [sample.sample_id for sample in samples], [len(tokens) for tokens in encoded])
    texts = [text for pair in zip(encoded[::2], encoded[1::2], strict=True) for text in compared(*pair)]
    ends, head = word_ends(loaded.tokenizer), Head(loaded)
    values = np.full(len(texts), np.nan)
    order = sorted((i for i, text in enumerate(texts) if text.start > 0), key=lambda i: len(texts[i].tokens))
    progress = Progress("agreement", len(order), "texts")
    for first in range(0, len(order), batch):
        rows = order[first : first + batch]
        values[rows] = _log_p(loaded, head, [texts[i] for i in rows], ends, editing)
        progress.update(len(rows))
    return [
        Scored(
            float(values[i] - values[i + 1]), (one.stop - one.start, other.stop - other.start), one.word_end
        )
        for i, one, other in zip(range(0, len(texts), 2), texts[::2], texts[1::2], strict=True)
    ]


def compared(*pair: Encoded) -> Iterator[Text]:
    """The two texts of a place: both count from the first token in which they differ."""
    # A chat template may put tokens behind the text.
    stops = [int(np.flatnonzero(tokens.role == CAPTION)[-1]) + 1 for tokens in pair]
    shortest = min(stops)
    same = np.equal(*(tokens.token_id[:shortest] for tokens in pair))
    start = shortest if same.all() else int(np.flatnonzero(~same)[0])
    return (Text(tokens, start, stop, start == shortest) for tokens, stop in zip(pair, stops, strict=True))


@torch.inference_mode()
def _log_p(
    loaded: LoadedModel, head: Head, texts: Sequence[Text], ends: Tensor, editing: Editing
) -> np.ndarray:
    """(B) float64: log-probability of each text's tokens from start to stop, and of the word's end where it counts."""
    last = str(len(loaded.adapter.blocks) - 1)
    batch = collate(loaded, [text.tokens for text in texts], [])
    with editing(batch), capture(loaded, [last], stop=True) as captured:
        loaded.model(**batch.inputs, use_cache=False)
    states = states_of(captured[last], texts)
    # Once for the batch: the head is larger than all blocks of a small model, and is read from memory for every product.
    told = head(torch.cat(states)).log_softmax(-1).split([*map(len, states)])
    return np.array([float(word_log_p(*each, ends)) for each in zip(texts, told, strict=True)])


def word_log_p(text: Text, log_p: Tensor, ends: Tensor | None) -> Tensor:
    """() float64, differentiable: of a text's tokens from start to stop, and of the word's end where it counts, in nats.

    log_p: (r, vocabulary) log-probabilities at the positions that tell them; ends: ids as of `word_ends`, needed
    where a word's end counts.
    """
    target = torch.from_numpy(text.tokens.token_id[text.start : text.stop].astype(np.int64)).to(log_p.device)
    value = log_p[: len(target)].gather(1, target[:, None]).double().sum()
    if text.word_end:
        value = value + log_p[-1, ends.to(log_p.device)].double().logsumexp(0)
    return value


def word_ends(tokenizer: Any) -> Tensor:
    """Ids of the tokens that cannot go on with a word: they begin with white space or punctuation, or end the text."""
    ids = list(range(len(tokenizer)))
    pieces = tokenizer.convert_ids_to_tokens(ids)
    texts = tokenizer.batch_decode([[id] for id in ids], skip_special_tokens=False)
    special = special_ids(tokenizer)
    ends = [
        id
        for id, piece, text in zip(ids, pieces, texts, strict=True)
        # decoding takes SentencePiece's mark of a space off
        if piece is not None and id not in special and _ends_word(" " if piece[:1] == "▁" else text[:1])
    ]
    return torch.tensor([*ends, *filter(None, [tokenizer.eos_token_id])])


def _ends_word(character: str) -> bool:
    """Not letters, digits, parts of a character, nor what stands inside words: hyphens, apostrophes, Arabic vowel signs."""
    inside = character.isalnum() or character in "\ufffd-'’_\u0640\u0670" or "\u064b" <= character <= "\u0652"
    return bool(character) and not inside
