"""Files laid out as MT-GenEval's, with sentences of our own: those that the embedded model has learnt to write."""

from collections.abc import Sequence
from pathlib import Path

from crosslens.planted.captions import render
from crosslens.planted.source import source_scene
from crosslens.sources.mt_geneval import GENDERS, SPLITS, file_of

Quadruple = tuple[str, str, str, str]
"""English of a woman and of a man, the other language of a woman and of a man."""
TEMPLATES = ("works", "pronoun", "occupation")
"""Arabic ones with several words that tell the gender."""


def lay(
    folder: Path, sentences: dict[str, Sequence[Quadruple]], other: str = "ar", *, cloned: bool = False
) -> Path:
    """The files of one pair of languages, in `folder` or in the folders of a clone. sentences: split -> its lines."""
    for split in SPLITS:
        columns = list(zip(*sentences[split], strict=True))
        if cloned:
            (folder / f"data/sentences/{split}/annotated").mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        places = [(gender, language) for language in ("en", other) for gender in GENDERS]
        for (gender, language), lines in zip(places, columns, strict=True):
            path = file_of(folder, gender, split, other, language)
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


def planted_sentences(count: int, *, first: int = 0) -> list[Quadruple]:
    """Captions of scenes, no two alike, the English of two sentences so that there is a gendered word behind another."""
    found: dict[tuple[str, str], Quadruple] = {}
    index = first
    while len(found) < count:
        scene = source_scene(index, seed=11)
        texts = {
            (
                "en",
                gender,
            ): f"{render(scene, 'en', 'plain', gender)} {render(scene, 'en', 'possessive', gender)}"
            for gender in GENDERS
        } | {
            ("ar", gender): render(scene, "ar", TEMPLATES[index % len(TEMPLATES)], gender)
            for gender in GENDERS
        }
        tagged = [
            version
            for language in ("en", "ar")
            for version in marked(*(texts[language, gender] for gender in GENDERS))
        ]
        found.setdefault((texts["en", "female"], texts["ar", "female"]), tuple(tagged))
        index += 1
    return list(found.values())


def marked(female: str, male: str) -> tuple[str, str]:
    """Two texts of as many words with tags around the words that differ, without their full stops."""
    words = list(zip(female.split(), male.split(), strict=True))
    return tuple(
        " ".join(pair[i] if pair[0] == pair[1] else _tag(pair[i], mark) for pair in words)
        for i, mark in enumerate(GENDERS.values())
    )


def _tag(word: str, mark: str) -> str:
    bare = word.rstrip(".")
    return f"<{mark}>{bare}</{mark}>{word[len(bare) :]}"
