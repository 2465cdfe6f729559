"""What a model does with gender: does it go on with the word that agrees with what it has read?

Sentences in two genders that differ in their gendered words alone (`group` in the dataset, one row a gender). At every such
word behind the first, `y = log P(female form | prefix) - log P(male form | prefix)`, once behind the prefix of each gender;
`m` is y with the sign of the prefix's own gender, `D = y(female prefix) - y(male prefix)` what the earlier words change. D is free
of how common the two forms are, which m is not. A form is all of its pieces from the first that differs, and the end
of the word where the pieces of one form begin the other's.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from crosslens.generation.continuation import encode_samples
from crosslens.models.inputs import Encoded, Sample, collate, special_ids
from crosslens.models.load import LoadedModel, load_model
from crosslens.progress import Progress
from crosslens.tables.documents import read_table, write_json, write_table
from crosslens.tables.roles import CAPTION, ROLES

log = logging.getLogger(__name__)

GENDERS = ("female", "male")
COLUMNS = [
    *("group", "split", "target", "distance", "form_female", "form_male", "pieces_female", "pieces_male"),
    *("word_end", "log_odds_female", "log_odds_male", "difference"),
]


class Target(NamedTuple):
    """A gendered word behind another one of its sentence."""

    group: str
    split: str
    target: int
    """Its place among the sentence's gendered words, from 0."""
    distance: int
    """Words between the end of the gendered word before it and itself, itself included."""
    prompt: str
    prefix: dict[str, str]
    """Prefix gender -> the sentence up to the word."""
    form: dict[str, str]
    """Gender -> the word."""


def targets_of(dataset: pd.DataFrame) -> tuple[list[Target], dict[str, int]]:
    """The words to predict, and how many sentences were left out, by reason.

    dataset: rows of kind dataset with `group`, `gender`, `caption` and `label_spans`. A sentence is used where its two
    versions have equally many gendered words and, but for white space, the same text around them.
    """
    found: list[Target] = []
    left_out = dict.fromkeys(
        ("not of both genders", "another number of gendered words", "other text around them"), 0
    )
    left_out["one gendered word"] = 0
    for group, rows in dataset.groupby("group", sort=False):
        versions = {row.gender: row for row in rows.itertuples()}
        if set(versions) != set(GENDERS) or len(rows) != 2:
            left_out["not of both genders"] += 1
            continue
        parts = {gender: _parts(versions[gender]) for gender in GENDERS}
        around = [[_plain(text) for text in parts[gender][0]] for gender in GENDERS]
        if len(around[0]) != len(around[1]):
            left_out["another number of gendered words"] += 1
        elif around[0] != around[1]:
            left_out["other text around them"] += 1
        elif len(around[0]) < 3:
            left_out["one gendered word"] += 1
        else:
            found += _targets(str(group), versions, parts)
    return found, left_out


def _parts(row: Any) -> tuple[list[str], list[str]]:
    """The texts around the gendered words, and the words."""
    around, words, at = [], [], 0
    for start, end in json.loads(row.label_spans):
        around.append(row.caption[at:start])
        words.append(row.caption[start:end])
        at = end
    return [*around, row.caption[at:]], words


def _plain(text: str) -> str:
    return " ".join(text.split())


def _targets(
    group: str, versions: dict[str, Any], parts: dict[str, tuple[list[str], list[str]]]
) -> Iterator[Target]:
    prefix = dict.fromkeys(GENDERS, "")
    words = {gender: parts[gender][1] for gender in GENDERS}
    told = False
    for i in range(len(words["female"])):
        between = parts["female"][0][i]
        for gender in GENDERS:
            prefix[gender] += parts[gender][0][i]
        form = {gender: words[gender][i] for gender in GENDERS}
        if told and form["female"] != form["male"]:
            row = versions["female"]
            distance = len(between.split()) + 1
            yield Target(group, row.split, i, distance, row.prompt, dict(prefix), form)
        told = told or form["female"] != form["male"]
        for gender in GENDERS:
            prefix[gender] += form[gender]


def word_ends(tokenizer: Any) -> Tensor:
    """(V) bool: tokens that cannot go on with a word: they begin with white space or punctuation, or end the text."""
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    texts = tokenizer.batch_decode([[id] for id in range(len(tokenizer))], skip_special_tokens=False)
    ends = torch.zeros(len(tokenizer), dtype=torch.bool)
    special = special_ids(tokenizer)
    for id, (piece, text) in enumerate(zip(pieces, texts, strict=True)):
        if id in special or piece is None:
            continue
        first = "\u2581" if piece.startswith("\u2581") else text[:1]
        ends[id] = bool(first) and first != "\ufffd" and not (first.isalnum() or _joins(first))
    if tokenizer.eos_token_id is not None:
        ends[tokenizer.eos_token_id] = True
    return ends


def _joins(character: str) -> bool:
    """Hyphens, apostrophes, Arabic vowel signs and tatweel, which stand inside words."""
    return character in "-'\u2019_\u0640\u0670" or "\u064b" <= character <= "\u0652"


