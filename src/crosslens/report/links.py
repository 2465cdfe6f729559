"""Features by their number, their own pages, and where others describe them."""

from collections.abc import Container
from urllib.parse import quote

from markupsafe import Markup

from crosslens.report.html import tag
from crosslens.report.sections.base import Results
from crosslens.report.table import Column
from crosslens.summary.names import neuronpedia_page

FEATURES = "features/index.html"
"""The pages of all features, from where the report is (see crosslens.explorer)."""
LAYERS = (f"{FEATURES}#/layers", "Layers, SAEs and languages side by side")
"""Of the same pages."""
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
    return [link for name in there for link in (PAGES[name], LAYERS)[: 1 + (name == "feature_pages")]]


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
