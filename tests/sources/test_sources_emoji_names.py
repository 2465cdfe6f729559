"""Names of emoji: the gender of the sequence is the gender of the names, and pairs differ in nothing else."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from crosslens.data.labels import gendered_spans, label
from crosslens.data.languages import language_of
from crosslens.data.lexicons import load_lexicon
from crosslens.data.masked import masked_words
from crosslens.data.splits import assign_splits, keep_together
from crosslens.sources.emoji_names import emoji_names, image_id

emoji = pytest.importorskip("emoji", reason="needs the package emoji")

LEXICONS = Path(__file__).parents[2] / "resources/lexicons"
WORD = {"female": {"woman", "women", "girl"}, "male": {"man", "men", "boy"}}


DETAILS = {
    "en": {"dark", "light", "medium", "medium-dark", "medium-light", "skin", "tone", "facing", "right"},
    "ar": {"بشرة", "بلون", "غامق", "فاتح", "معتدل", "ومعتدل", "مايل", "للغامق", "متجه", "لليمين"},
}
"""Words, as compared, of skin tones and directions."""


def text(name, language):
    return name.en if language == "en" else name.ar


def masked(name, language, lexicon):
    written = text(name, language)
    spans = [(start, end) for start, end, _ in gendered_spans(written, language, lexicon)]
    return " ".join(masked_words(written, spans, language))


@pytest.fixture(scope="module")
def names():
    return emoji_names()


@pytest.fixture(scope="module")
def pairs(names):
    found = {}
    for name in names:
        if name.pair:
            found.setdefault(name.pair, {})[name.gender] = name
    return found


def test_every_fully_qualified_emoji_of_the_package_is_there_once(names):
    emoji.config.load_language("ar")
    known = {
        key
        for key, data in emoji.EMOJI_DATA.items()
        if data["status"] == emoji.STATUS["fully_qualified"] and "ar" in data
    }
    assert {name.emoji for name in names} == known
    assert len({name.image_id for name in names}) == len(names)
    assert [name.image_id for name in names] == sorted(name.image_id for name in names)


def test_names_say_what_the_package_says_up_to_punctuation(names):
    def letters(text):
        return re.findall(r"[^\W_]+", text)

    for name in names:
        said = letters(name.en)
        assert said == (["flag"] if name.category == "flag" else []) + letters(
            emoji.EMOJI_DATA[name.emoji]["en"]
        )
        assert letters(name.ar) == letters(emoji.EMOJI_DATA[name.emoji]["ar"])
        assert re.search("[\u0621-\u064a]", name.ar) and not re.search("[_:]$|__", name.en)


def test_gender_of_the_sequence_is_that_of_the_english_words(names):
    """The words of a person's name are independent of the signs in the sequence."""
    told = Counter()
    for name in names:
        if name.category not in ("activity", "role", "person", "people"):
            assert name.gender == "unknown"
            continue
        words = set(re.findall(r"[a-z]+", name.en.casefold()))
        said = {gender for gender, known in WORD.items() if words & known}
        if said:
            assert name.gender == (said.pop() if len(said) == 1 else "unknown"), name
        told[name.gender, bool(words & (WORD["female"] | WORD["male"]))] += 1
    assert told["female", True] > 600 and told["male", True] > 600
    wordless = {name.en.split(":")[0] for name in names if name.gender != "unknown"} - {
        name.en.split(":")[0]
        for name in names
        if set(re.findall("[a-z]+", name.en)) & (WORD["female"] | WORD["male"])
    }
    assert wordless == {"Mrs. Claus", "Santa Claus", "mermaid", "merman", "prince", "princess"}


@pytest.mark.parametrize("language", ["en", "ar"])
def test_no_lexicon_reads_a_gendered_name_as_the_other_gender(names, language):
    lexicon = load_lexicon(LEXICONS / f"gender_{language}.yaml", language)
    for name in names:
        if name.gender != "unknown":
            assert label(text(name, language), language, lexicon) in (name.gender, "unknown"), name


