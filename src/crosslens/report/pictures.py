"""Figures as data: URIs with their size, caption and alternative text."""

import base64
import struct
from dataclasses import dataclass, replace
from pathlib import Path

from crosslens.errors import InputError
from crosslens.summary.names import corpus_name, site_name

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """One figure as the page shows it."""

    src: str
    width: int
    """CSS pixels: half the file's, which is drawn for high-density screens."""
    height: int
    caption: str
    alt: str
    plot: str = ""
    """Where it can be looked into, from where the report is; empty: nowhere."""


def load_pictures(
    figures: dict[str, Path], captions: dict[str, str], words: dict[str, str], plots: Path | None = None
) -> dict[str, Picture]:
    """Name to picture. A name is that of a figure of the study (`quality`), of a layer (`4/training`) or of a
    corpus at a layer (`joint/4/pareto`). captions: figure -> words, with fields of `words`, which are those of
    crosslens.report.words. plots: the folder `plots`, where there is one.

    Raises InputError for an unknown name, a missing file, and a file that is no PNG.
    """
    pictures = {name: _load(name, Path(path), captions, words) for name, path in figures.items()}
    there = {name for name in pictures if plots is not None and (plots / f"{name}.html").is_file()}
    return {
        name: replace(shown, plot=f"plots/{name}.html") if name in there else shown
        for name, shown in pictures.items()
    }


def _load(name: str, path: Path, captions: dict[str, str], words: dict[str, str]) -> Picture:
    place, _, figure = name.rpartition("/")
    corpus, _, site = place.rpartition("/")
    if figure not in captions:
        raise InputError(
            "figures",
            found=name,
            expected=f"one of {sorted(captions)}, with `site/` or `corpus/site/` before",
            mend="rename it",
        )
    if not path.is_file():
        raise InputError(path, found="no such file", expected="a PNG", mend="draw it with snakemake")
    data = path.read_bytes()
    if not data.startswith(_SIGNATURE) or data[12:16] != b"IHDR":
        raise InputError(path, found="no PNG", expected="a PNG", mend="draw it with snakemake")
    width, height = struct.unpack(">II", data[16:24])
    where = ", ".join([*([site_name(site)] if site else []), *([corpus_name(corpus)] if corpus else [])])
    says = captions[figure].format(**words)
    caption = f"{where[:1].upper()}{where[1:]}. {says}" if where else says
    return Picture(
        src="data:image/png;base64," + base64.b64encode(data).decode("ascii"),
        width=round(width / 1.5),
        height=round(height / 1.5),
        caption=caption,
        alt=f"{caption} The numbers are in the tables of this section.",
    )
