"""Whose is a graft's feature? What sharing, selectivity, ν, matching and specialists say of it.

The feature is the one that fires and whose decoder row is most along what the graft writes (`dictionaries.carrier`). A unit is a
picture with a caption in each language, of which every other one has a word of the set in both languages, and the rest in none: a
feature of both languages' words fires on the same pictures, one of a language's word in that language alone.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from torch import Tensor

from crosslens.alignment.assignment import unit_rows
from crosslens.alignment.dictionaries import Dictionary, turned
from crosslens.alignment.matching import compare as match
from crosslens.alignment.sharing import Side, compare, over_languages
from crosslens.certificate.dictionaries import Texts, carrier, codes_of
from crosslens.features.specialists import find_specialists
from crosslens.planted.scenes import LANGUAGES
from crosslens.pooling.images import ImageTable
from crosslens.pooling.pool import averaging
from crosslens.sae.model import SAE
from crosslens.stats.resampling import stream

ALPHA = 0.05
OWN, OTHERS = "set", "other"
"""Categories of pictures: with a word of the set in their captions, and without."""


class Call(NamedTuple):
    """What a method says of a graft's feature."""

    method: str
    sae: str
    """Architecture."""
    score: float
    """The larger the more shared; NaN of a method that tells no such thing."""
    claimed: float
    """1 where it is called what the method calls features, 0 where not; NaN of a method that only gives a number."""


def of_joint(
    name: str, sae: SAE, texts: Texts, direction: Tensor, languages: Sequence[str], seed: int
) -> Iterator[Call]:
    """Of one SAE of both languages. `sharing` claims that the feature is shared, `selectivity` that it is a language's, the
    graft's own where that has one."""
    feature = carrier(sae, texts.rows(np.isin(texts.language, languages)), direction)
    sides = _sides(sae, texts)
    table, _ = compare(sides, alpha=ALPHA, rng=stream(seed, "certificate sharing", name))
    one = table.assign(**over_languages(sides, LANGUAGES)).loc[feature]
    specific = one["specific"] in languages
    yield Call("sharing", name, float(np.nan_to_num(one["r"])), float(one["shared"]))
    yield Call("selectivity", name, -abs(float(one["token_selectivity"])), float(specific))
    yield Call("nu", name, -abs(float(one["nu_first"])), np.nan)


def of_nothing(name: str, sae: SAE, texts: Texts, seed: int) -> Iterator[Call]:
    """The same where there is nothing: captions of other pictures paired, and languages exchanged by a coin; claimed is any
    feature."""
    rng = stream(seed, "certificate nothing", name)
    order = rng.permutation(texts.case.max() + 1)
    arabic = texts.language == LANGUAGES[1]
    shuffled = texts._replace(case=np.where(arabic, order[texts.case], texts.case))
    exchanged = (rng.random(len(order)) < 0.5)[texts.case]
    names = np.where(exchanged, np.where(arabic, *LANGUAGES), texts.language).astype(object)
    for method, column, own in (
        ("sharing", "shared", shuffled),
        ("selectivity", "specific", texts._replace(language=names)),
    ):
        table, _ = compare(_sides(sae, own), alpha=ALPHA, rng=rng)
        yield Call(method, name, np.nan, float(table[column].astype(bool).any()))


def of_two(
    name: str,
    saes: dict[str, SAE],
    texts: Texts,
    direction: Tensor,
    languages: Sequence[str],
    seed: int,
    nothing: bool = False,
) -> Call:
    """Of an SAE of each language: are the features of the graft a pair? Of a graft of one language, has its feature a partner in
    the SAE of the other? nothing: the second SAE turned at random, and claimed is any pair."""
    found, own = [], {}
    for language, sae in saes.items():
        of = texts.rows(texts.language == language)
        live = np.flatnonzero(codes_of(sae, of.rows(of.caption)).max(axis=0).toarray().ravel() > 0)
        rows = Dictionary(language, "", unit_rows(sae.W_dec.numpy()), unit_rows(sae.W_enc.T.numpy()))
        found.append(rows.rows(live))
        own[language] = int(np.flatnonzero(live == carrier(sae, of, direction))[0])
    first, second = found
    if nothing:
        table, _ = match("turned", first, turned(second, stream(seed, "certificate turned", name)))
        return Call("matching", name, np.nan, float(table["shared"].any()))
    table, _ = match("languages", first, second)
    here = np.ones(len(table), dtype=bool)
    for side, language in zip(("feature", "partner"), saes, strict=True):
        if language in languages:
            here &= (table[side] == own[language]).to_numpy()
    pair = table[here]
    score = pair[["decoder_cosine", "encoder_cosine"]].min(axis=1).max() if len(pair) else -1.0
    return Call("matching", name, float(score), float(pair["shared"].any()))


def of_category(
    name: str,
    sae: SAE,
    select: Texts,
    test: Texts,
    languages: Sequence[str],
    seed: int,
    nothing: bool = False,
) -> tuple[Call, int | None]:
    """Has the set of words a specialist, and which feature is it? nothing: the categories of the pictures are drawn."""
    rng, given = stream(seed, "certificate categories", name), []
    for texts in (select, test):
        of = texts.rows(texts.caption & np.isin(texts.language, languages))
        pictures, average = _averaging(of.case)
        with_word = np.isin(pictures, of.case[of.fired])
        category = np.where(with_word, OWN, OTHERS).astype(object)
        given += [csr_array(average @ codes_of(sae, of)), rng.permutation(category) if nothing else category]
    document = find_specialists(*given, seed=seed)
    (found,) = [one for one in document["features"] if one["category"] == OWN] or [None]
    if found is None:
        return Call("specialist", name, np.nan, 0.0), None
    claimed = found["specialist"] and found["p"] <= ALPHA
    return Call("specialist", name, np.nan, float(claimed)), found["feature"]


def paired(texts: Texts) -> Texts:
    """Of each picture the texts that have a word of the set, or those that have none, in turn."""
    return texts.rows(texts.fired == (texts.case % 2 == 0))


def _sides(sae: SAE, texts: Texts) -> dict[str, Side]:
    """As `alignment.sharing.open_side` makes them of codes on disk."""
    found = {}
    for language in LANGUAGES:
        of = texts.rows(texts.caption & (texts.language == language))
        codes = codes_of(sae, of)
        pictures, average = _averaging(of.case)
        ids, unknown = pictures.astype(str).astype(object), np.full(len(pictures), "unknown", dtype=object)
        strength = average @ codes
        parts = (strength, average @ (codes > 0).astype(np.float64), (strength > 0).astype(np.float64))
        found[language] = Side(*(ImageTable(csr_array(of), ids, unknown, unknown) for of in parts))
    return found


def _averaging(case: np.ndarray) -> tuple[np.ndarray, csr_array]:
    """Pictures (m), and the matrix (m, N) that averages the tokens (N) of each."""
    average, pictures = averaging(case, np.ones(len(case), dtype=bool), np.bincount(case))
    return pictures, average
