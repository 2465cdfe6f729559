"""Layers compared: extremes with their uncertainty, and sentences that say no more."""

import numpy as np
import pytest
from stand_in import StandIn

from crosslens.errors import InputError
from crosslens.report.sections import divergence
from crosslens.report.terms import READ_ALL_THE_SAME
from crosslens.summary.divergence import compare_layers, series_of
from crosslens.tables.documents import read_json, write_json

SITES = ("2", "10", "14")


def told(values, noise, null_high=0.2, seed=0):
    rng = np.random.default_rng(seed)
    return {
        site: {
            "value": value,
            "deviations": noise * rng.normal(size=200),
            "null_low": None,
            "null_high": null_high,
            "groups": 90,
        }
        for site, value in zip(SITES, values, strict=True)
    }


def test_extremes_are_as_sure_as_the_draws():
    sure = series_of(told([0.1, 0.9, 0.5], 0.02))
    assert (sure["highest"], sure["lowest"]) == (
        {"site": "10", "share": 1.0, "within": ["10"]},
        {"site": "2", "share": 1.0, "within": ["2"]},
    )
    assert sure["differs"]["p"] == 1 / 201
    point = sure["points"][1]
    assert point["low"] == pytest.approx(0.9 - 1.96 * 0.02, abs=0.01) and point["high"] > 0.92
    unsure = series_of(told([0.50, 0.52, 0.10], 0.05))
    assert unsure["highest"]["site"] == "10" and 0.5 < unsure["highest"]["share"] < 0.8
    assert sorted(unsure["highest"]["within"]) == ["10", "2"] and unsure["lowest"]["within"] == ["14"]


def test_intervals_are_within_what_can_be_and_none_where_no_half_differs():
    """A share of 0 in every half is not known to be 0; R@1 has one interval on the whole page."""
    perfect = series_of(told([0.99, 0.5, 1.0], 0.02), (0.0, 1.0))["points"]
    assert perfect[0]["high"] == 1.0 and perfect[2]["low"] < 0.97
    same = series_of(told([1.0, 0.5, 0.2], 0.0))["points"]
    assert [(point["low"], point["high"]) for point in same] == [(None, None)] * 3
    retrieval = {site: of | {"low": 0.0, "high": 0.015} for site, of in told([0.0, 0.1, 0.2], 0.0).items()}
    assert [series_of(retrieval)["points"][0][name] for name in ("low", "high")] == [0.0, 0.015]


def test_layers_that_are_the_same_differ_as_often_as_the_level():
    """Values that deviate as their draws do: p is uniform."""
    rng = np.random.default_rng(1)
    p = [series_of(told(0.5 + 0.05 * rng.normal(size=3), 0.05, seed=i))["differs"]["p"] for i in range(300)]
    assert np.mean(np.array(p) <= 0.1) == pytest.approx(0.1, abs=0.05)


def write(folder, cosines, *, noise=0.02, null=0.3, cka_null=0.05, masked=40, groups=45):
    """representations and layer of three sites, with a cosine of gender directions and a CKA of captions."""
    layers, documents = {}, {}
    rng = np.random.default_rng(0)
    for site, cosine in zip(SITES, cosines, strict=True):
        layers[site], documents[site] = folder / f"layer_{site}.json", folder / f"{site}.json"
        null_of = {"null": {"bound": 0.1, "p": 0.01}, "value": 0.5}
        measure = {"value": cosine, "deviations": noise * rng.normal(size=200), "groups": groups}
        read = {"read": "caption", "images": 90, "groups": min(groups, 60), "cka": measure, "retrieval": []}
        read |= {"subspace": {"value": 0.2, "ceiling": 0.8, "chance": 0.1}}
        read |= dict.fromkeys(("svcca", "pwcca", "procrustes"), null_of)
        gender = [{"condition": "caption", "cosine": measure, "transfer": [], "within": []}]
        pair = {"languages": ["en", "ar"], "reads": [read], "gender": gender if null is not None else []}
        write_json(documents[site], "representations", {"site": site, "pairs": [pair]})
        directions = [
            {"condition": "caption", "languages": ["en", "ar"], "null_low": -0.1, "null_high": null}
        ]
        cka = [{"read": "caption", "languages": ["en", "ar"], "unbiased_q95": cka_null}]
        write_json(layers[site], "layer", {"site": site, "directions": directions, "cka": cka})
    compare_layers(layers=layers, representations=documents, out=folder / "out.json")
    files = {"representations": documents, "divergence": {"": folder / "out.json"}}
    words = [{"language": name, "condition": "caption", "masked": masked} for name in ("en", "ar")]
    results = StandIn({"words": words}, files=files, words={"units": "texts"})
    return read_json(folder / "out.json", "divergence"), divergence.section(results)


def test_the_sentence_names_the_layers_with_their_uncertainty(tmp_path):
    document, section = write(tmp_path, [0.4, 0.1, 0.9])
    (finding,) = section.findings
    assert document["sites"] == list(SITES) and len(document["series"]) == 2
    assert READ_ALL_THE_SAME in finding.lines
    # its tests are in no family of the study's claims
    assert finding.kind == "description" and "claims nothing" in finding.lines[-1]
    assert "farthest apart at block 10 and nearest at block 14" in finding.title
    assert "cosine of the gender directions, caption read, label words masked" in finding.title
    assert "the smallest in 100 % of halves; the largest in 100 % of halves" in finding.title
    assert "(n = 45 independent texts, q ≤ .05" in finding.title and " in 45 groups" in str(section.body)
    assert finding.lines[0] == (
        "Smallest at block 10 and largest at block 14, q ≤ .05: unbiased CKA of the same captions (1 of 1)."
    )
    points = document["series"][0]["points"]
    assert [point["null_high"] for point in points] == [0.05] * 3


