"""The page's frame, filled in. Everything is escaped; only crosslens.report.html and numbers make markup."""

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup


def _text(name: str) -> str:
    return files("crosslens.report").joinpath(name).read_text(encoding="utf-8")


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
    )
    script = _text("sort.js")
    own = {
        "css": Markup(_text("page.css")),
        "script": Markup(script),
        # the one script that a browser runs here
        "script_digest": "sha256-" + b64encode(sha256(script.encode()).digest()).decode(),
    }
    return environment.get_template("page.html.jinja").render(OF_STUDIES | page | own)
