"""The table of all features of one SAE: columns of numbers and of words, in the order of ids."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from crosslens.data.languages import language_of
from crosslens.explorer.page.features import TEXT
from crosslens.explorer.page.sae import Sae, agree
from crosslens.explorer.page.samples import Samples
from crosslens.explorer.page.scripts import packed

DENSE = 0.1
"""Share of a language's tokens from which on a feature that fires there is called dense."""
DEAD, LIVE, DENSE_STATE = 0.0, 1.0, 2.0
NUMBERS = {
    "rate": "test_token_frequency",
    "samples": "test_sample_frequency",
    "max": "test_max",
    "selectivity": "test_selectivity",
}
"""Column, of each language, to that of the table `features`."""
WORDS, PROMOTED = 4, 4
"""Shown of a feature and language; of a feature."""


def numbers_of(sae: Sae) -> dict[str, np.ndarray]:
    """Column to (F) values, NaN where there is none."""
    numbers = {"state": states(sae)}
    for language, table in sae.statistics.items():
        numbers |= {
            f"{name}:{language}": table[column].to_numpy(dtype=float) for name, column in NUMBERS.items()
        }
    for (language, condition), halves in sae.halves.items():
        numbers |= {f"{name}:{language}:{condition}": of for name, of in _effects(**halves).items()}
    if sae.sharing is not None:
        for (first, second), table in sae.sharing.groupby(["first", "second"], sort=False):
            numbers |= {f"{name}:{first}:{second}": of for name, of in _sharing(table, sae.d_sae).items()}
    return numbers


def columns(
    sae: Sae, numbers: dict[str, np.ndarray], samples: Samples, labels: dict[int, str]
) -> dict[str, Any]:
    """`numbers`: column to (F) float32 in base64; `words`: column to F strings, words parted by line ends.

    numbers: see `numbers_of`; labels: feature to a label that tells.
    """
    words = {f"fires:{language}": fires_on(sae, samples, language) for language in sae.languages}
    words["label"] = [labels.get(feature, "") for feature in range(sae.d_sae)]
    if sae.promoted is not None:
        words["promoted"] = [
            "\n".join(sae.promoted.tokens(feature, "promoted", PROMOTED)) for feature in range(sae.d_sae)
        ]
    return {"numbers": {name: packed(of) for name, of in numbers.items()}, "words": words}


def states(sae: Sae) -> np.ndarray:
    """(F) DEAD: fires on no encoded token of any language; DENSE_STATE: on DENSE or more of one's test tokens; LIVE."""
    live = np.any([table["live"].to_numpy() for table in sae.statistics.values()], axis=0)
    rates = [table["test_token_frequency"].fillna(0).to_numpy() for table in sae.statistics.values()]
    return np.where(live, np.where(np.max(rates, axis=0) >= DENSE, DENSE_STATE, LIVE), DEAD)


def _effects(select: pd.DataFrame, test: pd.DataFrame) -> dict[str, np.ndarray]:
    """`d` of test; `gendered`: 0, or by the direction tested ±1 where test is significant, ±2 where select agrees."""
    sign = np.sign(test["z"].fillna(0).to_numpy(dtype=float))
    found = test["significant"].to_numpy(dtype=bool)
    return {
        "d": test["d"].to_numpy(dtype=float),
        "q": test["q"].to_numpy(dtype=float),
        "gendered": np.where(found, sign * np.where(agree(select, test), 2, 1), 0),
    }


def _sharing(table: pd.DataFrame, d_sae: int) -> dict[str, np.ndarray]:
    """`language`: selectivity; `specific`: −1 for the first language, 1 for the second, else 0; `shared`: 1 where it is."""
    table = table.set_index("feature").reindex(range(d_sae))
    first, second = table["first"].iloc[0], table["second"].iloc[0]
    specific = table["specific"].to_numpy(dtype=object)
    return {
        "language": table["token_selectivity"].to_numpy(dtype=float),
        "specific": np.where(specific == first, -1, np.where(specific == second, 1, 0)).astype(float),
        "shared": table["shared"].to_numpy(dtype=bool).astype(float),
    }


def fires_on(sae: Sae, samples: Samples, language: str) -> list[str]:
    """(F) the words under each feature's largest activations in its strongest examples of a language, each once, in their order.

    What lies in no text is called by its place: ‹picture› or ‹template›.
    """
    examples = sae.examples[(sae.examples["language"] == language) & (sae.examples["group"] == "top")]
    tokens = sae.tokens[sae.tokens["language"] == language]
    both = examples.assign(rank=np.arange(len(examples))).merge(tokens, on=["feature", "sample_id"])
    both = both.sort_values(["rank", "activation"], ascending=[True, False], kind="stable").drop_duplicates(
        "rank"
    )
    words: list[dict[str, None]] = [{} for _ in range(sae.d_sae)]
    for row in both.itertuples():
        words[row.feature].setdefault(_called(samples, language, row))
    return ["\n".join(list(found)[:WORDS]) for found in words]


def _called(samples: Samples, language: str, token: Any) -> str:
    if token.role == "image":
        return "‹picture›"
    texts = {"prompt": samples.prompt, **dict.fromkeys(TEXT, samples.text)}
    text = texts[token.role](language, token.sample_id) if token.role in texts else ""
    if 0 <= token.char_start < token.char_end <= len(text):
        return word_at(language, text, token.char_start, token.char_end)
    return "‹template›"


def word_at(language: str, text: str, start: int, end: int) -> str:
    """The word that a token is of, else its own characters."""
    found = next((word for word in _words(language, text) if word.start < end and word.end > start), None)
    return text[found.start : found.end] if found else text[start:end].strip()


@cache
def _words(language: str, text: str) -> list[Any]:
    return list(language_of(language).words(text))
