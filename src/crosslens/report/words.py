"""What a page calls the unit of its study: that which is split, counted and resampled; and what its languages share."""

from crosslens.summary.reading import Document

PICTURES = {
    "unit": "picture",
    "samples": "captions",
    "of_unit": "texts",
    "resampled": "pictures or prompts",
    "counted": "{images} pictures with {rows} captions in each of {languages}",
    "lead": "captions a language",
    "clean": "Nothing was quarantined: every picture opened.",
    "alone": "the picture alone",
    "before": "the picture and a constant prompt",
    "shared": "The languages see the same pictures: what is shared may be what a picture shows, before any word of a language.",
}
TEXTS = {
    "unit": "text",
    "samples": "variants",
    "of_unit": "variants",
    "resampled": "texts",
    "counted": "{images} texts, {rows} variants in each of {languages}; a variant is called a caption below",
    "lead": "variants a language",
    "clean": "Nothing was quarantined: every text was used.",
    "alone": "the constant prompt alone",
    "before": "the constant prompt alone",
    "shared": "",
}
PROMPTS = {
    "unit": "prompt",
    "samples": "texts",
    "of_unit": "texts",
    "resampled": "prompts",
    "counted": "{images} prompts, {rows} texts that the model wrote, in {languages}",
    "lead": "texts",
    "clean": "Nothing was quarantined: the model wrote to every prompt.",
    "alone": "the prompt alone",
    "before": "the prompt alone",
    "shared": "",
}


def words_of(summary: Document) -> dict[str, str]:
    """PICTURES, TEXTS or PROMPTS, by the sources that a dataset summary names, and `units` and `Units` of it."""
    given = summary("sources", "captions") is not None
    words = PROMPTS if not given else TEXTS if summary("sources", "images") is None else PICTURES
    units = words["unit"] + "s"
    return words | {"units": units, "Units": units.capitalize(), "Resampled": words["resampled"].capitalize()}
