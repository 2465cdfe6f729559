"""The stereotype result as flat records."""

from pathlib import Path
from typing import Any

from crosslens.summary.reading import Document

_COUNTS = ("images", "images_gendered", "captions", "captions_gendered")
_SHARE = ("share", "low", "high", "p", "least_p", "q")


def stereotype_records(path: Path) -> dict[str, list[dict[str, Any]]]:
    """`shares`: one record per language and category; `fits`: per language, planted against measured (None where
    nothing was planted); `overall`: per language, the tilt; `differences`: per language, all categories together;
    `agreement`: per pair of languages. A q is None where nothing was tested.
    """
    doc = Document(path, "stereotype")
    shares, fits, overall, differences = [], [], [], []
    for language in doc("languages"):
        planted = doc("languages", language, "planted")
        for category in doc("languages", language, "categories"):
            found = doc("languages", language, "categories", category)
            value = None if planted is None else planted["shares"].get(category)
            apart = {f"difference_{name}": found["difference"][name] for name in ("low", "high", *_SHARE[3:])}
            shares.append(
                {"language": language, "category": category, "planted": value}
                | {name: found[name] for name in (*_COUNTS, *_SHARE)}
                | {"difference": found["difference"]["value"]}
                | apart
            )
        fit = ("r", "r_low", "r_high", "mae", "categories")
        fits.append({"language": language} | {name: planted and planted[name] for name in fit})
        rates = ("gendered_rate", "tied_rate", "words_per_caption", *_COUNTS, *_SHARE)
        overall.append({"language": language} | {n: doc("languages", language, "overall", n) for n in rates})
        differences.append({"language": language} | doc("languages", language, "differences"))
    return {
        "shares": shares,
        "fits": fits,
        "overall": overall,
        "differences": differences,
        "agreement": doc("agreement"),
    }
