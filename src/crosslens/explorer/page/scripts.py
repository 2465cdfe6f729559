"""How data are told to the scripts of the page."""

import math
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np

from crosslens.tables.scripts import write_script


def provide(out: Path, name: str, value: Any) -> None:
    """Write `value` as `data/{name}.js`, which hands it to the page under that name."""
    write_script(out, "Explorer.give", name, value)


def packed(values: np.ndarray) -> str:
    """(n) float32 in little-endian bytes as base64, NaN where there is no value."""
    return b64encode(np.asarray(values, dtype="<f4").tobytes()).decode("ascii")


def short(value: Any) -> float | str | None:
    """A number to six digits; None of NaN and None, `inf` or `-inf` of what has no end, which JSON cannot say."""
    if value is None or math.isnan(value):
        return None
    return float(f"{value:.6g}") if math.isfinite(value) else str(float(value))


def in_utf16(text: str, positions: list[int]) -> list[int]:
    """Positions in characters (code points) as those in units of UTF-16, by which scripts of a page count."""
    if text.isascii() or max(text, default="") <= "\uffff":
        return positions
    units = [0]
    for character in text:
        units.append(units[-1] + (2 if character > "\uffff" else 1))
    return [units[at] for at in positions]
