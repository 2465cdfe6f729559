"""Features by their number, their own pages, and where others describe them."""

from collections.abc import Container
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from crosslens.report.html import tag
from crosslens.summary.names import neuronpedia_page

FEATURES = "features/index.html"
"""The pages of all features, from where the report is (see crosslens.explorer)."""


PAGES = {
    "page": ("index.html", "The page: all tables and figures"),
    "write_up": ("summary.html", "The same in words and tables alone"),
    "feature_pages": (FEATURES, "All features, each on a page of its own"),
    "live": ("live/index.html", "The model, live"),
}
"""Kind of artifact -> where it is, from where the report is, and what a reader finds there."""


def links_from(kind: str, files: Container[str]) -> list[tuple[str, str]]:
    """(address, words) of the other pages; the page itself is always there, the others where they are among `files`."""
    there = [name for name in PAGES if name != kind and (name == "page" or name in files)]
    return [PAGES[name] for name in there]


def feature_page(corpus: str, site: str, feature: int) -> str:
    """The page of one feature."""
    return f"{FEATURES}#/{quote(site, safe='')}/{quote(corpus, safe='')}/{feature}"


def feature_name(settings: dict[str, Any], corpus: str, site: str, feature: int) -> Markup:
    """`#17`; a link to its page of Neuronpedia where `sae.neuronpedia` of the study's settings says what it is called there."""
    name = Markup("#{}").format(feature)
    page = neuronpedia_page(settings["sae"].get("neuronpedia", {}), corpus, site)
    return tag("a", name, href=f"{page}/{feature}", rel="noreferrer") if page else name
