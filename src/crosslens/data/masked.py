"""What is left of captions without the words that tell the gender, and how much of it train has told already."""

from collections.abc import Sequence

from crosslens.data.languages import language_of


def masked_words(caption: str, spans: Sequence[Sequence[int]], language: str) -> list[str]:
    """The words of a caption outside `spans` (start, end), in the form in which words are compared."""
    spoken = language_of(language)
    return [
        spoken.normalise(word.text)
        for word in spoken.words(caption)
        if not any(start < word.end and word.start < end for start, end in spans)
    ]


def told_in_train(
    texts: Sequence[str], images: Sequence[str], genders: Sequence[str], splits: Sequence[str]
) -> tuple[int, int]:
    """Test images with a gender, and those of them all of whose masked texts are masked texts of train too.

    One value a row each. Where masking leaves little ("dark skin tone"), such an image brings nothing new to pool but
    what the model has carried over from the masked words.
    """
    rows = list(zip(texts, images, genders, splits, strict=True))
    known = {text for text, _, _, split in rows if split == "train"}
    tested = [(text, image) for text, image, gender, split in rows if split == "test" and gender != "unknown"]
    everyone = {image for _, image in tested}
    return len(everyone), len(everyone - {image for text, image in tested if text not in known})