@pytest.mark.parametrize(
    ("language", "differ"), [("en", {"Claus"}), ("ar", {"كلوز", "طائرة", "حراسة", "بدلة", "كرات", "بحر"})]
)
def test_the_lexicons_of_emoji_know_every_word_that_tells_the_gender(names, pairs, language, differ):
    """Labels are exact, and what is left of two names of a pair without these words is one text, but for `differ`."""
    lexicon = load_lexicon(LEXICONS / f"emoji_{language}.yaml", language)

    assert all(
        label(text(name, language), language, lexicon) == name.gender
        for name in names
        if name.gender != "unknown"
    )
    left = [
        tuple(masked(members[gender], language, lexicon) for gender in WORD) for members in pairs.values()
    ]
    unequal = [(female, male) for female, male in left if female != male]
    known = {language_of(language).normalise(word) for word in differ}
    assert all(any(word in side for word in known for side in both) for both in unequal)
    assert len(unequal) <= 0.06 * len(left)


@pytest.mark.parametrize(("language", "left"), [("en", (8, 4)), ("ar", (75, 38))])
def test_of_so_many_names_masking_leaves_a_tone_at_most(names, language, left):
    """Emoji and groups, of 185 and 80: the README of the example says so."""
    lexicon = load_lexicon(LEXICONS / f"emoji_{language}.yaml", language)
    told, groups = {}, {}
    for name in names:
        if name.gender != "unknown":
            bare = DETAILS[language].issuperset(masked(name, language, lexicon).split())
            told.setdefault(name.unit, set()).add(bare)
            groups.setdefault(name.group, set()).add(bare)
    assert (len(told), len(groups)) == (185, 80)
    assert (sum(found == {True} for found in told.values()), sum(True in g for g in groups.values())) == left


@pytest.mark.parametrize("language", ["en", "ar"])
def test_gendered_names_that_masking_makes_the_same_are_of_one_group(names, language):
    """But for those of which a skin tone or direction is left, or nothing: in Arabic most roles are one word."""
    lexicon = load_lexicon(LEXICONS / f"emoji_{language}.yaml", language)
    groups = {}
    for name in names:
        left = masked(name, language, lexicon)
        if (name.gender != "unknown" or name.category == "people") and not DETAILS[language].issuperset(
            left.split()
        ):
            groups.setdefault(left, set()).add(name.group)
    assert len(groups) > 200 and {left: found for left, found in groups.items() if len(found) > 1} == {}


def test_a_pair_differs_in_gender_only(pairs):
    assert len(pairs) > 600 and sum("-1f3f" not in pair for pair in pairs) >= 90
    same = {"woman": "man", "women": "men", "girl": "boy", "princess": "prince", "mermaid": "merman"}
    different_role = {"Mrs. Claus", "woman dancing"}
    for members in pairs.values():
        female, male = members["female"], members["male"]
        assert (female.category, female.group) == (male.category, male.group)
        assert female.ar != male.ar
        if female.en.split(":")[0] not in different_role:
            swapped = re.sub(r"\w+", lambda word: same.get(word[0], word[0]), female.en)
            assert swapped == male.en


def test_tones_of_a_role_are_one_group_and_leave_with_it(names):
    teachers = {name.en for name in names if name.group == "emoji_1f9d1-200d-1f3eb"}
    assert len(teachers) == 18 and {"teacher", "man teacher", "woman teacher: dark skin tone"} <= teachers
    toneless = emoji_names(skin_tones=False)
    assert set(toneless) < set(names) and {name.group for name in toneless} >= {
        name.group for name in names if name.gender != "unknown"
    }
    assert not any(re.search("skin tone|facing right", name.en) for name in toneless)
    assert all(name.unit == name.image_id for name in toneless)


