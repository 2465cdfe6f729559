"""Does a feature tell the gender of the person, or the grammatical gender of the word?

Nouns for things part the two: سيارة (a car) is feminine and كتاب (a book) masculine, whoever owns them. A feature of a single
word would look grammatical over its many tokens, so that words, not tokens, are the units of what is said of grammar.
"""

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from crosslens.data.languages import language_of
from crosslens.data.morphology import morphology_of
from crosslens.data.morphology.base import CERTAIN, FEMININE, MASCULINE
from crosslens.gender.effects import null_summary
from crosslens.pooling.pool import pooled_tokens, without_sinks
from crosslens.stats.clustered import clustered_slopes
from crosslens.stats.partial import Partial, partial_correlations
from crosslens.stats.resampling import arrangements, stream
from crosslens.stats.tested import tested, too_few_permutations, too_few_units
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_table, write_json, write_table
from crosslens.tables.roles import CAPTION
from crosslens.tables.tokens import TokenTable, read_tokens

log = logging.getLogger(__name__)

LIVE = 5
"""A feature is tested when it fires in so many of the units: people's texts, or words."""
LEAST = 5
"""Units of each gender that a test takes."""
TOP = 10
CLASSES = ("semantic", "grammatical", "both", "neither", "few_words")
SLOPES = ("semantic", "grammatical", "pieces")


class Words(NamedTuple):
    """The words of known grammatical gender that are not masked: frame (w) and their mean activations (w, F)."""

    frame: pd.DataFrame
    """group, gender (of the person), lemma, feminine (bool), thing (bool), pieces (int)."""
    values: csr_array
    sources: Counter
    """Content words, and those left out, by where their gender is from."""


def measure_grammar(
    *,
    dataset: Path,
    tokens: list[Path],
    codes: Path,
    effects: Path,
    language: str,
    alpha: float,
    permutations: int,
    seed: int,
    out_table: Path,
    out: Path,
    morphology: str | None = None,
) -> None:
    """Call each feature semantic, grammatical, both or neither, on test.

    A word's activation is the mean over its tokens. Semantic: over people's texts (a group and gender), mean over the words,
    correlated with the person's gender, the share of feminine words and the mean number of pieces taken out of both.
    Grammatical: over the nouns for things, mean over occurrences, correlated with the noun's gender, the mean number of pieces
    and the lean of its texts towards women taken out; genders are shuffled between nouns. Writes `out_table` (kind
    grammar_features, a row a feature) and `out` (kind grammar). effects: the table of gender_effects, whose features that
    are significant on select, with the caption pooled, are the gender features.

    morphology: the adapter that tells words' grammatical gender in the place of our rules and lists.

    Raises InputError where the codes lack the caption's tokens, and where an adapter's package is not installed.
    """
    samples = read_table(dataset, "dataset")
    stored = Codes(codes)
    words = read_words(samples[samples["split"] == "test"], read_tokens(tokens), stored, language, morphology)
    effect = read_table(effects, "gender_effects").query("condition == 'caption' and split == 'select'")
    gendered = np.zeros(stored.d_sae, dtype=bool)
    gendered[effect.loc[effect["significant"], "feature"].to_numpy(dtype=int)] = True
    how = {"alpha": alpha, "permutations": permutations}
    semantic, of_people = by_person(words, **how, rng=stream(seed, "grammar", language, "semantic"))
    grammatical, of_nouns = by_noun(words, **how, rng=stream(seed, "grammar", language, "grammatical"))
    slopes, half = _slopes(words)
    table = pd.DataFrame({"feature": np.arange(stored.d_sae), "gendered": gendered})
    for name, found in (("semantic", semantic), ("grammatical", grammatical)):
        table[f"r_{name}"], table[f"p_{name}"], table[f"q_{name}"] = found.r, found.p, found.q
    for i, name in enumerate(SLOPES):
        table[f"b_{name}"] = slopes[i]
        table[f"b_{name}_low"], table[f"b_{name}_high"] = slopes[i] - half[i], slopes[i] + half[i]
    table["kind"] = classify(semantic, grammatical, alpha)
    write_table(out_table, "grammar_features", table)
    both = of_people["tested"] and of_nouns["tested"]
    document: dict[str, Any] = {
        "language": language,
        "morphology": morphology or "crosslens",
        "site": stored.attributes.get("site"),
        "sae": stored.attributes.get("sae"),
        "d_sae": stored.d_sae,
        **how,
        "seed": seed,
        "live_units": LIVE,
        "words": _counts(words),
        "semantic": of_people,
        "grammatical": of_nouns,
        "classes": {
            name: _shares(table["kind"].to_numpy(), semantic, grammatical, of) if both else None
            for name, of in (("all", np.ones(stored.d_sae, dtype=bool)), ("gendered", gendered))
        },
        "top": _top(table),
    }
    write_json(out, "grammar", document)


