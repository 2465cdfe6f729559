"""The figures over all layers show what the layers' summaries say."""

import numpy as np
import pandas as pd
import pytest
from result_files import LANGUAGES, OTHERS
from test_layer_figures import words

from crosslens.errors import InputError
from crosslens.figures.gender_study import (
    gender_figures,
    probes_frame,
    robustness_frame,
    sparse_frame,
    stereotype_frames,
)
from crosslens.figures.probes import probes_figure
from crosslens.figures.quality import quality_figure
from crosslens.figures.robustness import robustness_figure
from crosslens.figures.sparse_probes import sparse_probes_figure
from crosslens.figures.specialists import specialists_figure
from crosslens.figures.stereotype import stereotype_figure
from crosslens.figures.study import quality_frame, study_figures
from crosslens.summary.layer import layer_summary
from crosslens.summary.reading import Document
from crosslens.tables.documents import read_json


@pytest.fixture(scope="module")
def layers(drawn_study, tmp_path_factory):
    """site -> summary."""
    folder = tmp_path_factory.mktemp("layers")
    paths = {site: folder / f"{site}.json" for site in ("2", "4")}
    for site, path in paths.items():
        layer_summary(**drawn_study.layer(site), out=path)
    return paths


def test_quality_lines_are_the_numbers_of_the_summaries(layers):
    summaries = [Document(path, "layer") for path in layers.values()]
    figure = quality_figure(quality_frame(summaries))
    ev, l0, ce, ce_mean = figure.axes
    lines = {line.get_label(): line.get_ydata() for line in ev.lines}
    expected = [
        next(sae for sae in summary("saes") if (sae["corpus"], sae["language"]) == ("joint", "en"))
        for summary in summaries
    ]
    np.testing.assert_allclose(lines["joint SAE, English"], [sae["ev"] for sae in expected])
    np.testing.assert_allclose(lines["PCA of rank L0, English"], [sae["pca"] for sae in expected])
    np.testing.assert_allclose(lines["mean of each token, English"], [sae["token_mean"] for sae in expected])
    assert len([name for name in lines if "SAE" in name]) == 4
    assert len([name for name in lines if "gemmascope (pretrained)" in name]) == 2
    assert [tick.get_text() for tick in ce.get_xticklabels()] == ["block 2", "block 4"]
    np.testing.assert_allclose(l0.lines[0].get_ydata(), [sae["l0"] for sae in expected])
    for axes, name in ((ce, "ce_recovered"), (ce_mean, "ce_recovered_mean")):
        shown = {line.get_label(): line.get_ydata() for line in axes.lines}
        np.testing.assert_allclose(shown["joint SAE, English"], [sae[name] for sae in expected])
    assert "zeros" in ce.get_title(loc="left") and "the mean" in ce_mean.get_title(loc="left")
    beside = [line.get_xdata() for line in l0.lines]
    assert len({tuple(x) for x in beside}) == 6 and np.abs(np.array(beside) - [0, 1]).max() < 0.25
    assert "held-out test tokens" in words(figure)


def test_baselines_and_probes_of_a_study_of_pretrained_saes_alone_are_drawn(drawn_study, tmp_path):
    files = drawn_study.layer("2")["files"]
    kinds = ("quality", "spliced", "features", "gender", "probe_codes")
    of_others = {
        kind: {key: path for key, path in files[kind].items() if key.startswith(OTHERS)} for kind in kinds
    }
    given = of_others | {"probe_activations": files["probe_activations"]}
    layer_summary(site="2", files=given, out=tmp_path / "2.json")
    summaries = [Document(tmp_path / "2.json", "layer")]
    assert set(probes_frame(summaries)["corpus"]) == {"activations", OTHERS}
    labels = [line.get_label() for line in quality_figure(quality_frame(summaries)).axes[0].lines]
    assert "gemmascope (pretrained), English" in labels and "PCA of rank L0, English" in labels


def test_what_was_not_spliced_is_left_out_in_words(drawn_study, tmp_path):
    given = drawn_study.layer("2")
    del given["files"]["spliced"]
    layer_summary(**given, out=tmp_path / "2.json")
    figure = quality_figure(quality_frame([Document(tmp_path / "2.json", "layer")]))
    assert words(figure).count("not measured") == 2


def test_the_legend_names_what_only_a_later_panel_of_probes_has():
    """Words are read where there are any: not before the caption, which is the first panel."""
    probes = pd.DataFrame(
        [
            ("2", "en", condition, probe, 0.7, 0.6, 0.8, 40, 40)
            for condition, probe in (("prompt", "codes"), ("caption", "codes"), ("caption", "words"))
        ],
        columns=["site", "language", "condition", "probe", "auroc", "low", "high", "n", "groups"],
    )
    (legend,) = probes_figure(probes).legends
    assert [text.get_text() for text in legend.get_texts()] == ["chance", "SAE codes", "bag of words"]


