"""English and Arabic names of emoji (Unicode CLDR, by way of the package `emoji`), with the gender that is drawn.

Standard library only: the Snakefile needs the rows before anything runs.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from crosslens.errors import InputError

_ZWJ, _VARIATION = "\u200d", "\ufe0f"
_FACING = f"{_ZWJ}➡"
_SIGNS = {f"{_ZWJ}♀": "female", f"{_ZWJ}♂": "male"}
_PEOPLE = {
    "👩": ("female", "🧑"),
    "👨": ("male", "🧑"),
    "👧": ("female", "🧒"),
    "👦": ("male", "🧒"),
    "👵": ("female", "🧓"),
    "👴": ("male", "🧓"),
    "👸": ("female", "🫅"),
    "🤴": ("male", "🫅"),
    "🤶": ("female", "🧑‍🎄"),
    "🎅": ("male", "🧑‍🎄"),
    "🤰": ("female", "🫄"),
    "🫃": ("male", "🫄"),
    "💃": ("female", "💃"),
    "🕺": ("male", "💃"),
    "👭": ("female", "🧑‍🤝‍🧑"),
    "👬": ("male", "🧑‍🤝‍🧑"),
    "👫": (None, "🧑‍🤝‍🧑"),
    "🧕": ("female", "🧕"),
    "💑": (None, "🧑‍❤‍🧑"),
    "💏": (None, "🧑‍❤‍💋‍🧑"),
    "👪": (None, "🧑‍🧑‍🧒"),
    "👯": (None, "🧑‍🐰‍🧑"),
    "🤼": (None, "🧑‍🫯‍🧑"),
}
"""Drawn people: gender if any, and what stands for the same without one (the neutral emoji where there is one)."""
_TONE = re.compile("[\U0001f3fb-\U0001f3ff]")
_FAMILY = re.compile(f"[🧑🧒](?:{_ZWJ}[🧑🧒])+")
_HAIR = re.compile(f"👱|🧔|🧑{_ZWJ}[\U0001f9b0-\U0001f9b3]")
"""Persons of whom the sequence tells the hair or the beard."""
_REGION = re.compile("^(?:[\U0001f1e6-\U0001f1ff]{2}$|🏴\U000e0067)")
_LISTED = re.compile(r" ((?:(?:man|woman|boy|girl|person|adult|child)(?: |$)){2,})")
_COMPONENT, _FULLY_QUALIFIED = 1, 2


class EmojiName(NamedTuple):
    """One emoji and what it is called."""

    emoji: str
    image_id: str
    """`emoji_` and its code points in hexadecimal, without variation selectors."""
    en: str
    ar: str
    gender: str
    """What is drawn: `female` or `male` where everyone in the sequence is, else `unknown`."""
    category: str
    """By the sequence: `people` (several), `activity` (drawn with either sex sign), `role` (one person joined to a
    thing), `person` (just that), `body` (whatever else has skin tones, hands most of all), `flag`, or `other`."""
    unit: str
    """The image id of the same without skin tone and direction: the unit of analysis."""
    group: str
    """Shared by names that say nearly the same, in all tones and directions: woman, man and person of one role; all
    families; couples, kissing or not; persons by their hair. An image id, without gender."""
    pair: str
    """Shared by a female and a male emoji that differ in nothing else; empty where there is no such two."""


@cache
def emoji_names(*, skin_tones: bool = True) -> tuple[EmojiName, ...]:
    """Every fully qualified emoji of the installed package, in the order of its image ids.

    `skin_tones` false leaves out the variants of a unit: those that a tone or direction was chosen for. Names are CLDR's
    with the punctuation that the package drops put back ("man: medium skin tone, curly hair"); flags get CLDR's
    "flag: ", as Arabic has it.
    Raises InputError without the package.
    """
    english, arabic = (json.loads(path.read_bytes()) for path in _files())
    components = [key for key, data in english.items() if data["status"] == _COMPONENT]
    details = (
        _details([english[key]["en"] for key in components]),
        _details([arabic[key] for key in components]),
    )
    known = [key for key, data in english.items() if data["status"] == _FULLY_QUALIFIED]
    signed = {key[0] for key in known if any(sign in key for sign in _SIGNS)}
    toned = {key[0] for key in known if _TONE.search(key)}
    found = []
    for emoji in known:
        unit = _unit(emoji)
        if not skin_tones and unit != emoji:
            continue
        neutral, gender = _neutral(emoji)
        role = _unit(neutral)
        name = _punctuate(english[emoji]["en"], details[0])
        found.append(
            EmojiName(
                emoji,
                image_id(emoji),
                f"flag: {name}" if _REGION.match(emoji) else name,
                _punctuate(arabic[emoji], details[1]),
                gender,
                _category(role, signed, toned),
                image_id(unit),
                image_id(_alike(role)),
                image_id(neutral),
            )
        )
    return tuple(sorted(_paired(found), key=lambda name: name.image_id))


@cache
def package_identity() -> list[Any]:
    """What decides the names: the package's version and the sha256 of its English and Arabic tables."""
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in _files()]
    return ["emoji", importlib.metadata.version("emoji"), *digests]


