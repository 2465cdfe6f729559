"""The figures on two languages show the numbers of the stages' files."""

import numpy as np
import pandas as pd
import pytest
from language_files import write_retrieval, write_transfer
from test_layer_figures import words

from crosslens.figures.retrieval import READ, retrieval_figure, retrieval_frames
from crosslens.figures.sites import runs, site_ticks
from crosslens.figures.style import save
from crosslens.figures.transfer import transfer_figure, transfer_frame
from crosslens.summary.layer import layer_summary
from crosslens.summary.reading import Document
from crosslens.tables.documents import read_json

SITES = ("2", "10", "4")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """site -> (transfer, retrieval, layer summary)."""
    folder, found = tmp_path_factory.mktemp("languages"), {}
    for site, shared in zip(SITES, (0.1, 0.9, 0.5), strict=True):
        transfer = write_transfer(
            folder / f"t{site}.json", site=site, shared=shared, conditions=("caption", "caption_whole")
        )
        retrieval = write_retrieval(folder / f"r{site}.json", site=site, shared=2 * shared, alone=shared)
        documents = {"gender_transfer": {"": transfer}, "retrieval": {"": retrieval}}
        layer_summary(site=site, files=documents, out=folder / f"{site}.json")
        found[site] = (transfer, retrieval, Document(folder / f"{site}.json", "layer"))
    return found


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


def test_transfer_lines_are_the_numbers_of_the_files_by_depth(files):
    figure = transfer_figure(transfer_frame([told[2] for told in files.values()]))
    assert len(figure.axes) == 4
    for axes, (condition, method) in zip(
        figure.axes,
        [(c, m) for c in ("caption", "caption_whole") for m in ("difference_of_means", "logistic")],
        strict=True,
    ):
        for source, target, label in (("en", "en", "English → English"), ("ar", "en", "Arabic → English")):
            expected = [
                next(
                    row["auroc"]["value"]
                    for row in read_json(files[site][0], "gender_transfer")["conditions"][condition][
                        "transfer"
                    ]
                    if (row["source"], row["target"], row["method"]) == (source, target, method)
                )
                for site in ("2", "4", "10")
            ]
            np.testing.assert_allclose(lines(axes)[label].get_ydata(), expected)
        title = axes.get_title(loc="left")
        assert ("lexical" in title) == (condition == "caption_whole") and "English n = 120" in title
    assert [tick.get_text() for tick in figure.axes[-1].get_xticklabels()] == [
        "block 2",
        "block 4",
        "block 10",
    ]
    assert "95 % CI over test pictures or texts" in words(figure) and "random directions" in words(figure)


def test_every_panel_shows_all_of_its_intervals():
    rows = [
        {"site": "2", "condition": condition, "source": "en", "target": "en", "method": "logistic"}
        | {"auroc": 0.5, "auroc_low": low, "auroc_high": 0.8, "null_low": 0.4, "null_high": 0.6, "n": 10.0}
        | {"groups": 10.0}
        for condition, low in (("caption", 0.45), ("caption_whole", 0.05))
    ]
    for axes in transfer_figure(pd.DataFrame(rows)).axes:
        low, high = axes.get_ylim()
        assert low < 0.05 and high > 1


def test_retrieval_lines_are_the_numbers_of_the_files(files):
    figure = retrieval_figure(*retrieval_frames([told[2] for told in files.values()]))
    left, right = figure.axes
    pairs = [read_json(files[site][1], "retrieval")["pairs"][0] for site in ("2", "4", "10")]
    of = {
        (row["read"], row["source"], i): row["r1"]["value"]
        for i, pair in enumerate(pairs)
        for row in pair["retrieval"]
        if row["centred"]
    }
    shown = lines(left)
    for read, told in READ.items():
        name = f"Arabic → English, {told}"
        np.testing.assert_allclose(shown[name].get_ydata(), [of[read, "ar", i] for i in range(3)])
    np.testing.assert_allclose(shown["chance"].get_ydata(), 1 / 80)
    cka = lines(right)
    for read in ("alone", "caption"):
        told = [next(row for row in pair["cka"] if row["read"] == read)["unbiased"] for pair in pairs]
        name = f"unbiased CKA, {READ[read]}"
        np.testing.assert_allclose(cka[name].get_ydata(), [found["value"] for found in told])
        if read == "alone":
            line = cka["pairs shuffled: 95th percentile"].get_ydata()
            np.testing.assert_allclose(line, [found["null"]["q95"] for found in told])
    assert "English prompt behind the picture, Arabic caption" in cka
    assert "n = 80 test pictures or texts" in words(figure) and "words alone decide" in words(figure)


def test_texts_without_pictures_have_a_line_a_direction(tmp_path):
    path = write_retrieval(tmp_path / "r.json", site="2", shared=1.0)
    layer_summary(site="2", files={"retrieval": {"": path}}, out=tmp_path / "2.json")
    figure = retrieval_figure(*retrieval_frames([Document(tmp_path / "2.json", "layer")]))
    assert set(lines(figure.axes[0])) == {"English → Arabic", "Arabic → English", "chance"}
    assert "picture alone" not in words(figure)


def test_what_was_not_measured_is_said(tmp_path):
    assert "not measured" in words(transfer_figure(transfer_frame([])))
    assert words(retrieval_figure(*retrieval_frames([]))).count("not measured") == 2


@pytest.mark.long
def test_the_same_numbers_give_the_same_bytes(files, tmp_path):
    for name in ("first", "second"):
        summaries = [told[2] for told in files.values()]
        save(transfer_figure(transfer_frame(summaries)), tmp_path / f"{name}.png", transfer_frame(summaries))
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


def test_sites_of_another_kind_are_no_part_of_a_line():
    sites = ["10", "2", "2.attn_out", "4", "4.attn_out"]
    assert list(runs(sites)) == [["2", "4", "10"], ["2.attn_out", "4.attn_out"]]
    rows = [
        {"site": site, "condition": "caption", "source": "en", "target": "en", "method": "logistic"}
        | {"auroc": 0.7, "auroc_low": 0.6, "auroc_high": 0.8, "null_low": 0.4, "null_high": 0.6, "n": 10.0}
        | {"groups": 10.0}
        for site in sites
    ]
    (axes,) = transfer_figure(pd.DataFrame(rows)).axes
    assert [list(line.get_xdata()) for line in axes.lines[:2]] == [[0, 2, 4], [1, 3]]


def test_many_sites_are_numbered():
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    site_ticks(axes, [str(i) for i in range(18)])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [str(i) for i in range(18)]
    assert axes.get_xlabel() == "block"
