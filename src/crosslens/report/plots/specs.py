"""Which figures have such a page, and how it shows the rows of their CSV file."""

from typing import NamedTuple


class Plot(NamedTuple):
    """How the rows of one figure are shown."""

    title: str
    views: tuple[tuple[str, str, str], ...]
    """(name, column across, column up) to choose from; those whose columns a figure lacks are left out."""
    axes: tuple[str, str] = ("", "")
    """Words of both axes, with fields of the columns in `panels`; empty: the columns' names."""
    panels: tuple[str, ...] = ()
    """Columns whose values tell rows apart that are not shown together."""
    colours: tuple[str, ...] = ()
    """Columns to colour points by."""
    value: str = ""
    """Column of the number of a cell; empty: the rows are points."""
    only: tuple[str, str] = ("", "")
    """Column and the value that the rows have which are shown."""
    zero: bool = False
    """Of cells: whether numbers lie to both sides of 0."""
    links: bool = False
    """Whether the column `feature` leads to a feature's page."""


PLOTS = {
    "effect_sizes": Plot(
        "Effect of gender on each feature in two languages",
        (("Cohen's d on test", "d_first", "d_second"),),
        axes=("Cohen's d of gender in {first}, test", "in {second}"),
        panels=("first", "second", "condition"),
        colours=("status",),
        only=("table", "features"),
        links=True,
    ),
    "sharing": Plot(
        "Shared and specific features",
        (("correlation of activations, by selectivity", "token_selectivity", "r"),),
        axes=(
            "selectivity a token: 1 fires in {first} alone, −1 in {second} alone",
            "r of its activations on captions of the same pictures or texts",
        ),
        panels=("first", "second"),
        colours=("shared", "specific"),
        links=True,
    ),
    "samples_map": Plot(
        "Samples in the plane",
        (("PCA", "pca_x", "pca_y"), ("t-SNE", "tsne_x", "tsne_y"), ("UMAP", "umap_x", "umap_y")),
        colours=("gender", "language", "category"),
    ),
    "decoder_map": Plot(
        "Decoder rows in the plane",
        (("PCA", "pca_x", "pca_y"), ("t-SNE", "tsne_x", "tsne_y"), ("UMAP", "umap_x", "umap_y")),
        panels=("corpus",),
        colours=("gender", "language"),
        links=True,
    ),
    "specialists": Plot(
        "Score of the best feature of each category",
        (("category, by layer", "category", "site"),),
        panels=("corpus", "language"),
        value="score",
        zero=True,
    ),
    "transfer": Plot(
        "AUROC of the gender direction of one language in another",
        (("tried in, by layer", "target", "site"),),
        panels=("source", "condition", "method"),
        value="auroc",
    ),
    "patching": Plot(
        "Recovery R of patched states",
        (("positions, by block", "positions", "layer"),),
        panels=("swap", "language", "kind"),
        value="recovery",
        zero=True,
    ),
    "patched_heads": Plot(
        "Recovery R of single heads at the last position",
        (("head, by block", "node", "layer"),),
        panels=("swap", "language"),
        value="recovery",
        zero=True,
    ),
    "attention": Plot(
        "Where each head looks",
        (("head, by block", "head", "layer"),),
        panels=("language", "score"),
        value="value",
    ),
}
"""Stem of the figure -> its page."""
