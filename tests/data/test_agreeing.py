"""What agrees with a person is found by its form for the other gender, and nothing else is."""

import pytest

from crosslens.data.agreeing import agreeing_spans, merged


def hidden(texts, language="ar"):
    """The words that are masked, of all texts."""
    spans = agreeing_spans(texts, language)
    return {text[start:end] for text, found in zip(texts, spans, strict=True) for start, end in found}


@pytest.mark.parametrize(
    ("first", "second", "agree"),
    [
        # occupation, with the article, the accusative and a conjunction on one side
        ("طبيب هنا", "طبيبة هناك", {"طبيب", "طبيبة"}),
        ("والطبيب هنا", "رأينا طبيبة", {"والطبيب", "طبيبة"}),
        ("رساماً", "رسامة", {"رساماً", "رسامة"}),
        # imperfect, future, perfect, plural
        ("يقرأ كتابا", "تقرأ رسالة", {"يقرأ", "تقرأ"}),
        ("سيقرأ", "وتقرأ", {"سيقرأ", "وتقرأ"}),
        ("يجد مفتاحا", "تجد ساعة", {"يجد", "تجد"}),
        ("جلس هنا", "جلست هناك", {"جلس", "جلست"}),
        ("يلعبون", "يلعبن", {"يلعبون", "يلعبن"}),
        ("معلمون", "معلمات", {"معلمون", "معلمات"}),
        # adjectives of colour and hair
        ("أشقر", "شقراء", {"أشقر", "شقراء"}),
        # possessives, also beside the bare noun
        ("كتابه", "كتابها", {"كتابه", "كتابها"}),
        ("سيارتها", "سيارة", {"سيارتها"}),
        ("إنه هنا", "إنها هناك", {"إنه", "إنها"}),
        ("هذا", "هذه", {"هذا", "هذه"}),
        # a thing stays, and what has no counterpart here
        ("وجه جميل", "باب", set()),
        ("بيت", "بي", set()),
        ("طبيبة", "مهندسة", set()),
        ("في المطبخ", "في الحديقة", set()),
    ],
)
def test_a_word_agrees_if_its_counterpart_is_there(first, second, agree):
    assert hidden([first, second]) == agree


def test_a_language_without_forms_masks_nothing():
    assert hidden(["she reads", "he reads"], "en") == set() == hidden(["lit", "lita"], "fr")


def test_spans_of_two_kinds_become_one_list():
    assert merged([(5, 9), (0, 3)], [(0, 3), (7, 12)]) == [(0, 3), (5, 12)]
