"""A text with each token's activation shown behind it, cut by character offsets so that no letter is lost."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from crosslens.errors import InputError
from crosslens.tokens.text_map import clusters

_borders = lru_cache(maxsize=1 << 14)(clusters)
"""Of texts that are shown for one feature after the other."""


@dataclass(frozen=True)
class Piece:
    """A stretch of text with one activation."""

    text: str
    value: float | None
    """The feature's activation on this stretch; None where it does not fire."""
    opacity: float
    """0 to 1: the value on the feature's scale; 0 where it does not fire."""


def pieces(text: str, spans: Iterable[tuple[int, int, float]], scale: float) -> list[Piece]:
    """`text` cut at the borders of `spans` (start, end, activation), in characters, half-open.

    The pieces joined are the text. Where spans overlap (several byte-level tokens of one character) the largest
    activation counts, and characters are whole as a reader sees them. `scale` is the activation that gets full opacity.
    """
    # Cut before a vowel sign a browser would draw it on a dotted circle, and cut inside an emoji two others.
    starts = _borders(text)
    lit: list[tuple[int, int, float]] = []
    for start, end, value in spans:
        if not 0 <= start <= end <= len(text):
            raise InputError(
                "span of a top example",
                found=f"[{start}, {end})",
                expected=f"characters within [0, {len(text)})",
                mend="give the dataset that the activations were computed from",
            )
        if value > 0 and end > start:
            lit.append((starts[bisect_right(starts, start) - 1], starts[bisect_left(starts, end)], value))
    # every border of a span is a cut: a piece lies in a span or beside it
    cuts = sorted({0, len(text), *(border for start, end, _ in lit for border in (start, end))})
    values = [
        max((value for low, high, value in lit if low <= start < high), default=0.0) for start in cuts[:-1]
    ]
    return [
        Piece(text[start:end], value or None, round(min(value / scale, 1.0), 3) if scale > 0 else 0.0)
        for start, end, value in zip(cuts, cuts[1:], values, strict=False)
    ]