@pytest.mark.parametrize(
    ("group", "people"),
    [
        ("🧑‍🧑‍🧒", ("👨‍👦", "👨‍👦‍👦", "👨‍👨‍👦", "👩‍👩‍👧‍👧", "👨‍👩‍👧‍👦", "👪", "🧑‍🧒")),
        ("🧑‍❤‍🧑", ("👨‍❤️‍👨", "👩‍❤️‍💋‍👩", "💏🏽", "👩🏻‍❤️‍👨🏿", "💑")),
        ("🧑", ("👩", "👨🏾", "👩‍🦰", "👨🏿‍🦱", "🧑‍🦲", "👱‍♀️", "🧔‍♂️", "🧔")),
        ("🏃", ("🏃‍♀️‍➡️", "🏃🏽‍♂️", "🏃‍➡️")),
        ("🧒", ("👧", "👦🏿")),
        ("🧑‍🤝‍🧑", ("👭", "👬🏽", "👩🏻‍🤝‍👩🏿")),
    ],
)
def test_near_duplicates_are_one_group(names, group, people):
    of = {name.image_id: name.group for name in names}
    assert {of[image_id(emoji)] for emoji in people} == {image_id(group)}


def test_tones_and_directions_are_names_of_one_unit(names):
    running = {name.emoji for name in names if name.unit == image_id("🏃‍♀️")}
    assert len(running) == 12 and {"🏃‍♀️", "🏃🏿‍♀️", "🏃‍♀️‍➡️"} <= running


def test_splits_by_group_keep_every_pair_whole_and_balanced(names, pairs):
    together = keep_together({name.image_id: [name.group] for name in names})
    strata = dict.fromkeys(together.values(), "all")
    assigned = assign_splits(strata, {"train": 0.7, "select": 0.15, "test": 0.15}, 0)
    split = {name.image_id: assigned[together[name.image_id]] for name in names}
    for members in pairs.values():
        assert split[members["female"].image_id] == split[members["male"].image_id]


@pytest.mark.parametrize(
    ("sequence", "english", "arabic", "gender", "category"),
    [
        ("👩🏽‍🏫", "woman teacher: medium skin tone", "معلمة: بشرة بلون معتدل", "female", "role"),
        ("👨🏿‍🦱", "man: dark skin tone, curly hair", None, "male", "role"),
        ("👨‍👩‍👧", "family: man, woman, girl", None, "unknown", "people"),
        ("👨🏻‍❤️‍👨🏿", "couple with heart: man, man, light skin tone, dark skin tone", None, "male", "people"),
        ("🏃‍♀️‍➡️", "woman running facing right", "راكضة متجه لليمين", "female", "activity"),
        ("🇪🇬", "flag: Egypt", "علم مصر", "unknown", "flag"),
        ("👍🏾", "thumbs up: medium-dark skin tone", None, "unknown", "body"),
        ("♀️", "female sign", "رمز أنثى", "unknown", "other"),
        ("🧑‍⚖️", "judge", None, "unknown", "role"),
    ],
)
def test_by_hand(names, sequence, english, arabic, gender, category):
    (name,) = [name for name in names if name.image_id == image_id(sequence)]
    assert (name.en, name.gender, name.category) == (english, gender, category)
    assert arabic in (None, name.ar)


def test_the_snakefile_can_afford_it():
    """Nothing heavy is imported, and the package's tables are read once, however many blocks a study has."""
    code = """
import sys
from pathlib import Path
from crosslens.sources import plan
read, read_bytes = [], Path.read_bytes
Path.read_bytes = lambda path: read.append(path) or read_bytes(path)
names = {"emoji": {"skin_tones": True, "pictures": None, "font": None}, "messages": None}
rows = plan.row_count(names)
plan.identity(names)
for first in range(1, rows, 100):
    plan.block_identity(names, first, first + 99)
assert not {"torch", "numpy", "pandas", "PIL", "emoji"} & sys.modules.keys()
print(rows, *sorted(path.name for path in read))
"""
    rows, *read = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert int(rows) == len(emoji_names()) and read == [
        "emoji.json",
        "emoji.json",
        "emoji_ar.json",
        "emoji_ar.json",
    ]
