"""Gendered words: the traps of substring matching, clitics, labels, and the lexicon files."""

import pytest
import yaml
from data_tables import LEXICONS, RELAXED
from hypothesis import given
from hypothesis import strategies as st

from crosslens.data.labels import gender_counts, gendered_spans, label
from crosslens.data.lexicons import load_lexicon
from crosslens.errors import InputError
from crosslens.planted.captions import caption_distribution, parse
from crosslens.planted.scenes import LANGUAGES, training_scene

LEXICON = {path.stem: load_lexicon(path) for path in LEXICONS.glob("*.yaml")}
EN, AR, PLANTED_AR = LEXICON["gender_en"], LEXICON["gender_ar"], LEXICON["planted_ar"]


@pytest.mark.parametrize(
    "text",
    [
        "The other person in the theatre reads this.",
        "Many humans walk on a man-made bridge near Manchester.",
        "A female-led, male-dominated team of salespersons.",
        "A kid, a nurse and their friend adhere to the theme.",
        "A cowboy hat on a king size bed.",
    ],
)
def test_english_substrings_and_modifiers_are_no_gender(text):
    assert gendered_spans(text, "en", EN) == []


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("The Woman's bag", [(4, 11, "female")]),
        ("his ex-wife", [(0, 3, "male"), (4, 11, "female")]),
        ("he’s here", [(0, 4, "male")]),
        ("his mother-in-law", [(0, 3, "male"), (4, 17, "female")]),
        ("the boys' room", [(4, 8, "male")]),
        ("MA'AM", [(0, 5, "female")]),
    ],
)
def test_english_spans(text, spans):
    assert gendered_spans(text, "en", EN) == spans


@pytest.mark.parametrize(
    "word",
    # in front of, white, green, other, is found, prams, August, pains, laptop, face, found her, mirror, the mirror
    "أمام أبيض أخضر أخرى يوجد عربات آب آلام لاب وجه وجدها مرآة المرآة".split()
    # lobby, pastime, as for, in safety, dog, by bicycle, her book, pair, very, plain, children, and she gave birth
    + "بهو لهو أما آمنا كلب بدراجة كتابها زوج جدا سادة أطفال وولدت".split()
    # legs, of security, for the night (with one ل too many), asked me
    + "أرجل أمني للليل سألني".split(),
)
def test_arabic_look_alikes_are_no_gender(word):
    assert AR.gender_of(word) is None


@pytest.mark.parametrize(
    ("gender", "forms"),
    [
        (
            "female",
            "أم الأم الام أُمّ أمها وأمه امرأة إمرأة امرأةً المرأة والمرأة للمرأة كالسيدة فتاة الفتاة طفلة طفلتها ابنته وابنتها",
        ),
        ("female", "هي وهي أخت أخته الجدة جدتها زوجة زوجته والدته بنات وبناتها شابّة نساء"),
        (
            "male",
            "رجل رَجُلٌ رجـــل رجلاً رجلا الرجل للرجل والرجال ولد ولدها طفل فتى الفتى هو فهو أب لأب أبوها أخيه والد والده زوجها شاب",
        ),
    ],
)
def test_arabic_words_with_their_clitics(gender, forms):
    assert {form: AR.gender_of(form) for form in forms.split()} == dict.fromkeys(forms.split(), gender)


def test_an_arabic_span_covers_the_clitics():
    text = "الطبيبُ والممرضة يقرآن."
    assert gendered_spans(text, "ar", PLANTED_AR) == [(0, 7, "male"), (8, 16, "female")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a woman and her dog and a man", "female"),
        ("a woman and a man", "unknown"),
        ("a person", "unknown"),
        ("", "unknown"),
        ("he is a man", "male"),
    ],
)
def test_the_majority_is_the_label_and_a_tie_is_unknown(text, expected):
    assert label(text, "en", EN) == expected


def test_counts_come_with_the_number_of_all_words():
    assert gender_counts("The woman reads her book to him.", "en", EN) == (2, 1, 7)