class Scored(NamedTuple):
    """Log-odds of a target behind one prefix."""

    log_odds: float
    pieces: tuple[int, int]
    """Pieces of the female and of the male form, from the first that differs."""
    word_end: bool
    """Whether the end of the word had to be counted."""


def log_odds(
    loaded: LoadedModel, pairs: Sequence[tuple[Sample, Sample]], *, batch: int, ends: Tensor
) -> list[Scored]:
    """log P(female form) - log P(male form) of each pair of texts that differ in their last word (nats).

    pairs: captions that end in the female and in the male form. ends: (V) bool of `word_ends`. Texts of like length run
    together, `batch` at a time.
    """
    flat = [sample for pair in pairs for sample in pair]
    encoded = encode_samples(loaded, flat)
    starts = [_differs(encoded[2 * i], encoded[2 * i + 1]) for i in range(len(pairs))]
    word_end = [
        _one_begins_the_other(encoded[2 * i], encoded[2 * i + 1], start) for i, start in enumerate(starts)
    ]
    order = sorted(range(len(flat)), key=lambda i: len(encoded[i]))
    value = np.zeros(len(flat))
    progress = Progress("agreement", len(flat), "texts")
    for first in range(0, len(order), batch):
        rows = order[first : first + batch]
        own = [encoded[i] for i in rows]
        value[rows] = _log_p(
            loaded, own, [starts[i // 2] for i in rows], [word_end[i // 2] for i in rows], ends
        )
        progress.update(len(rows))
    return [
        Scored(
            float(value[2 * i] - value[2 * i + 1]),
            (_text_end(encoded[2 * i]) - starts[i], _text_end(encoded[2 * i + 1]) - starts[i]),
            word_end[i],
        )
        for i in range(len(pairs))
    ]


def _text_end(sample: Encoded) -> int:
    """Index behind the last token of the text; a chat template may put others there."""
    return int(np.flatnonzero(sample.role == ROLES.index("caption"))[-1]) + 1


def _differs(first: Encoded, second: Encoded) -> int:
    """Index of the first token that differs, at most the length of the shorter text."""
    shortest = min(_text_end(first), _text_end(second))
    same = first.token_id[:shortest] == second.token_id[:shortest]
    return int(shortest if same.all() else np.flatnonzero(~same)[0])


def _one_begins_the_other(first: Encoded, second: Encoded, start: int) -> bool:
    return start == min(_text_end(first), _text_end(second))


@torch.inference_mode()
def _log_p(
    loaded: LoadedModel, encoded: list[Encoded], starts: list[int], word_end: list[bool], ends: Tensor
) -> np.ndarray:
    """(B) float64: log-probability of the tokens from `starts` to the end of the text, and of the word's end where asked."""
    inputs = collate(loaded, encoded, []).inputs
    total = inputs["input_ids"].shape[1]
    kept = max(
        total - (total - len(sample) + start) + 1 for sample, start in zip(encoded, starts, strict=True)
    )
    logits = loaded.model(**inputs, use_cache=False, logits_to_keep=min(kept, total)).logits
    offset = total - logits.shape[1]
    values = np.zeros(len(encoded))
    for row, (sample, start, end) in enumerate(zip(encoded, starts, word_end, strict=True)):
        stop, padding = _text_end(sample), total - len(sample)
        log_p = logits[row, padding + start - 1 - offset : padding + stop - offset].float().log_softmax(-1)
        target = torch.from_numpy(sample.token_id[start:stop].astype(np.int64)).to(log_p.device)
        value = log_p[: len(target)].gather(1, target[:, None]).double().sum()
        if end:
            at = log_p[len(target)]
            value = value + at[: len(ends)][ends.to(at.device)].double().logsumexp(0)
        values[row] = float(value)
    return values


def agreement_outcome(
    *,
    model: dict[str, Any],
    dataset: Path,
    batch: int,
    language: str,
    seed: int,
    bootstraps: int,
    out_table: Path,
    out: Path,
) -> None:
    """Write the log-odds of every target (parquet of kind agreement_targets) and what they say (JSON of kind agreement)."""
    samples = read_table(dataset, "dataset")
    targets, left_out = targets_of(samples)
    loaded = load_model(**model)
    pairs = [
        tuple(
            Sample(f"{t.group}/{t.target}/{prefix}/{form}", t.prefix[prefix] + t.form[form], t.prompt)
            for form in GENDERS
        )
        for t in targets
        for prefix in GENDERS
    ]
    scored = log_odds(loaded, pairs, batch=batch, ends=word_ends(loaded.tokenizer))
    rows = []
    for i, t in enumerate(targets):
        behind_female, behind_male = scored[2 * i], scored[2 * i + 1]
        rows.append(
            (
                *(
                    t.group,
                    t.split,
                    t.target,
                    t.distance,
                    t.form["female"],
                    t.form["male"],
                    *behind_female.pieces,
                ),
                behind_female.word_end or behind_male.word_end,
                *(
                    behind_female.log_odds,
                    behind_male.log_odds,
                    behind_female.log_odds - behind_male.log_odds,
                ),
            )
        )
    table = pd.DataFrame(rows, columns=COLUMNS)
    write_table(out_table, "agreement_targets", table)
