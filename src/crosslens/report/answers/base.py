"""What an answer is, and the little figure beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from markupsafe import Markup

from crosslens.data.languages import language_of
from crosslens.report.html import tag
from crosslens.report.numbers import plain, score_words


class Dot(NamedTuple):
    """A value of the figure, with its interval and what chance gives, where they are known."""

    label: str
    value: float
    low: float | None
    high: float | None
    chance: tuple[float, float] | None
    language: str
    """Whose colour it has."""


@dataclass(frozen=True)
class Answer:
    """A question and what the study says to it."""

    question: str
    kind: str
    """As of a finding: found, null, description or warning (not tested, or not asked)."""
    verdict: str
    lines: Sequence[str] = ()
    dots: Sequence[Dot] = ()
    axis: str = ""
    """What the dots are."""
    evidence: str = ""
    """Anchor of the section that holds it."""

    @property
    def figure(self) -> Markup:
        """Empty where nothing was measured."""
        return _figure(self.dots, self.axis) if self.dots else Markup("")


@dataclass(frozen=True)
class Scale:
    """From a value to per cent of the width."""

    dots: Sequence[Dot] = field(repr=False)

    @property
    def ends(self) -> tuple[float, float]:
        """0 to 1 where all lies within; else what holds all, and 0."""
        known = [
            x
            for dot in self.dots
            for x in (dot.value, dot.low, dot.high, *(dot.chance or ()))
            if x is not None
        ]
        low, high = min(0.0, *known), max(0.0, *known)
        return (0.0, 1.0) if low >= 0 and 0.3 < high <= 1 else (low, high * 1.05 or 1.0)

    def at(self, value: float) -> str:
        """`42.00%`."""
        low, high = self.ends
        return f"{100 * (value - low) / (high - low):.2f}%"

    def between(self, low: float, high: float) -> str:
        """As a style."""
        first, last = self.ends
        return f"left:{self.at(low)};width:{100 * (high - low) / (last - first):.2f}%"


def _figure(dots: Sequence[Dot], axis: str) -> Markup:
    scale = Scale(dots)
    rows = []
    for dot in dots:
        marks = []
        if dot.chance is not None:
            marks.append(tag("i", class_="chance", style=scale.between(*dot.chance)))
        if dot.low is not None and dot.high is not None:
            marks.append(tag("i", class_="range", style=scale.between(dot.low, dot.high)))
        marks.append(tag("i", class_="value", style=f"left:{scale.at(dot.value)}"))
        told = score_words(dot._asdict())
        rows.append(
            tag(
                "li",
                tag("span", dot.label, class_="name"),
                tag(
                    "span",
                    *marks,
                    class_="track",
                    aria_hidden="true",
                    style=f"color:{language_of(dot.language).colour}",
                ),
                tag("span", told, class_="told"),
            )
        )
    low, high = scale.ends
    chance = "; grey: what chance gives" if any(dot.chance for dot in dots) else ""
    return tag(
        "figure",
        tag("ul", *rows, class_="dots"),
        tag("figcaption", f"{axis}, from {plain(low, 1)} to {plain(high, 1)}; line: 95 % CI{chance}."),
        class_="answer",
    )
