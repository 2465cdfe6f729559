"""Arabic: conjunctions, prepositions, the article and pronouns are written onto the word, vowels and hamza at will."""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from crosslens.data.languages.base import TATWEEL, Affixes, Agreement, Candidate, Language, visible

ARTICLE = "ال"
QUESTION = "أ"
"""The particle that makes a question; before the article it is no letter of its own (آلرجل)."""
PREPOSITIONS = ("ب", "ل", "ك")
FUTURE = "س"
ME = "ني"
"""The one object suffix that nouns do not take."""
PRONOUNS = ("ه", "ها", "هما", "هم", "هن", "ي", ME, "ك", "كما", "كم", "كن", "نا")
"""Possessive and object suffixes."""
ACCUSATIVE = "ا"
"""The alif that carries the accusative tanwin of an indefinite masculine noun."""
_KEYBOARDS = str.maketrans({"ٱ": "ا", "ک": "ك", "ی": "ي", "ے": "ي", "ہ": "ه", "ھ": "ه", "ە": "ه", "ۃ": "ة"})
"""The alif of Koranic spelling and the letters of Persian and Urdu keyboards: letters, also where they are clitics."""
_STEM = 3
_PAIRS = {
    # طبيب / طبيبة, معلمون and معلمين / معلمات, جلس / جلست, جلسوا / جلسن, كانا / كانتا, أشقر / شقراء
    ("", "", "", "ة"): _STEM,
    ("", "ون", "", "ات"): _STEM,
    ("", "ين", "", "ات"): _STEM,
    ("", "ان", "", "تان"): _STEM,
    ("", "ين", "", "تين"): _STEM,
    ("", "", "", "ت"): _STEM,
    ("", "وا", "", "ن"): _STEM,
    ("", "ا", "", "تا"): _STEM,
    ("ا", "", "", "اء"): _STEM,
    # يقرأ / تقرأ, يلعبون / يلعبن
    ("ي", "", "ت", ""): 2,
    ("", "ون", "", "ن"): _STEM,
    # هذا / هذه, ذلك / تلك, الذي / التي, أحد / إحدى
    ("هذ", "ا", "هذ", "ه"): 0,
    ("ذلك", "", "تلك", ""): 0,
    ("لذي", "", "لتي", ""): 0,
    ("احد", "", "احدي", ""): 0,
}
"""Prefix and suffix of a masculine and of a feminine form of one stem, and how many letters it has at least."""
_OWNERS = (("ه", "ها"), ("هم", "هن"))
AGREEMENT = (
    *(
        Agreement(Affixes(*own), Affixes(*other), shortest)
        for pair, shortest in _PAIRS.items()
        for own, other in ((pair[:2], pair[2:]), (pair[2:], pair[:2]))
    ),
    # كتابه / كتابها, and either beside كتاب; سيارتها beside سيارة; له / لها
    *(
        Agreement(Affixes("", own), Affixes("", other), 1)
        for pair in _OWNERS
        for own, other in (pair, pair[::-1])
    ),
    *(
        Agreement(Affixes("", joint + pronoun), Affixes("", bare), _STEM - 1)
        for pair in _OWNERS
        for pronoun in pair
        for joint, bare in (("", ""), ("ت", "ة"))
    ),
)
"""Forms of nouns, participles, adjectives, verbs and possessives that differ with the gender of a person (Ryding 2005, A
Reference Grammar of Modern Standard Arabic, on gender, agreement and pronoun suffixes). What is irregular is not here."""
_ALEFS = str.maketrans({"أ": "ا", "إ": "ا", "آ": "ا", "ى": "ي", "ئ": "ي", "ؤ": "و"})
_RELATES = frozenset(
    "مع من الي علي عن في بين نحو حول خلف وراء امام قرب بجانب بجوار تحت فوق لدي عند ضد مثل غير كل اي هنا هناك هي هذه تلك كانت "
    "وهي ثم لكن بينما حيث صورة لوحة رسم تمثال يد يدا وجه حضن ذراع دور حب قلب صوت قصة حياة ابتسامة عيد عمل عمر اسم".split()
)
"""Normalised words behind which a bare noun is no alternative: prepositions, and nouns that are somebody's."""
_TELLS = frozenset(
    "مع من الي علي عن في بين نحو حول خلف وراء امام قرب بجانب بجوار تحت فوق لدي عند كانت وحيدة شابة جميلة حامل عزباء سعيدة حزينة "
    "مبتسمة عاملة مرضعة متعبة صغيرة كبيرة جديدة عجوز اخري واحدة".split()
)
"""Normalised words that go on about a woman: prepositions, and feminine adjectives."""
_VERB = re.compile(r"[تي]\w{2,}(?<!ة)(?<!ا)(?<!ات)(?<!ين)|\w{3,}(?<!ا)ت")
"""Normalised: the imperfect of the third person, and the perfect of the feminine one."""
_DEFINITE = re.compile(r"[وفبك]?ال\w{3,}|لل\w{2,}")
_CARRIERS = ("ؤ", "ئ")
_SHORT_VOWELS = frozenset("\u064e\u064f\u0650\u0652")
"""Fatha, damma, kasra, sukun."""
_SHORT = 2
_LEAST_BEHIND = {"ب": 3, "ل": 3, "ك": 3, "ف": 4, "س": 4}
"""Letters of a stem behind a proclitic that stands next to it: no lexicon tells بنت, كلب and سيد from ب + نت, ك + لب and
س + يد. ف is rare before nouns, س stands before verbs only, and لرجل ("of a man") is common in captions."""


