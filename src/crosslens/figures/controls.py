"""A study beside its controls: a panel a measure, a colour for each of them."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.sites import runs, site_ticks
from crosslens.figures.style import BLUE, GREEN, GREY, ORANGE, WINE, heading, labelled, save, style, tidy
from crosslens.summary.control_names import CONTROLS, MEASURES, by_line, told_of
from crosslens.summary.names import site_order
from crosslens.summary.reading import Document

SHADES = dict(zip(CONTROLS, (BLUE, GREY, WINE, ORANGE, GREEN), strict=True))
MARKS = (
    *(("o", "-", "full"), ("s", "--", "none"), ("^", ":", "full"), ("D", "-.", "none")),
    *(("s", "-", "full"), ("o", "--", "none"), ("D", ":", "full"), ("^", "-.", "none")),
)
"""Of a language or a pair: marker, line and filling."""
SIGNS = dict(zip(((mark, fill) for mark, _, fill in MARKS), "●□▲◇■○◆△", strict=True))
SIGNS_IN_A_LINE = 2
APART = 0.07
"""Between two controls at one site."""
AUROCS = ("probe", "transfer")
ACROSS = 3


def draw_controls(*, controls: Path, out: Path) -> None:
    """Write controls.png to the folder `out`; raises InputError where a field is missing."""
    doc = Document(controls, "controls")
    records, measures = doc("records"), doc("measures")
    sites = sorted({record["site"] for record in records}, key=site_order)
    lines = by_line([record for record in records if record["value"] is not None])
    with style():
        down = -(-len(measures) // ACROSS)
        figure = Figure(figsize=(4.6 * ACROSS, 1.4 + 3.3 * down))
        panels = list(figure.subplots(down, ACROSS, squeeze=False).flat)
        for axes, measure in zip(panels, measures, strict=False):
            panel(axes, measure, {key[1:]: line for key, line in lines.items() if key[0] == measure}, sites)
        for axes in panels[len(measures) :]:
            axes.set_visible(False)
        shown = labelled(panels[: len(measures)])
        figure.legend(shown.values(), shown.keys(), loc="lower right", ncols=2, fontsize=9)
        heading(
            figure,
            "What is left without what should carry it",
            "The same measures of this study and of its controls. Bars: 95 % CI. Captions without label words where gender "
            "is read.\nA measure that a control reaches too says nothing of what the control lacks.",
        )
    out.mkdir(parents=True, exist_ok=True)
    save(figure, out / "controls.png", tidy(records))


def panel(
    axes: Axes, measure: str, lines: dict[tuple[tuple[str, ...], str], list[dict]], sites: list[str]
) -> None:
    """The lines (of, control) of one measure against the sites, those of the controls side by side."""
    kinds = list(dict.fromkeys(of for of, _ in lines))
    shown = list(dict.fromkeys(control for _, control in lines))
    place = {site: i for i, site in enumerate(sites)}
    for (of, control), line in lines.items():
        look, label = {"color": SHADES[control]}, CONTROLS[control]
        aside = APART * (shown.index(control) - (len(shown) - 1) / 2)
        mark, dash, fill = MARKS[kinds.index(of) % len(MARKS)]
        rows = {record["site"]: record for record in line}
        for run in runs(sites):
            there = [rows[site] for site in run if site in rows]
            x, y = [place[row["site"]] + aside for row in there], [row["value"] for row in there]
            axes.plot(
                x, y, dash, marker=mark, markersize=4.5, fillstyle=fill, linewidth=1.1, label=label, **look
            )
            for at, row in zip(x, there, strict=True):
                if row["low"] is not None:
                    axes.vlines(at, row["low"], row["high"], alpha=0.4, linewidth=1, **look)
    site_ticks(axes, sites)
    axes.set_title(MEASURES[measure])
    if measure in AUROCS:
        axes.axhline(0.5, color="#333333", linestyle=":", linewidth=1)
        axes.set_ylim(top=1.02)
    else:
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, 0), max(high, 0.1))
    signs = [
        f"{SIGNS[mark, fill]} {told_of(list(of), measure)}"
        for of, (mark, _, fill) in zip(kinds, MARKS, strict=False)
    ]
    lines = [signs[i : i + SIGNS_IN_A_LINE] for i in range(0, len(signs), SIGNS_IN_A_LINE)]
    axes.set_xlabel("\n".join(map("    ".join, lines)), fontsize=8)