def read_words(
    samples: pd.DataFrame,
    tokens: TokenTable,
    codes: Codes,
    language: str,
    adapter: str | None = None,
) -> Words:
    """The words of captions whose grammatical gender a list or an ending tells; masked words and sinks are left out."""
    layer, spoken = morphology_of(language, adapter), language_of(language)
    declared = pooled_tokens(tokens, samples, condition="caption")[codes.token]
    keep = without_sinks(codes.norm, tokens.role[codes.token], declared)
    row_of = np.full(len(tokens), -1, dtype=np.int64)
    row_of[codes.token[keep]] = np.flatnonzero(keep)
    index = {sample: i for i, sample in enumerate(tokens.sample_ids)}
    analysed: dict[str, Any] = {}
    frame, cells, sources = [], [], Counter()
    for sample in samples.to_dict("records"):
        at = index[sample["sample_id"]]
        rows = np.arange(tokens.offsets[at], tokens.offsets[at + 1])
        rows = rows[tokens.role[rows] == CAPTION]  # a prompt's characters are counted from 0 too
        spans = json.loads(sample["label_spans"])
        for word in spoken.words(sample["caption"]):
            if any(start < word.end and word.start < end for start, end in spans):
                continue
            found = analysed.setdefault(word.text, layer.analyse(word.text))
            if found.part == "other":
                continue
            sources[found.source] += 1
            if (
                found.source not in CERTAIN
                or found.gender not in (FEMININE, MASCULINE)
                or found.part == "verb"
            ):
                continue
            inside = rows[(tokens.char_start[rows] < word.end) & (tokens.char_end[rows] > word.start)]
            read = row_of[inside]
            if not len(read := read[read >= 0]):
                continue
            cells += [(len(frame), row, 1 / len(read)) for row in read]
            thing = found.part == "noun" and found.animate is False and found.number == "singular"
            feminine = found.gender == FEMININE
            frame.append((sample["group"], sample["gender"], found.stem, feminine, thing, len(inside)))
    columns = ["group", "gender", "lemma", "feminine", "thing", "pieces"]
    at, row, weight = np.array(cells, dtype=np.float64).reshape(-1, 3).T
    average = csr_array(
        (weight, (at.astype(int), row.astype(int))), shape=(len(frame), len(codes)), dtype=np.float64
    )
    values = csr_array((len(frame), codes.d_sae))
    for start, block in codes.blocks():
        values = values + csr_array(average[:, start : start + block.shape[0]] @ block.astype(np.float64))
    return Words(pd.DataFrame(frame, columns=columns), csr_array(values), sources)


def by_person(
    words: Words, *, alpha: float, permutations: int, rng: np.random.Generator
) -> tuple[Partial, dict[str, Any]]:
    """Whose gender the person's words tell, one row a group and gender."""
    known = words.frame["gender"].isin(["female", "male"]).to_numpy()
    some, key = words.frame[known], ["group", "gender"]
    means, values = _means(some, words.values[np.flatnonzero(known)], key, ["feminine", "pieces"])
    female = (means["gender"] == "female").to_numpy()
    counts = {"female": int(female.sum()), "male": int((~female).sum())}
    because = too_few_units(counts, LEAST) or too_few_permutations(permutations, alpha)
    return _tested(
        values,
        female,
        means[["feminine", "pieces"]].to_numpy(float),
        because,
        counts,
        groups=means["group"].to_numpy(),
        alpha=alpha,
        permutations=permutations,
        rng=rng,
    )


def by_noun(
    words: Words, *, alpha: float, permutations: int, rng: np.random.Generator
) -> tuple[Partial, dict[str, Any]]:
    """Whose grammatical gender the nouns for things tell, one row a noun."""
    things = words.frame["thing"].to_numpy(dtype=bool)
    some = words.frame[things].assign(
        lean=words.frame["gender"].map({"female": 1.0, "male": -1.0}).fillna(0.0)
    )
    means, values = _means(
        some, words.values[np.flatnonzero(things)], ["lemma"], ["feminine", "pieces", "lean"]
    )
    feminine = means["feminine"].to_numpy(float) > 0.5
    counts = {"feminine": int(feminine.sum()), "masculine": int((~feminine).sum())}
    because = too_few_units(counts, LEAST, "nouns for things") or too_few_permutations(permutations, alpha)
    least = 1 / arrangements(feminine, mirror=~feminine)
    if not because and least > alpha:
        because = f"of so few nouns no p can be below {least:.2g}, and the level is {alpha:g}"
    covariates = means[["pieces", "lean"]].to_numpy(float)
    return _tested(
        values, feminine, covariates, because, counts, alpha=alpha, permutations=permutations, rng=rng
    )


def _means(
    frame: pd.DataFrame, values: csr_array, key: list[str], columns: list[str]
) -> tuple[pd.DataFrame, csr_array]:
    """Rows of one key averaged: the key and `columns`, and the values, in the order of the key."""
    grouped = frame.groupby(key, sort=True)
    number = grouped.ngroup().to_numpy()
    means = grouped[columns].mean().reset_index()
    weights = 1 / np.bincount(number, minlength=len(means))[number] if len(frame) else np.empty(0)
    average = csr_array((weights, (number, np.arange(len(frame)))), shape=(len(means), len(frame)))
    return means, csr_array(average @ values)


