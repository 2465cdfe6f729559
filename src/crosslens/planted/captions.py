"""English and Arabic captions of a scene: templates, their exact distribution, and parsing back into slots.

In Arabic noun, verb, pronoun and demonstrative agree with the person, the adjective with the *object*.
English marks the person only. One English template (`neutral`) leaves the gender out.
"""

import itertools
import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from crosslens.planted.scenes import (
    COLOURS,
    OBJECT_GENDER,
    OBJECTS,
    OCCUPATIONS,
    PLACES,
    Bias,
    Gender,
    Language,
    Scene,
)

PROMPTS: dict[Language, tuple[str, ...]] = {
    "en": ("Describe the picture.", "What is in this picture?"),
    "ar": ("صف الصورة.", "ماذا في هذه الصورة؟"),
}
"""User turns the model is trained on; the first of each language is the usual one."""

EN_ACTION = {
    "book": "reading",
    "phone": "holding",
    "key": "finding",
    "cup": "washing",
    "chair": "moving",
    "car": "washing",
    "apple": "eating",
    "bag": "carrying",
    "flower": "holding",
    "clock": "carrying",
}
AR_OCCUPATION = {
    "nurse": ("ممرض", "ممرضة"),
    "teacher": ("معلم", "معلمة"),
    "cleaner": ("منظف", "منظفة"),
    "cook": ("طباخ", "طباخة"),
    "artist": ("رسام", "رسامة"),
    "doctor": ("طبيب", "طبيبة"),
    "farmer": ("فلاح", "فلاحة"),
    "driver": ("سائق", "سائقة"),
    "guard": ("حارس", "حارسة"),
    "engineer": ("مهندس", "مهندسة"),
}
"""occupation -> (masculine, feminine) noun."""
AR_ACTION = {
    "book": ("يقرأ", "تقرأ"),
    "phone": ("يمسك", "تمسك"),
    "key": ("يجد", "تجد"),
    "cup": ("يغسل", "تغسل"),
    "chair": ("ينقل", "تنقل"),
    "car": ("يغسل", "تغسل"),
    "apple": ("يأكل", "تأكل"),
    "bag": ("يحمل", "تحمل"),
    "flower": ("يمسك", "تمسك"),
    "clock": ("يحمل", "تحمل"),
}
"""object -> verb in the (masculine, feminine) third person."""
AR_OBJECT = {
    "book": "كتاب",
    "phone": "هاتف",
    "key": "مفتاح",
    "cup": "كوب",
    "chair": "كرسي",
    "car": "سيارة",
    "apple": "تفاحة",
    "bag": "حقيبة",
    "flower": "زهرة",
    "clock": "ساعة",
}
AR_COLOUR = {
    "red": ("أحمر", "حمراء"),
    "blue": ("أزرق", "زرقاء"),
    "green": ("أخضر", "خضراء"),
    "yellow": ("أصفر", "صفراء"),
}
"""colour -> adjective for a grammatically (masculine, feminine) object."""
AR_PLACE = {
    "kitchen": "المطبخ",
    "street": "الشارع",
    "park": "الحديقة",
    "office": "المكتب",
    "school": "المدرسة",
    "market": "السوق",
}
EN_FEMALE, EN_MALE = frozenset({"woman", "female", "her", "she"}), frozenset({"man", "male", "his", "he"})


def _accusative(noun: str) -> str:
    """Indefinite accusative: a masculine noun takes an alif, one in ة does not."""
    return noun if noun.endswith("ة") else noun + "ا"


def _possessed(noun: str, owner: Gender) -> str:
    """The noun with 'her' or 'his' suffixed; a final ة opens to ت."""
    stem = noun[:-1] + "ت" if noun.endswith("ة") else noun
    return stem + ("ها" if owner == "female" else "ه")


def _adjective_index(object_: str) -> int:
    return int(OBJECT_GENDER[object_] == "feminine")


