"""Where the features of an SAE fire in all texts of a study, and some of these texts, token by token."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from crosslens.features.examples import codes_of_features
from crosslens.pooling.pool import without_sinks
from crosslens.results.sae import OpenSAE
from crosslens.stats.resampling import stream
from crosslens.tables.codes import Codes
from crosslens.tables.roles import CAPTION, GENERATED, PROMPT, ROLES
from crosslens.tables.tokens import TokenTable

TOP, INTERVALS, OF_INTERVAL = 10, 5, 2
"""Texts of each language: the strongest, and drawn ones of each interval of equal width up to the largest activation."""


class Texts(NamedTuple):
    """The encoded texts of one language."""

    language: str
    tokens: TokenTable
    codes: Codes
    keep: np.ndarray
    """(M) bool: the encoded tokens without sinks."""
    rows: dict[str, dict[str, Any]]
    """The dataset's, by sample id."""
    said: dict[int, list[str]]
    """What `pieces` has told: a text is shown for many features."""


class Shown(NamedTuple):
    """One text with a feature's activation on every stored token."""

    text: Texts
    sample: int
    values: np.ndarray
    """(T) float32, 0 where it is silent."""
    qualifying: int
    """Which of the T tokens it is shown for."""
    interval: tuple[float, float, float] | None
    """Lowest and highest activation, and the share of the firing tokens between; None of the strongest texts."""


class Firing(NamedTuple):
    """One feature in all texts."""

    feature: int
    values: np.ndarray
    """(n) float32 > 0, of every token on which it fires."""
    tokens: int
    """Among which."""
    shown: list[Shown]


def read_texts(sae: OpenSAE) -> list[Texts]:
    """Of every language that the SAE is read in."""
    found = []
    for language in sae.languages:
        tokens, codes = sae.study.tokens(language), sae.codes(language)
        keep = without_sinks(codes.norm, tokens.role[codes.token], np.ones(len(codes), dtype=bool))
        rows = {row["sample_id"]: row for row in sae.study.dataset(language).to_dict("records")}
        found.append(Texts(language, tokens, codes, keep, rows, {}))
    return found


def firings(texts: Sequence[Texts], features: np.ndarray) -> Iterator[Firing]:
    """Of each of the features; one pass over all codes."""
    columns = [codes_of_features(of.codes, of.keep, features).tocsc() for of in texts]
    places = [of.codes.token[of.keep] for of in texts]
    tokens = sum(map(len, places))
    for number, feature in enumerate(features.tolist()):
        own = []
        for of, matrix, token in zip(texts, columns, places, strict=True):
            part = slice(matrix.indptr[number], matrix.indptr[number + 1])
            own.append((of, token[matrix.indices[part]], matrix.data[part]))
        values = np.concatenate([activation for *_, activation in own])
        shown = [example for each in own if len(each[2]) for example in _shown(*each, values, feature)]
        yield Firing(feature, values, tokens, shown)


def _shown(
    text: Texts, token: np.ndarray, activation: np.ndarray, values: np.ndarray, feature: int
) -> Iterator[Shown]:
    """token (n): rows of the token table where the feature fires with `activation` (n); values: of all languages."""
    sample = text.tokens.sample[token]

    def show(at: int, interval: tuple[float, float, float] | None) -> Shown:
        number = int(sample[at])
        start, stop = text.tokens.offsets[number : number + 2]
        dense = np.zeros(stop - start, dtype=np.float32)
        own = sample == number
        dense[token[own] - start] = activation[own]
        return Shown(text, number, dense, int(token[at] - start), interval)

    strongest = pd.Series(activation).groupby(sample).idxmax().to_numpy()
    best = strongest[np.argsort(-activation[strongest], kind="stable")]
    seen: set[str] = set()
    for at in best:
        caption = text.rows[text.tokens.sample_ids[sample[at]]]["caption"]
        if caption not in seen and len(seen) < TOP:
            seen.add(caption)
            yield show(int(at), None)
    edges = np.linspace(0, values.max(), INTERVALS + 1)
    rng = stream(0, "neuronpedia", text.language, str(feature))
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = np.flatnonzero((activation > low) & (activation <= high))
        share = float(((values > low) & (values <= high)).mean())
        for at in sorted(rng.permutation(inside)[:OF_INTERVAL]):
            yield show(int(at), (float(low), float(high), share))


def pieces(text: Texts, sample: int) -> list[str]:
    """The stored tokens of a sample as characters that, put side by side, are its prompt and, in a line of its own, its text.

    A token without characters of either is its role, `<image>`, or `<prompt>` of the chat template's; one that shares its
    characters with the token before, as bytes of one letter do, is empty.
    """
    if sample in text.said:
        return text.said[sample]
    table, row = text.tokens, text.rows[text.tokens.sample_ids[sample]]
    texts = {PROMPT: row["prompt"], CAPTION: row["caption"], GENERATED: row["caption"]}
    found, before, reached = [], None, 0
    for at in range(*table.offsets[sample : sample + 2].tolist()):
        role, start, end = (int(of[at]) for of in (table.role, table.char_start, table.char_end))
        if role not in texts or start < 0:
            found.append(f"<{ROLES[role]}>")
            continue
        line = ""
        if role != before:
            line, before, reached = "\n" if before is not None else "", role, 0
        found.append(line + texts[role][reached : max(reached, end)])
        reached = max(reached, end)
    text.said[sample] = found
    return found
