"""The stereotype result as flat records."""

from pathlib import Path
from typing import Any

from crosslens.summary.reading import Document


def stereotype_records(path: Path) -> dict[str, list[dict[str, Any]]]:
    """`shares`: one record per language and category; `fits`: per language, planted against measured (None where
    nothing was planted); `overall`: per language; `agreement`: per pair of languages.
    """
    doc = Document(path, "stereotype")
    shares, fits, overall = [], [], []
    names = ("images", "images_gendered", "captions", "captions_gendered", "share", "low", "high", "q")
    for language in doc("languages"):
        planted = doc("languages", language, "planted")
        for category in doc("languages", language, "categories"):
            numbers = {name: doc("languages", language, "categories", category, name) for name in names}
            value = None if planted is None else planted["shares"].get(category)
            shares.append({"language": language, "category": category, "planted": value} | numbers)
        fit = ("r", "r_low", "r_high", "mae", "categories")
        fits.append({"language": language} | {name: planted and planted[name] for name in fit})
        rates = ("gendered_rate", "tied_rate", "words_per_caption", *names[:-1])
        overall.append({"language": language} | {n: doc("languages", language, "overall", n) for n in rates})
    return {"shares": shares, "fits": fits, "overall": overall, "agreement": doc("agreement")}
