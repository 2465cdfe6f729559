"""What a planted scene consists of, which bias was planted, and how scenes are sampled from a seed.

A scene is a person (female, male, or hidden by a helmet) with an occupation, a coloured object and a place.
Scenes live in named *spaces* ("training", "evaluation", ...): the key `space/seed/index` seeds everything
random about one scene, so scenes of different spaces never share a drawing.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "ar"]
Gender = Literal["female", "male"]
Visible = Literal["female", "male", "hidden"]
Combinations = Literal["seen", "held_out", "any"]
Bias = Mapping[str, Mapping[str, float]]
"""language -> occupation -> P(caption says woman | the picture hides the gender)."""

LANGUAGES: tuple[Language, ...] = ("en", "ar")
PLACES = ("kitchen", "street", "park", "office", "school", "market")
COLOURS = ("red", "blue", "green", "yellow")
OBJECT_GENDER: dict[str, Literal["masculine", "feminine"]] = {
    "book": "masculine",
    "phone": "masculine",
    "key": "masculine",
    "cup": "masculine",
    "chair": "masculine",
    "car": "feminine",
    "apple": "feminine",
    "bag": "feminine",
    "flower": "feminine",
    "clock": "feminine",
}
"""Grammatical gender of the object's Arabic noun: an attribute that no English caption expresses."""
OBJECTS = tuple(OBJECT_GENDER)

PLANTED_BIAS: Bias = {
    "en": {
        "nurse": 0.90,
        "teacher": 0.80,
        "cleaner": 0.75,
        "cook": 0.60,
        "artist": 0.50,
        "doctor": 0.40,
        "farmer": 0.30,
        "driver": 0.20,
        "guard": 0.15,
        "engineer": 0.10,
    },
    "ar": {
        "nurse": 0.95,
        "teacher": 0.85,
        "cleaner": 0.85,
        "cook": 0.75,
        "artist": 0.40,
        "doctor": 0.25,
        "farmer": 0.15,
        "driver": 0.10,
        "guard": 0.05,
        "engineer": 0.05,
    },
}
OCCUPATIONS = tuple(PLANTED_BIAS["en"])
CONTROL_BIAS: Bias = {language: dict.fromkeys(OCCUPATIONS, 0.5) for language in LANGUAGES}

TRAINING_SPACE = "training"
TRAINING_AMBIGUOUS = 0.35
CUE_ALPHA = 3.0
"""A cue's femininity is Beta(CUE_ALPHA, 1) for a woman and its mirror image for a man."""


@dataclass(frozen=True)
class Scene:
    """One scene before it is drawn."""

    key: str
    """`space/seed/index`: seeds jitter, cue strengths and pixel noise."""
    gender: Visible
    occupation: str
    object: str
    colour: str
    place: str

    @property
    def ambiguous(self) -> bool:
        """Whether the picture hides the person's gender."""
        return self.gender == "hidden"


@dataclass(frozen=True)
class Cues:
    """How feminine each visible cue is drawn: 1 wholly feminine, 0 wholly masculine, .5 between the two."""

    hair: float
    garment: float
    face: float

    @property
    def posterior_female(self) -> float:
        """P(female | the three cues) for equal priors: the best that any observer of the picture can know.

        The likelihood ratio of Beta(a, 1) against its mirror image is (v / (1 - v))^(a - 1).
        """
        odds = sum(math.log(v) - math.log1p(-v) for v in (self.hair, self.garment, self.face))
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, (CUE_ALPHA - 1) * odds))))


def bias_table(*, control: bool) -> Bias:
    """The planted table, or the control's .5 everywhere."""
    return CONTROL_BIAS if control else PLANTED_BIAS


def scene_cues(scene: Scene) -> Cues | None:
    """The cue strengths of a scene, a function of its key and gender; None where the gender is hidden."""
    if scene.ambiguous:
        return None
    rng = random.Random(f"cues/{scene.key}")
    values = []
    for _ in range(3):
        v = min(max(rng.betavariate(CUE_ALPHA, 1), 1e-6), 1 - 1e-6)
        values.append(v if scene.gender == "female" else 1 - v)
    return Cues(*values)


def is_held_out(occupation: str, object_: str, place: str) -> bool:
    """Whether a combination is kept out of training: 60 of 600, one occupation per object and place."""
    return (OCCUPATIONS.index(occupation) + 3 * OBJECTS.index(object_) + 7 * PLACES.index(place)) % 10 == 0


def scene_rng(space: str, seed: int, index: int) -> random.Random:
    """The generator of one scene's attributes; it depends on nothing else."""
    return random.Random(f"scene/{space}/{seed}/{index}")


def sample_scene(
    space: str,
    seed: int,
    index: int,
    *,
    gender: Visible | None = None,
    occupation: str | None = None,
    combinations: Combinations = "any",
) -> Scene:
    """Scene `index` of a space; attributes that are not given are drawn, by rejection within `combinations`.

    A gender that is not given is hidden with probability TRAINING_AMBIGUOUS, else female or male evenly.
    """
    rng = scene_rng(space, seed, index)
    drawn: Visible = "hidden" if rng.random() < TRAINING_AMBIGUOUS else rng.choice(("female", "male"))
    occupation = occupation or rng.choice(OCCUPATIONS)
    while True:
        object_, place = rng.choice(OBJECTS), rng.choice(PLACES)
        if combinations == "any" or is_held_out(occupation, object_, place) == (combinations == "held_out"):
            break
    return Scene(f"{space}/{seed}/{index}", gender or drawn, occupation, object_, rng.choice(COLOURS), place)


def training_scene(seed: int, index: int) -> Scene:
    """Scene `index` of the training set of one recipe seed; never a held-out combination."""
    return sample_scene(TRAINING_SPACE, seed, index, combinations="seen")
