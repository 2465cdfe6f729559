"""The figure of a sweep shows every setting at its numbers, with labels that can be read."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from test_layer_figures import words

from crosslens.figures.pareto import draw_sweep_figure, pareto_figure, sweep_frame
from crosslens.tables.documents import read_json


def numbers(axes) -> list:
    """The labels that stand beside points."""
    return [text for text in axes.texts if text.get_text().isdigit()]


def test_points_line_and_ring_are_those_of_the_file(drawn_study):
    path = drawn_study.sweeps["2"]["joint"]
    sweep = read_json(path, "sweep")
    figure = pareto_figure(*sweep_frame(path))
    for axes, column in zip(figure.axes, ("fvu", "ce_recovered"), strict=True):
        points = [line.get_xydata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
        np.testing.assert_allclose(points, [[s["l0"], s[column]] for s in sweep["settings"]])
        assert [text.get_text() for text in numbers(axes)] == ["1", "2", "3", "4", "5"]
        (ring,) = [scatter for scatter in axes.collections if scatter.get_gid() == "recommended"]
        chosen = next(s for s in sweep["settings"] if s["name"] == sweep["recommended"])
        np.testing.assert_allclose(ring.get_offsets(), [[chosen["l0"], chosen[column]]])
    (line,) = [line for axes in figure.axes for line in axes.lines if line.get_gid() == "pareto"]
    front = [[s["l0"], s["fvu"]] for s in sweep["settings"] if s["pareto"]]
    np.testing.assert_allclose(line.get_xydata(), front)
    key = [text.get_text() for text in figure.legends[0].get_texts()]
    assert key == [
        f"{i}  the study's own, topk" if s["name"] == "study" else f"{i}  {s['name']}"
        for i, s in enumerate(sweep["settings"], 1)
    ]
    said = words(figure)
    assert "joint SAE, block 2" in figure.get_label()
    assert f"n = {max(o['tokens'] for s in sweep['settings'] for o in s['languages'].values()):,}" in said


def crowd(n: int) -> pd.DataFrame:
    """n settings in clusters at three values of L0, as a sweep over k with several architectures gives."""
    rng = np.random.default_rng(1)
    architectures = ["topk", "batchtopk", "matryoshka", "jumprelu"]
    k = np.repeat([16, 32, 64], -(-n // 3))[:n]
    fvu = 0.5 * k**-0.4 * (1 + 0.02 * rng.standard_normal(n))
    return pd.DataFrame(
        {
            "name": [f"{architectures[i % 4]}-k_{k[i]}-d_sae_{2 ** (14 + i % 3)}" for i in range(n)],
            "architecture": [architectures[i % 4] for i in range(n)],
            "l0": k * (1 + 0.01 * rng.standard_normal(n)),
            "fvu": fvu,
            "ce_recovered": 1 - 0.3 * fvu,
            "pareto": False,
            "passes": np.arange(n) % 3 > 0,
            "recommended": np.arange(n) == 4,
        }
    )


@pytest.mark.parametrize("n", [1, 12, 18])
def test_labels_cover_neither_each_other_nor_a_point(n):
    figure = pareto_figure(crowd(n), "4", "joint", 1000)
    figure.draw_without_rendering()
    assert len(figure.legends[0].get_texts()) == n
    key = figure.legends[0].get_window_extent()
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in numbers(axes)]
        assert len(boxes) == n
        assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
        places = axes.transData.transform([x for line in axes.lines for x in line.get_xydata()])
        assert not [place for place in places for box in boxes if box.contains(*place)]
        assert not axes.get_window_extent().overlaps(key)
        assert all(axes.get_window_extent().contains(*corner) for box in boxes for corner in box.corners())
    # a key that is taller than the figure would be cut off
    assert key.y0 >= 0 and key.y1 <= figure.bbox.height


def test_cross_entropy_that_was_not_measured_is_said():
    figure = pareto_figure(crowd(6).assign(ce_recovered=np.nan), "4", "joint", 1000)
    assert "not measured" in words(figure) and not numbers(figure.axes[1])
    some = crowd(6).assign(ce_recovered=[np.nan, *[0.9] * 5])
    assert [t.get_text() for t in numbers(pareto_figure(some, "4", "joint", 1).axes[1])] == list("23456")


def test_a_dead_setting_is_drawn_on_a_linear_axis():
    figure = pareto_figure(crowd(4).assign(l0=[0.0, 4.0, 8.0, 16.0]), "4", "joint", 1000)
    assert figure.axes[0].get_xscale() == "linear" and len(numbers(figure.axes[0])) == 4


@pytest.mark.long  # the style is one: test_study_figures.py
def test_the_stage_writes_the_same_bytes_twice(drawn_study, tmp_path):
    for name in ("first", "second"):
        draw_sweep_figure(drawn_study.sweeps["2"]["joint"], tmp_path / name)
    first, second = ((tmp_path / name / "pareto.png").read_bytes() for name in ("first", "second"))
    assert first == second and first.startswith(b"\x89PNG")
