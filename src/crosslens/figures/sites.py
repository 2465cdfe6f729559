"""Sites along an axis: few by name, many by number, and no line from one kind of site to another."""

from collections.abc import Iterator

from matplotlib.axes import Axes

from crosslens.summary.names import site_name, site_order

NAMED = 36
"""Characters of names that fit under an axis; with more it numbers the blocks."""


def site_ticks(axes: Axes, sites: list[str]) -> None:
    """Label the x axis with `sites`, which stand at 0, 1, 2 …"""
    names = [site_name(site) for site in sites]
    if sum(map(len, names)) <= NAMED:
        axes.set_xticks(range(len(sites)), names)
    else:
        short = [site.replace("_", "\n").replace(".", "\n") for site in sites]
        axes.set_xticks(range(len(sites)), short, fontsize=8)
        axes.set_xlabel("block")
    axes.set_xlim(-0.4, len(sites) - 0.6)


def runs(sites: list[str]) -> Iterator[list[str]]:
    """The sites of each kind by depth: residual stream after a block, attention output, …; a line joins one run."""
    kinds = dict.fromkeys(site.partition(".")[2] for site in sites)
    for kind in kinds:
        yield sorted((site for site in sites if site.partition(".")[2] == kind), key=site_order)