class Arabic(Language):
    """Its spellings fall together for matching, and a lexicon says which of a word's readings are words."""

    def letters(self, word: str) -> str:
        """A word without diacritics, tatweel and what is invisible; letters stay as written, but for other keyboards'.

        Hamza and madda that belong to a letter are letters here, not marks: they compose under NFKC first.
        """
        composed = unicodedata.normalize("NFKC", visible(word)).translate(_KEYBOARDS)
        return "".join(c for c in composed if c != TATWEEL and unicodedata.category(c) != "Mn")

    def normalise(self, word: str) -> str:
        """The alef and hamza-carrier forms and ya/alef maqsura fall together.

        Ta marbuta stays apart from ha, because it tells ممرضة (a nurse) from ممرضه (his nurse).
        """
        return self.letters(word).translate(_ALEFS)

    def spell(self, prefixes: tuple[str, ...]) -> str | None:
        """Of ل and the article only the two ل are written: للرجل."""
        if prefixes[-2:] in ((QUESTION, ARTICLE), (FUTURE, ARTICLE)):
            return None
        return "".join(prefixes).replace("ل" + ARTICLE, "لل")

    def readings_behind(self, prefixes: tuple[str, ...], rest: str) -> Iterator[Candidate]:
        """What may stand behind these proclitics.

        A noun with the article takes neither a possessive suffix nor the accusative alif, and behind a preposition no
        noun takes the latter (كاميرا is a camera, not "like a prince"). The article is written with a bare alif (so آلام
        "pains" is not the أم "mother"), and before a pronoun a ت may be an opened ta marbuta (ابنتها is ابنة + ها) and a
        hamza has the carrier of its vowel (نساؤهم and نسائهم are نساء + هم). Of three ل two are written: للغة is also
        ل + ال + لغة.
        """
        if ARTICLE in prefixes:
            yield Candidate(rest, prefixes, "")
            if prefixes[-2:] == ("ل", ARTICLE):
                yield Candidate("ل" + rest, prefixes, "")
            return
        for reading in super().readings_behind(prefixes, rest):
            if reading.suffix == ACCUSATIVE and not set(PREPOSITIONS).isdisjoint(prefixes):
                continue
            yield reading
            if reading.suffix in ("", ACCUSATIVE, ME):
                continue
            if reading.stem.endswith("ت"):
                yield reading._replace(stem=reading.stem[:-1] + "ة")
            if reading.stem.endswith(_CARRIERS):
                yield reading._replace(stem=reading.stem[:-1] + "ء")

    def fits(self, candidate: Candidate, letters: str) -> bool:
        """What normalisation must not merge: a hamza may be left out but not turned into a madda.

        مرآة is a mirror and no مرأة, آب is August and no أب. In two letters under a clitic even the omission is too
        ambiguous: لاب is the "lap" of a laptop, لأب is for a father; the article alone is harmless (الاب).
        """
        if any(a == "آ" and b != "آ" for a, b in zip(candidate.stem, letters, strict=True)):
            return False
        if len(letters) > _SHORT or candidate.stem[0] == letters[0]:
            return True
        return not candidate.suffix and candidate.prefixes[-1:] in ((), (ARTICLE,))

    def sounds(self, word: str, candidate: Candidate, listed: str) -> bool:
        """No letter but the last, whose vowel is a case, has another short vowel than in the listed word: رِجل is a leg and no
        رَجُل, ذُكِر "mentioned" and no ذَكَر."""
        written, own = _vowels(word), _vowels(listed)
        start = len(written) - len(candidate.suffix) - len(candidate.stem)
        stem = written[max(start, 0) :][: len(own)]
        return len(stem) < len(own) or not any(
            mine and its and mine != its for mine, its in zip(stem[:-1], own[:-1], strict=True)
        )

    def joinable(self, before: str, after: str) -> bool:
        """Two nouns, both with an article or both without (سيارة أم شاحنة): neither speaks of a mother, as in صورة أم,
        تجلس أم and أم تحمل, أم مع, أم وابنها."""
        first, second = (self.normalise(word) for word in (before, after))
        if first in _RELATES or second in _TELLS or second.startswith("و"):
            return False
        if _VERB.fullmatch(first) or _VERB.fullmatch(second):
            return False
        return bool(_DEFINITE.fullmatch(first)) == bool(_DEFINITE.fullmatch(second))

    def is_word(self, written: str, wanted: str) -> bool:
        """A hamza may be left out as `fits` has it, and a short word is not looked for behind a letter that is more often
        its first (باب is no أب, فكرة no كرة, though بيد may be "by hand"): name such a form itself."""
        same, letters = self.normalise(wanted), self.letters(wanted)
        return self.letters(written) == letters or any(
            self.normalise(reading.stem) == same
            and len(reading.stem) >= _LEAST_BEHIND.get("".join(reading.prefixes[-1:]), 0)
            and self.fits(reading, letters)
            for reading in _with_article(self.candidates(written))
        )