@given(st.text(max_size=60), st.text("he womans'-رجلمأةهوي", max_size=60))
@RELAXED
def test_any_text_is_counted_within_its_words(anything, near):
    for language, lexicon in (("en", EN), ("ar", AR)):
        counts = gender_counts(anything + near, language, lexicon)
        assert 0 <= counts.female + counts.male <= counts.words


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_planted_lexicon_knows_every_agreeing_word_of_the_grammar(language):
    lexicon = LEXICON[f"planted_{language}"]
    for index in range(100):
        scene = training_scene(0, index)
        texts = {c.text: c.gender for c in caption_distribution(scene, language, 0.5)}
        for text, gender in texts.items():
            assert (
                label(text, language, lexicon)
                == (gender or "unknown")
                == (parse(text, language).gender or "unknown")
            )
            assert {found for _, _, found in gendered_spans(text, language, lexicon)} == (
                {gender} if gender else set()
            )


def masked(text, language):
    for start, end, _ in reversed(gendered_spans(text, language, LEXICON[f"planted_{language}"])):
        text = text[:start] + text[end:]
    return text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_masked_planted_caption_no_longer_tells_the_gender(language):
    for index in range(100):
        captions = caption_distribution(training_scene(0, index), language, 0.5)
        by_template = {}
        for caption in captions:
            by_template.setdefault(caption.template, set()).add(masked(caption.text, language))
        assert all(len(texts) == 1 for texts in by_template.values())


@pytest.mark.parametrize("name", sorted(LEXICON))
def test_shipped_lexicons_name_their_source_and_match_their_own_words(name):
    document = yaml.safe_load((LEXICONS / f"{name}.yaml").read_text(encoding="utf-8"))
    assert (
        document["sources"]
        and document["licence"]
        and f"`{name}.yaml`" in (LEXICONS / "README.md").read_text()
    )
    lexicon = LEXICON[name]
    entries = [entry for listed in lexicon.entries.values() for entry in listed]
    assert all(lexicon.gender_of(entry.letters) == entry.gender for entry in entries)
    shown = f"{len(lexicon)} ({sum(e.gender == 'female' for e in entries)} / {sum(e.gender == 'male' for e in entries)})"
    assert f"| {shown} |" in (LEXICONS / "README.md").read_text()


HEAD = 'schema: 1\nkind: gender_lexicon\nlanguage: "ar"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("schema: 1\nkind: words\n", "kind: gender_lexicon"),
        ("- a\n", "kind: gender_lexicon"),
        ("a: [", "YAML"),
        (HEAD, "no groups"),
        (HEAD + "extra: 1\ngroups: []", "key extra"),
        (HEAD + "groups:\n- {name: g, femal: [x]}", "key femal in group g"),
        (HEAD + 'groups:\n- {name: g, prefixes: ["ز"], female: ["أم"]}', "prefixes ز in group g"),
        (HEAD + 'groups:\n- {name: g, female: ["أم"], male: ["أم"]}', "as female and as male"),
        (HEAD + 'groups:\n- {name: g, female: ["أم"], male: ["ام"]}', "both genders"),
        (
            HEAD + 'groups:\n- {name: g, female: ["أم"]}\n- {name: h, prefixes: ["و"], female: ["أم"]}',
            "two groups",
        ),
        (HEAD + "groups:\n- {name: g, male: [no]}", "False"),
        (HEAD + 'groups:\n- {name: g, in_questions: "no", female: ["أم"]}', "in_questions"),
        (HEAD + 'groups:\n- {name: g, female: ["أم"]}\nphrases: {both: ["أم"]}', "key both in phrases"),
        (
            HEAD + 'groups:\n- {name: g, female: ["أم"]}\nphrases: {male: ["أم لا"], neutral: ["أم لا"]}',
            "two kinds",
        ),
        (
            'schema: 1\nkind: gender_lexicon\nlanguage: "en"\ngroups:\n- {name: g, male: [man]}',
            "language 'en'",
        ),
    ],
)
def test_a_faulty_lexicon_is_refused(tmp_path, text, said):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="mine.yaml") as caught:
        load_lexicon(path, "ar")
    assert said in str(caught.value)


def test_a_missing_lexicon_is_refused(tmp_path):
    with pytest.raises(InputError, match="FileNotFoundError"):
        load_lexicon(tmp_path / "none.yaml")