def test_the_same_everywhere_and_chance_everywhere_are_null(tmp_path):
    _, section = write(tmp_path, [0.5, 0.505, 0.495], noise=0.1)
    assert section.findings[0].kind == "null" and "is the same at all layers" in section.findings[0].title
    assert "as far as 45 independent texts tell" in section.findings[0].title
    _, section = write(tmp_path, [0.4, 0.1, 0.7], null=0.8)
    assert section.findings[0].kind == "null" and "at no layer" in section.findings[0].title


def test_words_are_called_masked_only_where_some_are(tmp_path):
    _, section = write(tmp_path, [0.4, 0.1, 0.9], masked=0)
    body = "".join(map(str, section.body))
    assert "no label words found, so nothing is masked" in section.findings[0].title
    assert "label words masked" not in section.findings[0].title + body
    assert READ_ALL_THE_SAME not in section.findings[0].lines


def test_without_gender_the_captions_speak(tmp_path):
    _, section = write(tmp_path, [0.4, 0.1, 0.9], null=None)
    assert "by the unbiased CKA of the same captions, whole caption" in section.findings[0].title


def test_of_seven_units_and_of_one_layer_no_difference_is_tested(tmp_path):
    """Halves of so few do not tell how they vary: p would be the least there is of layers that differ by chance."""
    few = {site: of | {"groups": 7} for site, of in told([0.1, 0.9, 0.5], 0.02).items()}
    assert series_of(few)["differs"] == {
        "p": None,
        "q": None,
        "because": "there are 7 independent units, and it takes 8",
    }
    _, section = write(tmp_path, [0.4, 0.1, 0.9], groups=7)
    (finding,) = section.findings
    assert finding.kind == "warning"
    assert finding.title.endswith(
        "not tested over depth, because there are 7 independent units, and it takes 8."
    )
    assert str(section.body).count(">not tested<") == 4
    alone = series_of({"2": told([0.1, 0.9, 0.5], 0.02)["2"]})["differs"]
    assert alone["p"] is None and alone["because"] == "one layer alone was measured"


def test_where_no_null_is_known_chance_is_not_said_to_give_it(tmp_path):
    _, section = write(tmp_path, [0.4, 0.1, 0.9], null=None, cka_null=None)
    (finding,) = section.findings
    assert finding.kind == "description" and "chance" not in finding.title
    assert "What chance gives is not known at any of these layers." in finding.lines


def test_a_number_has_one_value_on_the_page(tmp_path):
    """Representations compare 1,000 units at most: what all units say is said here too, with their number and null."""
    write(tmp_path, [0.4, 0.1, 0.9])
    files = [(site, tmp_path / f"layer_{site}.json", tmp_path / f"{site}.json") for site in SITES]
    for site, layer, document in files:
        of, (pair,) = read_json(layer, "layer"), read_json(document, "representations")["pairs"]
        (cka,), (directions,) = of["cka"], of["directions"]
        of["cka"] = [cka | {"unbiased": 0.7, "units": 2983}]
        of["directions"] = [directions | {"cosine": None, "train_groups": [7, 8]}]
        hit = {"source": "en", "target": "ar"}
        found = hit | {"read": "caption", "centred": True, "units": 2983, "r1": 0.02, "r1_chance": 0.0003}
        of["retrieval"] = [found | {"r1_low": 0.015, "r1_high": 0.026}]
        pair["reads"][0]["retrieval"] = [hit | {"value": 0.05, "deviations": [0.0] * 200}]
        write_json(layer, "layer", of)
        write_json(document, "representations", {"site": site, "pairs": [pair]})
    layers, documents = ({site: pair[i] for site, *pair in files} for i in (0, 1))
    compare_layers(layers=layers, representations=documents, out=tmp_path / "out.json")
    points = {
        series["measure"]: series["points"][0]
        for series in read_json(tmp_path / "out.json", "divergence")["series"]
    }
    told = {name: (point["value"], point["groups"], point["null_high"]) for name, point in points.items()}
    assert told == {
        "cka": (0.7, 2983, 0.05),
        "retrieval": (0.02, 2983, 0.0003),
        # what the summary has not stays as it was measured
        "cosine": (0.4, 45, 0.3),
    }
    assert (points["retrieval"]["low"], points["retrieval"]["high"]) == (0.015, 0.026)


def test_files_of_another_site_are_refused(tmp_path):
    write(tmp_path, [0.4, 0.1, 0.9])
    layers = {site: tmp_path / f"layer_{site}.json" for site in SITES}
    with pytest.raises(InputError, match="sites"):
        compare_layers(layers=layers, representations={"2": tmp_path / "2.json"}, out=tmp_path / "x.json")
    swapped = {"2": tmp_path / "10.json", "10": tmp_path / "2.json", "14": tmp_path / "14.json"}
    with pytest.raises(InputError, match="site 10"):
        compare_layers(layers=layers, representations=swapped, out=tmp_path / "x.json")
