"""The figures of geometry show the records and the heads, and say what there is not."""

import numpy as np
import pytest

from crosslens.figures.geometry import circuits_figure, geometry_figure
from crosslens.summary.reading import Document
from crosslens.tables.documents import write_json


def dimensions(site, language, rank):
    bits = float(np.log2(rank))
    return {"site": site, "language": language, "effective_rank": rank, "participation_ratio": rank / 2} | {
        "bits_low": bits - 0.1,
        "bits_high": bits + 0.1,
    }


def information(site, language, strongest, tested=True):
    return {
        "site": site,
        "language": language,
        "corpus": "joint",
        "condition": "caption",
        "tested": tested,
    } | {
        "strongest": strongest,
        "null": {"strongest_q95": 0.1} if tested else None,
    }


def test_lines_are_the_records():
    sites = ["2", "4"]
    records = [
        dimensions(site, name, 10.0 * (1 + i)) for i, site in enumerate(sites) for name in ("en", "ar")
    ]
    told = [
        information("2", "en", 0.2),
        information("4", "en", 0.4),
        information("2", "ar", None, tested=False),
    ]
    rank, ratio, bits = geometry_figure(records, told, sites).axes
    lines = [line for line in rank.lines if line.get_label() == "Arabic"]
    assert list(lines[0].get_ydata()) == [10, 20] and list(ratio.lines[0].get_ydata()) == [5, 10]
    bars = [line.get_ydata() for line in rank.lines if len(set(line.get_xdata())) == 1]
    assert len(bars) == 4 and bars[0] == pytest.approx([10 * 2**-0.1, 10 * 2**0.1])
    assert [list(line.get_ydata()) for line in bits.lines] == [[0.2, 0.4], [0.1, 0.1]]
    empty = geometry_figure(records, [], sites)
    assert "not measured" in [text.get_text() for text in empty.axes[2].texts]


def test_heat_maps_are_the_heads(tmp_path):
    heads = [
        {"layer": layer, "head": head, "kv_head": 0}
        | {
            name: {"effective_rank": 1.0 + layer + 10 * head, "positive": None if head else 0.5}
            for name in ("ov", "qk")
        }
        for layer in (0, 2)
        for head in (0, 1)
    ]
    told = {"family": "toy", "layers": 3, "d_head": 8, "not_available": [1], "heads": heads}
    write_json(tmp_path / "c.json", "circuits", told)
    figure = circuits_figure(Document(tmp_path / "c.json", "circuits"))
    grids = [axes.images[0].get_array().filled(np.nan) for axes in figure.axes if axes.images]
    np.testing.assert_array_equal(grids[0], [[1, 11], [np.nan, np.nan], [3, 13]])
    np.testing.assert_array_equal(grids[1][:, 0], [0.5, np.nan, 0.5])
    assert "blocks 1" in figure.get_supxlabel()
    write_json(tmp_path / "n.json", "circuits", told | {"heads": [], "d_head": None})
    nothing = circuits_figure(Document(tmp_path / "n.json", "circuits"))
    assert nothing.axes[0].texts[0].get_text() == "not available for toy"
    assert circuits_figure(None).axes[0].texts[0].get_text() == "not asked for"
