"""Figures as data: URIs with their size, caption and alternative text."""

import base64
import struct
from dataclasses import dataclass
from pathlib import Path

from crosslens.errors import InputError
from crosslens.summary.names import corpus_name, site_name

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
CAPTIONS = {
    "quality": "Explained variance beside its baselines, L0, and cross-entropy recovered against zeros and the mean, per layer.",
    "probes": "AUROC of linear gender probes per layer, beside chance, shuffled labels and a control task.",
    "stereotype": "Share of captions that say woman for {units} that hide the gender, measured and planted.",
    "transfer": "AUROC of the gender direction of each language in each language, per layer and condition.",
    "retrieval": "How often a caption's translation is found first among all {units}, and CKA, per layer, beside chance.",
    "training": "Training curves: loss, FVU, L0 and dead features.",
    "density": "How often features fire: histogram of log10 firing frequency.",
    "decoder": "How alike features are: the largest cosine of each decoder row with another, beside random directions.",
    "pareto": "Settings compared: what each leaves unexplained and keeps of the cross-entropy, against L0.",
    "gender_features": "The features chosen as most female and most male, with their effect on test.",
    "effect_sizes": "Effect of gender on each feature in one language against the other.",
}


@dataclass(frozen=True)
class Picture:
    """One figure as the page shows it."""

    src: str
    width: int
    """CSS pixels: half the file's, which is drawn for high-density screens."""
    height: int
    caption: str
    alt: str


def load_pictures(figures: dict[str, Path], words: dict[str, str]) -> dict[str, Picture]:
    """Name to picture. A name is that of a figure of the study (`quality`), of a layer (`4/training`) or of a
    corpus at a layer (`joint/4/pareto`); `words` as of `words_of`.

    Raises InputError for an unknown name, a missing file, and a file that is no PNG.
    """
    return {name: _load(name, Path(path), words) for name, path in figures.items()}


def _load(name: str, path: Path, words: dict[str, str]) -> Picture:
    place, _, figure = name.rpartition("/")
    corpus, _, site = place.rpartition("/")
    if figure not in CAPTIONS:
        raise InputError(
            "figures",
            found=name,
            expected=f"one of {sorted(CAPTIONS)}, with `site/` or `corpus/site/` before",
            mend="rename it",
        )
    if not path.is_file():
        raise InputError(path, found="no such file", expected="a PNG", mend="draw it with snakemake")
    data = path.read_bytes()
    if not data.startswith(_SIGNATURE) or data[12:16] != b"IHDR":
        raise InputError(path, found="no PNG", expected="a PNG", mend="draw it with snakemake")
    width, height = struct.unpack(">II", data[16:24])
    where = ", ".join([*([site_name(site)] if site else []), *([corpus_name(corpus)] if corpus else [])])
    says = CAPTIONS[figure].format(**words)
    caption = f"{where[:1].upper()}{where[1:]}. {says}" if where else says
    return Picture(
        src="data:image/png;base64," + base64.b64encode(data).decode("ascii"),
        width=round(width / 1.5),
        height=round(height / 1.5),
        caption=caption,
        alt=f"{caption} The numbers are in the tables of this section.",
    )
