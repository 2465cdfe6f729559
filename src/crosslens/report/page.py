"""The page's template, filled in. Everything is escaped; only crosslens.report.numbers makes markup."""

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from crosslens.report.numbers import interval, number, plain
from crosslens.summary.names import corpus_name, language_name, site_name


def _text(name: str) -> str:
    return files("crosslens.report").joinpath(name).read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    """jinja2 with autoescape and no undefined names."""
    made = Environment(
        loader=FunctionLoader(_text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "number": number,
        "plain": plain,
        "site_name": site_name,
        "corpus_name": corpus_name,
        "language_name": language_name,
    }
    made.globals["interval"] = interval
    return made


def render(view: dict[str, Any]) -> str:
    """The whole page; `view` has what page.html.jinja names."""
    return environment().get_template("page.html.jinja").render(view | {"css": Markup(_text("page.css"))})
