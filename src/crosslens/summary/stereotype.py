"""The stereotype result as flat records."""

from pathlib import Path
from typing import Any

from crosslens.summary.reading import Document

CLAIMED = ("tilt", "differences")
"""Lists of records that the page claims something of, each a family."""
_COUNTS = ("images", "images_gendered", "units", "captions", "captions_gendered")
_SHARE = ("share", "low", "high", "p", "least_p")


def stereotype_records(path: Path) -> dict[str, list[dict[str, Any]]]:
    """`shares`: one record per language and category; `fits`: per language, planted against measured (None where
    nothing was planted); `tilt`: per language, all captions; `differences`: per language, all categories together;
    `agreement`: per pair of languages. A q is None where nothing was tested, and so is the `q_family` of CLAIMED.
    """
    doc = Document(path, "stereotype")
    shares, fits, tilt, differences = [], [], [], []
    for language in doc("languages"):
        planted = doc("languages", language, "planted")
        for category in doc("languages", language, "categories"):
            found = doc("languages", language, "categories", category)
            value = None if planted is None else planted["shares"].get(category)
            apart = {
                f"difference_{name}": found["difference"][name]
                for name in ("low", "high", "p", "least_p", "q")
            }
            shares.append(
                {"language": language, "category": category, "planted": value}
                | {name: found[name] for name in (*_COUNTS, *_SHARE, "q")}
                | {"difference": found["difference"]["value"]}
                | apart
            )
        fit = ("r", "r_low", "r_high", "mae", "categories")
        fits.append({"language": language} | {name: planted and planted[name] for name in fit})
        rates = ("gendered_rate", "tied_rate", "words_per_caption", *_COUNTS, *_SHARE)
        overall = {name: doc("languages", language, "overall", name) for name in rates}
        tilt.append({"language": language} | overall | _family(overall, "tilt", doc("alpha")))
        whole = doc("languages", language, "differences")
        differences.append({"language": language} | whole | _family(whole, "differences", doc("alpha")))
    return {
        "shares": shares,
        "fits": fits,
        "tilt": tilt,
        "differences": differences,
        "agreement": doc("agreement"),
    }


def _family(test: dict[str, Any], name: str, level: float) -> dict[str, str | None]:
    """Of a test that could reach the level; what could not was not tested, and is in none."""
    return {"q_family": name if test["p"] is not None and test["least_p"] <= level else None}
