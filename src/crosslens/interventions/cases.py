"""Which runs are compared: sentences in two genders, or pictures and texts that differ in gender or in language alone."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from crosslens.data.altered import romanised
from crosslens.data.minimal_pairs import differing
from crosslens.gender.targets import GENDERS, targets_of
from crosslens.interventions.outcomes import Case, Side
from crosslens.stats.resampling import stream

PLACE = "patching.words"
Words = Mapping[str, Mapping[str, str]]
"""Language -> gender -> a text; those of a language differ in gendered words alone."""


def sentences(datasets: Mapping[str, pd.DataFrame]) -> list[Case]:
    """Of each sentence of test that comes in two genders: up to its first gendered word behind another one, in every language
    that has such a word."""
    sides: dict[str, list[Side]] = {}
    for language, frame in datasets.items():
        targets, _ = targets_of(frame[frame["split"] == "test"])
        seen: set[str] = set()
        for target in targets:
            if target.group not in seen:
                seen.add(target.group)
                forms = tuple(target.form[gender] for gender in GENDERS)
                sides.setdefault(target.group, []).extend(
                    Side(language, gender, target.prompt, target.prefix[gender], target.read[gender], forms)
                    for gender in GENDERS
                )
    return [Case("gender", group, tuple(own)) for group, own in sides.items()]


def image_swaps(datasets: Mapping[str, pd.DataFrame], words: Words, seed: int) -> list[Case]:
    """Pictures of test that show a woman and a man, two of one category, in every language, up to the first gendered word."""
    first = _pictures(next(iter(datasets.values())))
    rng = stream(seed, "patched pictures")
    cases = []
    for _, own in first.groupby("category", sort=True):
        ids = [rng.permutation(own.loc[own["gender"] == gender, "image_id"].to_numpy()) for gender in GENDERS]
        for pair in zip(*ids, strict=False):
            sides = [
                _shown(frame, image, language, gender, words[language], 0)
                for language, frame in datasets.items()
                for gender, image in zip(GENDERS, pair, strict=True)
            ]
            # a picture is in one pair alone, so that pairs are units
            cases.append(Case("image", str(pair[0]), tuple(sides)))
    return cases


def category_swaps(datasets: Mapping[str, pd.DataFrame], words: Words, seed: int) -> list[Case]:
    """Pictures of test that hide the gender, two of unlike categories, in every language, up to the first gendered word: in what
    the model says of them nothing but its bias differs."""
    first = _pictures(next(iter(datasets.values())))
    hidden = first[~first["gender"].isin(GENDERS)]
    mixed = hidden.iloc[stream(seed, "patched categories").permutation(len(hidden))]
    ids, categories = (
        mixed.sort_values("category", kind="stable")[name].tolist() for name in ("image_id", "category")
    )
    half = len(ids) // 2
    cases = []
    for k in range(half):
        if categories[k] == categories[k + half]:
            continue
        sides = [
            _shown(frame, ids[at], language, GENDERS[0], words[language], 0)._replace(variant=variant)
            for language, frame in datasets.items()
            for variant, at in (("one", k), ("other", k + half))
        ]
        cases.append(Case("category", str(ids[k]), tuple(sides)))
    return cases


def caption_swaps(datasets: Mapping[str, pd.DataFrame], words: Words) -> list[Case]:
    """Pictures of test that hide the gender, behind them words of a woman and of a man: what is the last gendered word?

    Of the languages whose texts have two such words or more.
    """
    told = [language for language in datasets if len(differing(words[language], PLACE)) > 1]
    first = _pictures(next(iter(datasets.values())))
    hidden = first[~first["gender"].isin(GENDERS)]
    return [
        Case(
            "caption",
            str(image),
            tuple(
                _shown(datasets[language], image, language, gender, words[language], -1)
                for language in told
                for gender in GENDERS
            ),
        )
        for image in (hidden if told else hidden.iloc[:0])["image_id"]
    ]


def language_swaps(
    datasets: Mapping[str, pd.DataFrame], words: Words, pairs: Sequence[tuple[str, str]]
) -> list[Case]:
    """Pictures of test that show the gender, asked for a caption in either language: with which does it begin?"""
    cases = []
    for pair in pairs:
        frame = _pictures(datasets[pair[0]])
        for row in frame[frame["gender"].isin(GENDERS)].to_dict("records"):
            forms = tuple(words[language][row["gender"]] for language in pair)
            sides = [
                _shown(datasets[language], row["image_id"], language, row["gender"], words[language], 0)
                for language in pair
            ]
            asked = [
                side._replace(language="-".join(pair), variant=side.language, prefix="", read=[], forms=forms)
                for side in sides
            ]
            cases.append(Case("language", str(row["image_id"]), tuple(asked)))
    return cases


def in_latin(case: Case, letters: Mapping[str, Mapping[str, str]]) -> Case | None:
    """The case with what its runs say in the letters of another script, so that what is left of an exchange between languages is
    not the script's; prompts stay. letters: of a language, by letter.

    None where one language alone is there, or nothing before the words that are asked for has other letters.
    """
    changed = [_in_latin(side, letters.get(side.language, {})) for side in case.sides]
    if len({side.language for side in case.sides}) < 2 or not any(
        side.prefix != own.prefix for side, own in zip(changed, case.sides, strict=True)
    ):
        return None
    return case._replace(sides=tuple(changed))


def _in_latin(side: Side, table: Mapping[str, str]) -> Side:
    prefix, read = romanised(side.prefix, side.read, table)
    forms = tuple(romanised(form, [], table)[0] for form in side.forms)
    return side._replace(prefix=prefix, read=read, forms=forms)


def _pictures(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each picture of test."""
    test = frame[(frame["split"] == "test") & (frame["image"] != "")]
    return test.drop_duplicates("image_id")


def _shown(
    frame: pd.DataFrame, image: str, language: str, gender: str, words: Mapping[str, str], which: int
) -> Side:
    """A picture, and of the text of `gender` what stands before its first (0) or last (-1) gendered word."""
    row = frame[frame["image_id"] == image].iloc[0]
    spans = {of: _words(words[of]) for of in GENDERS}
    places = differing(words, PLACE)
    place = places[which]
    start = spans[gender][place][0]
    text = words[gender]
    forms = tuple(words[of][slice(*spans[of][place])] for of in GENDERS)
    read = [spans[gender][k] for k in places if k < place]
    return Side(language, gender, row["prompt"], text[:start], read, forms, row["image"], row["image_sha256"])


def _words(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\S+", text)]


def drawn(cases: Sequence[Case], count: int, seed: int) -> list[Case]:
    """At most `count` of them, in a random order."""
    order = stream(seed, "patched cases").permutation(len(cases))[:count]
    return [cases[k] for k in np.asarray(order, dtype=int)]
