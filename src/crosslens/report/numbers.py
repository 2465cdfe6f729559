"""How numbers are shown: rounded for the eye, with the exact value of the results file in the markup."""

from typing import Any

from markupsafe import Markup, escape

MISSING = Markup('<span class="missing">not measured</span>')


def plain(value: float | int | None, digits: int = 3) -> str:
    """`0.98765` to `0.988`, `12345` to `12,345`, None to `not measured`."""
    if value is None:
        return "not measured"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if value != 0 and abs(value) < 10**-digits / 2:
        return (f"{value:.1g}" if abs(value) >= 1e-4 else f"{value:.0e}").replace("-", "−")
    return f"{value:,.{digits}f}".replace("-", "−")


def number(value: float | int | None, digits: int = 3) -> Markup:
    """The same as markup: `<data value="0.98765">0.988</data>`."""
    if value is None:
        return MISSING
    return Markup('<data value="{}">{}</data>').format(repr(value), plain(value, digits))


def interval(low: float | None, high: float | None, digits: int = 3) -> Markup:
    """` [low, high]`, empty where there is none."""
    if low is None or high is None:
        return Markup("")
    return Markup(' <span class="ci">[{}, {}]</span>').format(number(low, digits), number(high, digits))


def percent(value: float | None, digits: int = 1) -> Markup:
    """A share as per cent, with the share itself in the markup."""
    if value is None:
        return MISSING
    return Markup('<data value="{}">{} %</data>').format(repr(value), escape(plain(100 * value, digits)))


def bracketed(record: dict[str, Any], name: str, digits: int = 3) -> str:
    """` [low, high]` of `{name}_low` and `{name}_high` in words, empty where there is none."""
    low, high = record[f"{name}_low"], record[f"{name}_high"]
    return "" if low is None or high is None else f" [{plain(low, digits)}, {plain(high, digits)}]"


def score_words(score: dict[str, Any] | None, nothing: str = "not measured") -> str:
    """`0.50 [0.40, 0.60]` of `value`, `low` and `high` in words; `nothing` where there is none."""
    if score is None or score["value"] is None:
        return nothing
    bounds = "" if score["low"] is None else f" [{plain(score['low'], 2)}, {plain(score['high'], 2)}]"
    return plain(score["value"], 2) + bounds


def percent_words(share: dict[str, float | None], digits: int = 1) -> str:
    """`94.8 % [91.4, 96.9]` of `value`, `low` and `high`, which are shares; `an unknown share` where there is none."""
    if share["value"] is None:
        return "an unknown share"
    value, low, high = (f"{100 * share[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} % [{low}, {high}]"


def level_words(level: float) -> str:
    """`0.05` to `.05`."""
    return f"{level:g}".removeprefix("0")