def _tested(
    values: csr_array,
    label: np.ndarray,
    covariates: np.ndarray,
    because: str | None,
    counts: dict[str, int],
    groups: np.ndarray | None = None,
    **how: Any,
) -> tuple[Partial, dict[str, Any]]:
    """Of the features that fire in enough rows; nothing of any where there is a reason."""
    features = values.shape[1]
    live = np.flatnonzero((values != 0).sum(axis=0) >= LIVE)
    if not because and not len(live):
        because = f"no feature fires in {LIVE} of them"
    whole = Partial(*np.full((3, features), np.nan), np.zeros((features, 1), dtype=bool))
    summary = tested(because) | {"units": counts, "features": len(live)}
    if because:
        return whole, summary | {"significant": None, "null": null_summary(np.empty(0), 0)}
    found = partial_correlations(values[:, live].toarray(), label, covariates, groups=groups, **how)
    whole = whole._replace(null=np.zeros((features, found.null.shape[1]), dtype=bool))
    for of_all, of_live in zip(whole, found, strict=True):
        of_all[live] = of_live
    significant = int((found.q <= how["alpha"]).sum())
    return whole, summary | {
        "significant": significant,
        "null": null_summary(found.null.sum(axis=0), significant, arrangements(label, groups, mirror=~label)),
    }


def classify(semantic: Partial, grammatical: Partial, alpha: float) -> np.ndarray:
    """(F) one of CLASSES, or untested for a feature that fires in too few texts; few_words: not semantic, and fires in
    fewer nouns for things than a test takes."""
    means, marks = semantic.q <= alpha, grammatical.q <= alpha
    kinds = np.where(
        means & marks, "both", np.where(means, "semantic", np.where(marks, "grammatical", "neither"))
    )
    kinds = np.where(np.isnan(grammatical.q) & ~means, "few_words", kinds)
    return np.where(np.isnan(semantic.q) & np.isnan(grammatical.q), "untested", kinds)


def _shares(kinds: np.ndarray, semantic: Partial, grammatical: Partial, of: np.ndarray) -> dict[str, Any]:
    """How many of some features (F) bool are what, and the mean number under shuffled labels."""
    counted = of & (kinds != "untested")
    width = min(semantic.null.shape[1], grammatical.null.shape[1])
    means, marks = semantic.null[counted, :width], grammatical.null[counted, :width]
    chance = {"semantic": means & ~marks, "grammatical": marks & ~means, "both": means & marks}
    return {
        "features": int(counted.sum()),
        "counts": {name: int((kinds[counted] == name).sum()) for name in CLASSES},
        "chance": {name: float(null.sum(axis=0).mean()) for name, null in chance.items()},
    }


def _slopes(words: Words) -> tuple[np.ndarray, np.ndarray]:
    """Standardised slopes (3, F) of a word's activation on person, grammar and pieces, and half their intervals.

    The errors of the first are reckoned over groups, of the others over lemmas. NaN where they cannot be told apart.
    """
    frame = words.frame[words.frame["gender"].isin(["female", "male"])]
    slopes, half = np.full((2, 3, words.values.shape[1]), np.nan)
    x = np.column_stack(
        [frame["gender"] == "female", frame["feminine"].astype(bool), frame["pieces"]]
    ).astype(float)
    if len(frame) < LEAST:
        return slopes, half
    values = words.values[frame.index.to_numpy()].tocsc()
    clusters = [frame["group"].to_numpy(), *[frame["lemma"].to_numpy()] * 2]
    width = max(1, (1 << 22) // len(frame))
    for start in range(0, values.shape[1], width):
        block = slice(start, start + width)
        slopes[:, block], half[:, block] = clustered_slopes(values[:, block].toarray(), x, clusters)
    return slopes, half


def _counts(words: Words) -> dict[str, Any]:
    things = words.frame[words.frame["thing"].astype(bool)]
    return {
        "content": sum(words.sources.values()),
        "sources": {name: words.sources[name] for name in ("list", "ending", "verb", "unmarked", "none")},
        "read": len(words.frame),
        "things": len(things),
        "nouns": {
            name: sorted(set(things.loc[things["feminine"].astype(bool) == of, "lemma"]))
            for name, of in ((FEMININE, True), (MASCULINE, False))
        },
    }


def _top(table: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """The features of each kind with the largest r of their test."""
    top = {}
    for kind, by in (("semantic", "semantic"), ("grammatical", "grammatical"), ("both", "grammatical")):
        some = table[table["kind"] == kind]
        order = some[f"r_{by}"].abs().sort_values(ascending=False, kind="stable").index[:TOP]
        names = ["feature", *(f"{of}_{name}" for of in "rq" for name in ("semantic", "grammatical"))]
        top[kind] = [
            {name: None if pd.isna(value) else value for name, value in row.items()}
            for row in some.loc[order, names].to_dict("records")
        ]
    return top
