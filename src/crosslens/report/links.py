"""Features by their number, and where others describe them."""

from typing import Any

from markupsafe import Markup

from crosslens.report.html import tag
from crosslens.summary.names import neuronpedia_page


def feature_name(settings: dict[str, Any], corpus: str, site: str, feature: int) -> Markup:
    """`#17`; a link to its page of Neuronpedia where `sae.neuronpedia` of the study's settings says what it is called there."""
    name = Markup("#{}").format(feature)
    page = neuronpedia_page(settings["sae"].get("neuronpedia", {}), corpus, site)
    return tag("a", name, href=f"{page}/{feature}", rel="noreferrer") if page else name