AR_FEMALE = frozenset(
    {"امرأة", "تعمل", "هذه", "إنها"}
    | {clitic + verb for _, verb in AR_ACTION.values() for clitic in ("", "و")}
    | {clitic + noun for _, noun in AR_OCCUPATION.values() for clitic in ("", "ال")}
)
AR_MALE = frozenset(
    {"رجل", "يعمل", "هذا", "إنه"}
    | {clitic + verb for verb, _ in AR_ACTION.values() for clitic in ("", "و")}
    | {clitic + noun for noun, _ in AR_OCCUPATION.values() for clitic in ("", "ال")}
    | {_accusative(noun) for noun, _ in AR_OCCUPATION.values()}
)


@dataclass(frozen=True)
class Caption:
    """One caption of a scene and how probable it is."""

    text: str
    template: str
    gender: Gender | None
    """What the words say; None for a neutral caption."""
    probability: float


@dataclass(frozen=True)
class Slots:
    """What a caption says, read from its words; None where it says nothing."""

    gender: Gender | None
    mixed: bool
    """Whether both female and male words occur (a majority decides `gender`)."""
    occupation: str | None
    object: str | None
    colour: str | None
    place: str | None
    adjective_gender: str | None
    """Grammatical gender that the Arabic adjective shows; None in English."""


def _article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _render_en(scene: Scene, template: str, gender: Gender) -> str:
    woman, object_ = gender == "female", scene.object
    doing, thing = EN_ACTION[object_], f"a {scene.colour} {object_}"
    where, job = f"in the {scene.place}", scene.occupation
    person = "woman" if woman else "man"
    match template:
        case "plain":
            return f"a {person} is {doing} {thing} {where}."
        case "adjective":
            return f"a {'female' if woman else 'male'} {job} is {doing} {thing} {where}."
        case "possessive":
            return f"the {job} is {doing} {'her' if woman else 'his'} {scene.colour} {object_} {where}."
        case "works":
            return f"{where} a {person} who works as {_article(job)} is {doing} {_article(object_)}."
        case "pronoun":
            return f"this is {_article(job)}. {'she' if woman else 'he'} is {doing} {thing} {where}."
        case "neutral":
            return f"the {job} is {doing} {thing} {where}."
    raise ValueError(f"unknown English template {template!r}; known: {', '.join(TEMPLATES['en'])}")


def _render_ar(scene: Scene, template: str, gender: Gender) -> str:
    woman = gender == "female"
    verb, job = AR_ACTION[scene.object][woman], AR_OCCUPATION[scene.occupation][woman]
    noun, where = AR_OBJECT[scene.object], "في " + AR_PLACE[scene.place]
    thing = f"{_accusative(noun)} {AR_COLOUR[scene.colour][_adjective_index(scene.object)]}"
    person = "امرأة" if woman else "رجل"
    match template:
        case "plain":
            return f"{person} {verb} {thing} {where}."
        case "occupation":
            return f"{job} {verb} {thing} {where}."
        case "possessive":
            return f"ال{job} {verb} {_possessed(noun, gender)} {where}."
        case "works":
            works = "تعمل" if woman else "يعمل"
            return f"{where} {person} {works} {_accusative(job)} و{verb} {_accusative(noun)}."
        case "pronoun":
            this, is_ = ("هذه", "إنها") if woman else ("هذا", "إنه")
            return f"{this} {job}. {is_} {verb} {thing} {where}."
    raise ValueError(f"unknown Arabic template {template!r}; known: {', '.join(TEMPLATES['ar'])}")


_RENDER: dict[Language, Callable[[Scene, str, Gender], str]] = {"en": _render_en, "ar": _render_ar}
TEMPLATES: dict[Language, dict[str, int]] = {
    "en": {"plain": 4, "adjective": 3, "possessive": 2, "works": 3, "pronoun": 2, "neutral": 1},
    "ar": {"plain": 4, "occupation": 4, "possessive": 2, "works": 3, "pronoun": 2},
}
"""language -> template -> weight, in units of 1/15."""
NEUTRAL = "neutral"


def render(scene: Scene, language: Language, template: str, gender: Gender) -> str:
    """The caption in one template with the person called `gender`, whatever the picture shows."""
    return _RENDER[language](scene, template, gender)


def probability_female(scene: Scene, language: Language, bias: Bias) -> float:
    """P(a caption calls the person a woman): 1 or 0 when visible, the planted value when hidden."""
    if scene.ambiguous:
        return bias[language][scene.occupation]
    return float(scene.gender == "female")


