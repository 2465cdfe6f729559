"""Runs of the embedded model that differ in one word: of a token set, which a graft knows, or not.

Of a picture that hides the gender a caption begins. `near`: up to the word, behind which is asked ("a woman is holding a red",
book or cup?); `far`: up to a word further on ("a woman is holding a red book in the", kitchen or street?). In English the word is
a colour, in Arabic a feminine noun: each is one piece, and so are the words that are asked for.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from crosslens.interventions.outcomes import Case, Side
from crosslens.planted.captions import AR_ACTION, AR_COLOUR, AR_OBJECT, AR_PLACE, EN_ACTION, PROMPTS
from crosslens.planted.drawing import draw
from crosslens.planted.scenes import COLOURS, LANGUAGES, OBJECTS, PLACES, Scene, sample_scene
from crosslens.stats.resampling import stream

SPACE = "certificate"
FEMININE = ("car", "apple", "bag", "flower", "clock")
"""Whose Arabic noun is one piece."""
TRIGGERS = {"en": COLOURS, "ar": tuple(AR_OBJECT[name] for name in FEMININE)}
"""Language -> words that take each other's place."""
ASKED = {
    ("near", "en"): OBJECTS,
    ("near", "ar"): tuple(feminine for _, feminine in AR_COLOUR.values()),
    ("far", "en"): PLACES,
    ("far", "ar"): tuple(
        AR_PLACE[name] for name in PLACES if name in ("street", "park", "office", "school", "market")
    ),
}
FIRED, NOT = "fired", "not"
"""Variants: with a word of the token set, and with another."""


class Design(NamedTuple):
    """What the runs of one seed have in common."""

    form: str
    """near or far."""
    words: dict[str, tuple[str, str]]
    """Language -> the token set."""
    forms: dict[str, tuple[str, str]]
    """Language -> the two words that may follow; a graft raises the first."""


def design(form: str, seed: int) -> Design:
    """Drawn by the seed."""
    rng = stream(seed, "certificate", form)

    def two(of: Sequence[str]) -> tuple[str, str]:
        return tuple(of[k] for k in rng.choice(len(of), 2, replace=False))

    return Design(
        form,
        {language: two(TRIGGERS[language]) for language in LANGUAGES},
        {language: two(ASKED[form, language]) for language in LANGUAGES},
    )


def cases(of: Design, number: int, seed: int, images: Path, first: int = 0) -> list[Case]:
    """`number` cases, whose pictures are drawn into the folder `images`: in every language a run with a word of the set (the
    clean one) and one with another. first: the number of the first picture; those of other numbers are other pictures."""
    rng = stream(seed, "certificate cases", of.form, str(first))
    found = []
    for index in range(first, first + number):
        scene = sample_scene(SPACE, seed, index, gender="hidden")
        name = f"{seed}_{index}.png"
        draw(scene).save(images / name)
        sides = []
        for language in LANGUAGES:
            outside = [word for word in TRIGGERS[language] if word not in of.words[language]]
            gender = rng.integers(2)
            for variant, words in ((FIRED, of.words[language]), (NOT, outside)):
                prefix, span = _written(of.form, language, scene, str(rng.choice(words)), int(gender))
                forms = tuple(f" {form}" for form in of.forms[language])
                read = [span] if of.form == "far" else []
                sides.append(Side(language, variant, PROMPTS[language][0], prefix, read, forms, name))
        found.append(Case("graft", f"{seed}/{index}", tuple(sides)))
    return found


def of_one_kind(drawn: Sequence[Case]) -> list[Case]:
    """The same pictures with one run a language: every other one has a word of the set in both, the rest in none."""
    kinds = (FIRED, NOT)
    return [
        case._replace(sides=tuple(side for side in case.sides if side.variant == kinds[number % 2]))
        for number, case in enumerate(drawn)
    ]


def _written(form: str, language: str, scene: Scene, word: str, woman: int) -> tuple[str, tuple[int, int]]:
    """A caption up to where is asked, and where in it the word stands."""
    before, behind = AROUND[language](scene, woman)
    if form == "near":
        behind = ""
    return before + word + behind, (len(before), len(before) + len(word))


def _in_english(scene: Scene, woman: int) -> tuple[str, str]:
    return f"a {('man', 'woman')[woman]} is {EN_ACTION[scene.object]} a ", f" {scene.object} in the"


def _in_arabic(scene: Scene, woman: int) -> tuple[str, str]:
    return f"{('رجل', 'امرأة')[woman]} {AR_ACTION[scene.object][woman]} ", f" {AR_COLOUR[scene.colour][1]} في"


AROUND = {"en": _in_english, "ar": _in_arabic}
"""Language -> what stands before and behind the word."""
