"""The page's frame, filled in. Everything is escaped; only crosslens.report.html and numbers make markup."""

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from crosslens.report.html import shown


def _text(name: str) -> str:
    return files("crosslens.report").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """By which a policy knows what stands in the page."""
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()


OF_STUDIES: dict[str, Any] = {"answers": [], "links": []}
"""What pages of other things than studies have none of."""


def render(page: dict[str, Any]) -> str:
    """The whole page; `page` has what page.html.jinja names, but for what may be missing of OF_STUDIES."""
    environment = Environment(
        loader=FunctionLoader(_text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=shown,
    )
    script, css = _text("sort.js"), _text("page.css")
    own = {
        "css": Markup(css),
        "script": Markup(script),
        # the one script that a browser runs here, and the one style sheet
        "script_digest": _digest(script),
        "style_digest": _digest(css),
    }
    return environment.get_template("page.html.jinja").render(OF_STUDIES | page | own)
