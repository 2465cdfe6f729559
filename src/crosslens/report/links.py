"""Features by their number, their own pages, and where others describe them."""

from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from crosslens.report.html import tag
from crosslens.summary.names import neuronpedia_page

FEATURES = "features/index.html"
"""The pages of all features, from where the report is (see crosslens.explorer)."""


def feature_page(corpus: str, site: str, feature: int) -> str:
    """The page of one feature."""
    return f"{FEATURES}#/{quote(site, safe='')}/{quote(corpus, safe='')}/{feature}"


def feature_name(settings: dict[str, Any], corpus: str, site: str, feature: int) -> Markup:
    """`#17`; a link to its page of Neuronpedia where `sae.neuronpedia` of the study's settings says what it is called there."""
    name = Markup("#{}").format(feature)
    page = neuronpedia_page(settings["sae"].get("neuronpedia", {}), corpus, site)
    return tag("a", name, href=f"{page}/{feature}", rel="noreferrer") if page else name
