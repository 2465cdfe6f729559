"""The offline label of a feature: one to three words in a row that set the texts in which it fires apart."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from crosslens.data.languages import language_of
from crosslens.descriptions.texts import read_texts
from crosslens.tables.documents import read_json, write_json

LONGEST = 3
TEXTS_AT_LEAST = 3
"""In which an n-gram is counted at all."""
PRIOR = 500.0
"""n-grams that the prior is worth, as for the day's speeches of Monroe et al."""
Z_AT_LEAST = 3.0
MOST = 5
"""n-grams of a label."""


def label_by_ngrams(
    *,
    described: Path,
    datasets: dict[str, Path],
    tokens: dict[str, Sequence[Path]],
    codes: dict[str, Path],
    out: Path,
) -> None:
    """Write JSON of kind `ngram_labels`: a label for each feature of `described` and language, from the texts of select.

    Candidates are the n-grams whose weighted log-odds have z ≥ Z_AT_LEAST (see `log_odds`), strongest first; one is taken
    where the texts that have any of those taken so far then tell better, on select, where the feature fires (balanced
    accuracy), up to MOST. No candidate, no label.
    """
    document = read_json(described, "described")
    features: list[dict[str, Any]] = [
        {"feature": entry["feature"], "languages": {}} for entry in document["features"]
    ]
    ids = np.array([entry["feature"] for entry in features], dtype=np.int64)
    counted = {}
    for language in document["languages"]:
        texts = read_texts(datasets[language], tokens[language], codes[language])
        select = texts.of_split("select")
        fires = texts.strongest[select][:, ids].toarray() > 0
        captions = texts.frame["caption"].iloc[select].tolist()
        has, ngrams = presence(captions, language)
        counted[language] = {"texts": len(captions), "ngrams": len(ngrams)}
        z = log_odds(has, fires)
        for column, entry in enumerate(features):
            taken, accuracy = label(has, fires[:, column], z[:, column])
            named = [
                {"ngram": ngrams[i], "z": round(float(z[i, column]), 6)}
                | {
                    "firing": int(has[fires[:, column]][:, [i]].sum()),
                    "silent": int(has[~fires[:, column]][:, [i]].sum()),
                }
                for i in taken
            ]
            shown = [as_written(ngram["ngram"], captions, language) for ngram in named]
            entry["languages"][language] = {
                "label": " · ".join(shown) if shown else None,
                "ngrams": named,
                "select_accuracy": accuracy,
            }
    write_json(
        out,
        "ngram_labels",
        {name: document[name] for name in ("corpus", "languages", "site", "sae")}
        | {"z_at_least": Z_AT_LEAST, "prior": PRIOR, "counted": counted, "features": features},
    )


def ngrams_of(text: str, language: str) -> set[str]:
    """The n-grams of a text: one to LONGEST words in a row, each normalised, with a space between them."""
    spoken = language_of(language)
    words = [spoken.normalise(word.text) for word in spoken.words(text)]
    return {" ".join(words[i : i + n]) for n in range(1, LONGEST + 1) for i in range(len(words) - n + 1)}


def presence(texts: Iterable[str], language: str) -> tuple[csr_array, list[str]]:
    """(n, V) float64, 1 where a text has an n-gram, and the V n-grams, sorted, that at least TEXTS_AT_LEAST texts have."""
    found = [ngrams_of(text, language) for text in texts]
    counts = Counter(ngram for one in found for ngram in one)
    ngrams = sorted(ngram for ngram, count in counts.items() if count >= TEXTS_AT_LEAST)
    place = {ngram: i for i, ngram in enumerate(ngrams)}
    rows = [sorted(place[ngram] for ngram in one if ngram in place) for one in found]
    indptr = np.cumsum([0, *map(len, rows)])
    indices = np.array([i for row in rows for i in row], dtype=np.int64)
    return csr_array((np.ones(len(indices)), indices, indptr), shape=(len(found), len(ngrams))), ngrams


def log_odds(has: csr_array, fires: np.ndarray) -> np.ndarray:
    """(V, T) z of the log-odds ratio of each n-gram between the texts in which a feature fires and the others.

    has: (n, V) of `presence`; fires: (n, T) bool. An n-gram counts once a text. The prior is Dirichlet's with the
    frequencies of all texts, worth PRIOR n-grams. Source: Monroe, Colaresi & Quinn (2008), Fightin' Words, eq. 15-22.
    """
    total = np.asarray(has.sum(axis=0), dtype=np.float64).ravel()[:, None]
    if not total.size:
        return np.zeros((0, fires.shape[1]))
    inside = np.asarray(has.T @ fires.astype(np.float64))
    outside = total - inside
    prior = PRIOR * total / total.sum()

    def odds(count: np.ndarray) -> np.ndarray:
        rest = count.sum(axis=0) + PRIOR - count - prior
        return np.log(count + prior) - np.log(np.maximum(rest, 1e-12))

    return (odds(inside) - odds(outside)) / np.sqrt(1 / (inside + prior) + 1 / (outside + prior))


def label(has: csr_array, fires: np.ndarray, z: np.ndarray) -> tuple[list[int], float | None]:
    """The columns of `has` (n, V) that are a feature's label, and how well they tell where it fires (n) bool; z: (V)."""
    if fires.all() or not fires.any():
        return [], None
    columns, said = has.tocsc(), np.zeros(len(fires), dtype=bool)
    taken: list[int] = []
    best = 0.5
    for i in np.argsort(-z, kind="stable"):
        if z[i] < Z_AT_LEAST or len(taken) == MOST:
            break
        more = said.copy()
        more[columns.indices[columns.indptr[i] : columns.indptr[i + 1]]] = True
        accuracy = (more[fires].mean() + (~more[~fires]).mean()) / 2
        if accuracy > best + 1e-12:
            taken, said, best = [*taken, int(i)], more, float(accuracy)
    return taken, best if taken else None


def as_written(ngram: str, texts: Iterable[str], language: str) -> str:
    """The n-gram as the texts write it most often."""
    spoken, wanted = language_of(language), ngram.split(" ")
    forms: Counter[str] = Counter()
    for text in texts:
        words = spoken.words(text)
        normal = [spoken.normalise(word.text) for word in words]
        for i in range(len(words) - len(wanted) + 1):
            if normal[i : i + len(wanted)] == wanted:
                forms[" ".join(word.text for word in words[i : i + len(wanted)])] += 1
    return min(forms, key=lambda form: (-forms[form], form)) if forms else ngram