def caption_distribution(scene: Scene, language: Language, p_female: float) -> list[Caption]:
    """Every caption of the grammar for this scene (11 English, 10 Arabic); probabilities sum to 1."""
    total = sum(TEMPLATES[language].values())
    captions = []
    for template, weight in TEMPLATES[language].items():
        if template == NEUTRAL:
            text = render(scene, language, template, "female")
            captions.append(Caption(text, template, None, weight / total))
            continue
        for gender, p in (("female", p_female), ("male", 1 - p_female)):
            text = render(scene, language, template, gender)
            captions.append(Caption(text, template, gender, weight / total * p))
    return captions


def caption_genders(language: Language) -> list[Gender | None]:
    """What each caption of `caption_distribution` says of the person, in its order."""
    genders: list[Gender | None] = []
    for template in TEMPLATES[language]:
        genders += [None] if template == NEUTRAL else ["female", "male"]
    return genders


def draw_caption(scene: Scene, language: Language, bias: Bias, rng: random.Random) -> Caption:
    """One caption from `caption_distribution`; languages drawn separately are independent."""
    options = caption_distribution(scene, language, probability_female(scene, language, bias))
    return rng.choices(options, [option.probability for option in options])[0]


def entropy(captions: list[Caption]) -> float:
    """Shannon entropy of a caption distribution, nats per caption."""
    return -sum(c.probability * math.log(c.probability) for c in captions if c.probability > 0)


def parse(text: str, language: Language) -> Slots:
    """Read the slots back from whole words of a caption, the model's or a template's."""
    words = re.findall(r"\w+", text)
    present = set(words)
    forms = _FORMS[language]
    female, male = (sum(word in forms["gender"][gender] for word in words) for gender in ("female", "male"))

    def find(slot: str) -> str | None:
        return next((value for value, listed in forms[slot].items() if present & listed), None)

    return Slots(
        gender=None if female == male else "female" if female > male else "male",
        mixed=bool(female and male),
        occupation=find("occupation"),
        object=find("object"),
        colour=find("colour"),
        place=find("place"),
        adjective_gender=find("adjective_gender"),
    )


def is_grammatical(text: str, language: Language) -> bool:
    """Whether the grammar writes this very text of some scene, whatever the scene's gender."""
    slots = parse(text, language)
    every = (OCCUPATIONS, OBJECTS, COLOURS, PLACES)
    said = (slots.occupation, slots.object, slots.colour, slots.place)
    options = [[value] if value else list(values) for value, values in zip(said, every, strict=True)]
    return any(
        text == render(Scene("", "hidden", *values), language, template, gender)
        for values in itertools.product(*options)
        for template in TEMPLATES[language]
        for gender in ("female", "male")
    )


def _occupation_forms(occupation: str) -> set[str]:
    masculine, feminine = AR_OCCUPATION[occupation]
    return {masculine, feminine, "ال" + masculine, "ال" + feminine, _accusative(masculine)}


def _object_forms(object_: str) -> set[str]:
    noun = AR_OBJECT[object_]
    return {noun, _accusative(noun), _possessed(noun, "female"), _possessed(noun, "male")}


_FORMS: dict[Language, dict[str, dict[str, frozenset[str] | set[str]]]] = {
    "en": {
        "gender": {"female": EN_FEMALE, "male": EN_MALE},
        "occupation": {value: {value} for value in OCCUPATIONS},
        "object": {value: {value} for value in OBJECTS},
        "colour": {value: {value} for value in COLOURS},
        "place": {value: {value} for value in PLACES},
        "adjective_gender": {},
    },
    "ar": {
        "gender": {"female": AR_FEMALE, "male": AR_MALE},
        "occupation": {value: _occupation_forms(value) for value in OCCUPATIONS},
        "object": {value: _object_forms(value) for value in OBJECTS},
        "colour": {value: set(AR_COLOUR[value]) for value in COLOURS},
        "place": {value: {AR_PLACE[value]} for value in PLACES},
        "adjective_gender": {
            "masculine": {masculine for masculine, _ in AR_COLOUR.values()},
            "feminine": {feminine for _, feminine in AR_COLOUR.values()},
        },
    },
}
"""language -> slot -> what it says -> the words that say so."""