def _vowels(word: str) -> list[str]:
    """Of each of its letters the short vowel or sukun that is written, else nothing."""
    found: list[str] = []
    for char in unicodedata.normalize("NFKC", visible(word)):
        if char in _SHORT_VOWELS:
            found[-1:] = [char] if found else []
        elif char != TATWEEL and unicodedata.category(char) != "Mn":
            found.append("")
    return found


def _with_article(readings: Iterable[Candidate]) -> Iterator[Candidate]:
    """The readings, and those with an article once more with it as a part of the stem: المرأة in للمرأة."""
    for reading in readings:
        yield reading
        if ARTICLE in reading.prefixes:
            yield reading._replace(stem=ARTICLE + reading.stem, prefixes=reading.prefixes[:-1])


ROMANISATION = str.maketrans(
    "ءآأؤإئابةتثجحخدذرزسشصضطظعغـفقكلمنهوىيًٌٍَُِّْٰٱپچڤگ،؛؟", "CMOWIQAbptvjHxdVrzscSDTZEg_fqklmnhwYyFNKaui~oeLPJBG,;?"
)
"""Letter by letter: the Safe Buckwalter scheme, as CAMeL Tools' reference "Encoding schemes" prints it."""

LANGUAGE = Arabic(
    name="Arabic (العربية)",
    right_to_left=True,
    proclitics=((QUESTION,), ("و", "ف"), (*PREPOSITIONS, FUTURE), (ARTICLE,)),
    enclitics=(ACCUSATIVE, *PRONOUNS),
    case_endings=(ACCUSATIVE,),
    agreement=AGREEMENT,
    asking=frozenset({"هل", "سواء", "اهو", "اهي", "اهذا", "اهذه", "اكان", "اكانت", "ايهما"}),
    romanisation={chr(letter): chr(latin) for letter, latin in ROMANISATION.items()},
    shortest_stem=2,  # أم, أب, هو
    opening="من خلال تجربتي،",
    ask_without_gender="صف الصورة دون أن تذكر إن كان أحد رجلا أو امرأة.",
    caption_column="arabic_prompt",
    colour="#DE8F05",
    characters_per_token=2.6,
    characters_basis="measured on 2026-11-20, tokenizer of gemma-3-270m (the one of all Gemma 3) on 1,000 drawn captions",
)
