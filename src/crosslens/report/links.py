"""Features by their number, and where others describe them."""

from typing import Any

from markupsafe import Markup

from crosslens.report.html import tag

NEURONPEDIA = "https://www.neuronpedia.org"


def feature_name(settings: dict[str, Any], corpus: str, site: str, feature: int) -> Markup:
    """`#17`; a link to its page of Neuronpedia where `sae.neuronpedia` of the study's settings says what it is called there."""
    name = Markup("#{}").format(feature)
    called = settings["sae"].get("neuronpedia", {}).get(corpus, {}).get(site)
    return tag("a", name, href=f"{NEURONPEDIA}/{called}/{feature}", rel="noreferrer") if called else name