def image_id(emoji: str) -> str:
    """`emoji_1f469-200d-1f3eb` for a woman teacher."""
    return "emoji_" + "-".join(f"{ord(char):x}" for char in emoji if char != _VARIATION)


def _files() -> tuple[Path, Path]:
    """English and Arabic table of the package; not imported, as its import reads one of them already."""
    spec = importlib.util.find_spec("emoji")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "source.names.emoji",
            found="no Python package 'emoji'",
            expected="the package with the names of emoji",
            mend="pip install emoji",
        )
    folder = Path(spec.submodule_search_locations[0]) / "unicode_codes"
    return folder / "emoji.json", folder / "emoji_ar.json"


def _neutral(emoji: str) -> tuple[str, str]:
    """The sequence without gender, and the gender that was in it."""
    genders = set()
    neutral = emoji.replace(_VARIATION, "")
    for sign, gender in _SIGNS.items():
        if sign in neutral:
            genders.add(gender)
            neutral = neutral.replace(sign, "")
    for char, (gender, without) in _PEOPLE.items():
        if char in neutral:
            neutral = neutral.replace(char, without)
            if gender:
                genders.add(gender)
    return neutral, genders.pop() if len(genders) == 1 else "unknown"


def _unit(emoji: str) -> str:
    return _TONE.sub("", emoji).replace(_FACING, "")


def _alike(role: str) -> str:
    """One role for all whose names differ in little but gender; in different splits they would be near duplicates."""
    if _FAMILY.fullmatch(role):
        return "🧑‍🧑‍🧒"
    if _HAIR.fullmatch(role):
        return "🧑"
    return role.replace(f"{_ZWJ}💋", "")


def _category(neutral: str, signed: set[str], toned: set[str]) -> str:
    if _REGION.match(neutral):
        return "flag"
    people = sum(map(neutral.count, "🧑🧒"))
    if people > 1:
        return "people"
    if neutral[0] in signed:
        return "activity"
    if people and len(neutral) > 1:
        return "role"
    if any(neutral == without for _, without in _PEOPLE.values()):
        return "person"
    return "body" if neutral[0] in toned else "other"


def _details(components: list[str]) -> re.Pattern[str]:
    """What CLDR writes after the colon: names of skin tones and kinds of hair, the longest first."""
    names = sorted((name.strip(":").replace("_", " ") for name in components), key=len, reverse=True)
    return re.compile(rf" ({'|'.join(map(re.escape, names))})(?!\w)")


def _punctuate(name: str, details: re.Pattern[str]) -> str:
    """`:man_medium_skin_tone_curly_hair:` as "man: medium skin tone, curly hair"."""
    text = name.strip(":").replace("_", " ")
    text = _LISTED.sub(lambda match: ": " + ", ".join(match[1].split()) + " ", text).strip()
    text = details.sub(r", \1", text)
    return text if ": " in text else text.replace(", ", ": ", 1)


def _paired(names: list[EmojiName]) -> list[EmojiName]:
    """`pair` is left to those of which there is exactly one female and one male."""
    genders: dict[str, list[str]] = {}
    for name in names:
        genders.setdefault(name.pair, []).append(name.gender)
    pairs = {pair for pair, found in genders.items() if found.count("female") == found.count("male") == 1}
    return [
        name if name.pair in pairs and name.gender != "unknown" else name._replace(pair="") for name in names
    ]