def test_probe_lines_are_the_numbers_of_the_files(drawn_study, layers):
    figure = probes_figure(probes_frame([Document(path, "layer") for path in layers.values()]))
    assert len(figure.axes) == 4
    axes = next(
        a
        for a in figure.axes
        if a.get_title(loc="left").startswith("Arabic") and "before the caption" in a.get_title(loc="left")
    )
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    files = [read_json(drawn_study.probes[site]["activations/ar"], "probe") for site in ("2", "4")]
    results = [file["conditions"]["prompt"] for file in files]
    np.testing.assert_allclose(lines["raw activations"], [result["auroc"]["value"] for result in results])
    np.testing.assert_allclose(
        lines["shuffled labels (bar: range)"], [result["shuffled"]["auroc"]["value"] for result in results]
    )
    assert set(lines["chance"]) == {0.5} and "majority" not in words(figure)
    assert "n = 122 test pictures or texts" in axes.get_title(loc="left")


def test_sparse_probes_have_a_line_a_site_and_their_median(layers):
    summaries = [Document(path, "layer") for path in layers.values()]
    figure = sparse_probes_figure(sparse_frame(summaries))
    axes = next(
        a
        for a in figure.axes
        if a.get_title(loc="left").startswith("Arabic") and "before the caption" in a.get_title(loc="left")
    )
    found = {
        record["site"]: [*(of["auroc"] for of in record["sparse"]), record["auroc"]]
        for summary in summaries
        for record in summary("probes")
        if (record["corpus"], record["language"], record["condition"]) == ("joint", "ar", "prompt")
    }
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    np.testing.assert_allclose(lines["SAE features"], np.median(list(found.values()), axis=0))
    thin = [line.get_ydata().tolist() for line in axes.lines if line.get_gid() == "site"]
    assert all(auroc in thin for auroc in found.values()) and len(thin) == 4
    assert [tick.get_text() for tick in figure.axes[-1].get_xticklabels()] == ["1", "2", "5", "20", "all"]


def test_robustness_has_the_shares_of_each_view_beside_chance(layers):
    figure = robustness_figure(robustness_frame([Document(path, "layer") for path in layers.values()]))
    assert len(figure.axes) == 4
    for axes in figure.axes:
        marks = {
            line.get_label(): line.get_ydata() for line in axes.lines if not line.get_label().startswith("_")
        }
        assert {name: set(y) for name, y in marks.items()} == {
            "strongest token": {0.9},
            "last token": {0.0},
            "other seeds": {0.5},
        }
        assert {tuple(line.get_ydata()) for line in axes.lines if line.get_linestyle() == ":"} == {(0.1, 0.1)}
    assert "no gendered feature" in words(robustness_figure(robustness_frame([])))


def test_stereotype_points_are_the_shares_beside_the_planted_ones(drawn_study):
    shares, fits = stereotype_frames(drawn_study.stereotype)
    figure = stereotype_figure(shares, fits)
    document = read_json(drawn_study.stereotype, "stereotype")
    order = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(order) == 10
    for axes, language in zip(figure.axes, LANGUAGES, strict=True):
        lines = {line.get_label(): line for line in axes.lines}
        measured = dict(zip(lines["measured"].get_ydata(), lines["measured"].get_xdata(), strict=True))
        planted = dict(zip(lines["planted"].get_ydata(), lines["planted"].get_xdata(), strict=True))
        for i, category in enumerate(order):
            assert measured[i] == document["languages"][language]["categories"][category]["share"]
            assert planted[i] == document["languages"][language]["planted"]["shares"][category]
        assert "r = 0.987 [0.95, 0.99], MAE 0.031" in axes.get_title(loc="left")
        assert "n = 400 gendered captions of 110 pictures" in axes.get_title(loc="left")


def test_stage_is_deterministic_and_says_what_is_missing(drawn_study, layers, tmp_path):
    gender_figures(layers={"2": layers["2"]}, stereotype=drawn_study.stereotype, out=tmp_path / "first")
    for name in ("first", "second"):
        study_figures(layers={"2": layers["2"]}, out=tmp_path / name)
    for name in ("quality", "retrieval", "specialists"):
        for suffix in (".png", ".csv"):
            first, second = (tmp_path / of / f"{name}{suffix}" for of in ("first", "second"))
            assert first.read_bytes() == second.read_bytes()
    assert {"probes.png", "stereotype.png"} <= {path.name for path in (tmp_path / "first").iterdir()}
    assert "not measured" in words(stereotype_figure(*stereotype_frames(None)))
    with pytest.raises(InputError, match="no such file"):
        study_figures(layers={"2": tmp_path / "absent.json"}, out=tmp_path / "out")


def test_specialists_are_shown_by_site_and_sae(layers):
    summaries = [Document(path, "layer") for path in layers.values()]
    records = [row for summary in summaries for row in summary("specialists")]
    figure = specialists_figure(records)
    grid = figure.axes[0].images[0].get_array()
    assert grid.shape == (2, len(records) // 2)
    first = records[0]
    np.testing.assert_allclose(grid.filled(np.nan), first["score"] / first["n_inside"])
    assert len(figure.axes[0].lines) == len(records)
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["guard", "nurse"]


def test_without_categories_the_figure_of_specialists_says_so(drawn_study, tmp_path):
    given = drawn_study.layer("2")
    del given["files"]["features"]
    layer_summary(**given, out=tmp_path / "2.json")
    assert "no categories" in words(
        specialists_figure(Document(tmp_path / "2.json", "layer").records("specialists"))
    )
