"""Arabic by CAMeL Tools (Obeid et al. 2020), where a study names it (`gender.morphology`) and it is installed.

Its analyser has a lexicon, with the gender and the rationality of nouns by meaning, not by form. Out of context a word has
several readings: the likeliest one of the database (`pos_lex_logprob`) is taken, and no gender where another of its
part of speech is as likely and has another one. What no lexicon has (`source` backoff, foreign) has none.
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from crosslens.data.morphology.base import FEMININE, MASCULINE, UNKNOWN, Analysis
from crosslens.errors import InputError, words

PARTS = {"noun": "noun", "noun_prop": "noun", "adj": "adjective", "adj_comp": "adjective", "verb": "verb"}
"""Of its parts of speech those that are content; numbers, quantities and particles are none."""
GENDERS = {"f": FEMININE, "m": MASCULINE}
NUMBERS = {"s": "singular", "d": "dual", "p": "plural"}
ANIMATE = {"y": True, "n": False}
PREFIXES = ("prc3", "prc2", "prc1", "prc0")
"""Outermost first."""
NOTHING = ("0", "na")
LEXICAL = ("lex", "spvar")
"""Of its `source`: found in the lexicon, if in another spelling."""


def data_files() -> list[Path]:
    """The package's catalogue, and the database that it names as the default; imports nothing of it."""
    place = Path(os.environ.get("CAMELTOOLS_DATA", "~/.camel_tools")).expanduser()
    catalogue = place / "catalogue.json"
    try:
        known = json.loads(catalogue.read_text(encoding="utf-8"))["components"]["MorphologyDB"]
        database = place / "data" / known["datasets"][known["default"]]["path"] / "morphology.db"
    except (OSError, ValueError, KeyError, TypeError):  # the job says what is to be installed
        return [catalogue]
    return [catalogue, database]


@cache
def _analyser() -> Any:
    """Its analyser with the default database of Modern Standard Arabic; raises InputError where either is not there."""
    install = "pip install camel-tools, then `camel_data -i light`; or leave gender.morphology out"
    try:
        from camel_tools.morphology.analyzer import Analyzer
        from camel_tools.morphology.database import MorphologyDB
    except ImportError as error:
        raise InputError(
            "gender.morphology", found="camel_tools", expected="the package camel-tools", mend=install
        ) from error
    try:
        return Analyzer(MorphologyDB.builtin_db())
    except Exception as error:  # of its catalogue, of paths: whatever a missing database leads to
        raise InputError(
            "gender.morphology", found=words(error), expected="the database of camel_tools", mend=install
        ) from error


class _CamelTools:
    """As of `Morphology`."""

    def analyse(self, word: str) -> Analysis:
        readings = [reading for reading in _analyser().analyze(word) if reading["source"] in LEXICAL]
        if not readings:
            return Analysis(word, (), word, "", "unknown", UNKNOWN, "unknown", None, "none")
        likeliest = max(_likely(reading) for reading in readings)
        best = [reading for reading in readings if _likely(reading) == likeliest]
        first = best[0]
        part = PARTS.get(first["pos"], "other")
        genders = {GENDERS.get(reading["gen"], UNKNOWN) for reading in best if reading["pos"] == first["pos"]}
        gender = genders.pop() if len(genders) == 1 else UNKNOWN
        known = part != "other" and gender != UNKNOWN
        return Analysis(
            word,
            tuple(first[name] for name in PREFIXES if first[name] not in NOTHING),
            first["lex"],
            "" if first["enc0"] in NOTHING else first["enc0"],
            part,
            gender if known else UNKNOWN,
            NUMBERS.get(first["num"], "unknown"),
            ANIMATE.get(first["rat"]) if part == "noun" else None,
            ("verb" if part == "verb" else "list") if known else "none",
        )


def _likely(reading: dict[str, Any]) -> float:
    """The logarithm that the database has; of a reading without one, less than any."""
    known = reading.get("pos_lex_logprob")
    return float("-inf") if known is None else float(known)


MORPHOLOGY = _CamelTools()
