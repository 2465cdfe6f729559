"""Short labels beside points, so that none covers another or a point."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

_ANGLES = np.deg2rad([40, 140, 320, 220, 90, 270, 0, 180])
_BEYOND = (5.5, 11.0, 18.0, 27.0, 38.0, 51.0)
"""Distances from a marker's edge to a label's centre that are tried, in points."""


def place_labels(
    axes: Axes, points: Sequence[tuple[float, float]], texts: Sequence[str], radii: Sequence[float], **words
) -> None:
    """Write each text near its point (data coordinates), joined to it by a thin line where it had to move away.

    radii: of the markers, in points. words: of `Axes.annotate`. The figure must have its final layout: what is free is
    decided in pixels, greedily, in the order given.
    """
    figure = axes.figure
    dots = figure.dpi / 72
    pixels = axes.transData.transform(np.asarray(points, dtype=float).reshape(-1, 2))
    taken = [
        _box(pixel, 2 * dots * radius, 2 * dots * radius) for pixel, radius in zip(pixels, radii, strict=True)
    ]
    inside = axes.get_window_extent()
    for point, pixel, text, radius in zip(points, pixels, texts, radii, strict=True):
        label = axes.annotate(
            text, point, xytext=(0, 0), textcoords="offset points", ha="center", va="center", **words
        )
        size = label.get_window_extent()
        places = [(radius + r) * np.array([np.cos(a), np.sin(a)]) for r in _BEYOND for a in _ANGLES]
        boxes = [_box(pixel + dots * place, size.width, size.height) for place in places]
        free = [_free(box, taken, inside) for box in boxes]
        chosen = free.index(True) if True in free else 0
        label.set_position(places[chosen])
        taken.append(boxes[chosen])
        if chosen >= len(_ANGLES):
            axes.annotate(
                "",
                point,
                xytext=places[chosen],
                textcoords="offset points",
                arrowprops={
                    "arrowstyle": "-",
                    "color": "0.6",
                    "linewidth": 0.6,
                    "shrinkA": 4,
                    "shrinkB": radius,
                },
            )


def _box(centre: np.ndarray, width: float, height: float) -> Bbox:
    return Bbox.from_bounds(centre[0] - width / 2, centre[1] - height / 2, width, height)


def _free(box: Bbox, taken: list[Bbox], inside: Bbox) -> bool:
    within = inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
    return within and not any(box.overlaps(other) for other in taken)
