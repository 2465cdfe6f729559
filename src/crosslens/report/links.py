"""Features by their number, their own pages, and where others describe them."""

from urllib.parse import quote

from markupsafe import Markup

from crosslens.report.html import tag
from crosslens.report.sections.base import Results
from crosslens.report.table import Column
from crosslens.summary.names import neuronpedia_page

FEATURES = "features/index.html"
"""The pages of all features, from where the report is (see crosslens.explorer)."""


def layer_page(site: str) -> str:
    """The page of one layer."""
    return f"{FEATURES}#/{quote(site, safe='')}"


def feature_page(corpus: str, site: str, feature: int) -> str:
    """The page of one feature."""
    return f"{FEATURES}#/{quote(site, safe='')}/{quote(corpus, safe='')}/{feature}"


def feature_name(results: Results, corpus: str, site: str, feature: int) -> Markup:
    """`#17`, a link to its page; of a study without such pages to that of Neuronpedia, where `sae.neuronpedia` of the settings
    says what the SAE is called there."""
    name = Markup("#{}").format(feature)
    if "feature_pages" in results.files:
        return tag("a", name, href=feature_page(corpus, site, feature))
    page = neuronpedia_page(results.settings["sae"].get("neuronpedia", {}), corpus, site)
    return tag("a", name, href=f"{page}/{feature}", rel="noreferrer") if page else name


def feature_column(results: Results, style: str = "n") -> Column:
    """The feature that a row is of, which has `corpus` and `site`."""
    return Column(
        "feature",
        lambda row: feature_name(results, row["corpus"], row["site"], row["feature"]),
        style,
    )
