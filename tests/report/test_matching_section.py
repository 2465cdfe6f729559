"""What the page says of matched features: few in common is a finding only where two seeds have more."""

import pytest
from stand_in import StandIn

from crosslens.report.sections import matching
from crosslens.report.terms import READ_ALL_THE_SAME
from crosslens.report.words import PICTURES
from crosslens.summary.claims import claimed
from crosslens.summary.records.matching import records
from crosslens.tables.documents import write_json


def comparison(role, names, shared, mcc):
    return {
        "role": role,
        "names": names,
        "saes": ["a", "b"],
        "features": [100, 100],
        "tested": True,
        "because": None,
        "matched": 100,
        "same_partner": 60,
        "shared": shared,
        "mmcs": {"decoder": [mcc, mcc + 0.01], "encoder": [mcc, mcc]},
        "mcc": {"decoder": mcc, "encoder": mcc},
        "transport": {"cost": 1 - mcc, "partners": 10 * (1 - mcc), "on_matched": mcc},
    }


def told(folder, shared, *, seeds=None, silent=None, effect=None, labels=0.1):
    """The section of one layer: so many features the same, so many for two seeds, or why these say nothing, and a CLBAS."""
    pair = comparison("languages", ["en/0", "ar/0"], shared, 0.2 + shared / 100) | {"languages": ["en", "ar"]}
    pair["ceilings"] = (
        [] if seeds is None else [comparison("seeds", ["en/0", "en/1"], seeds, 0.2 + seeds / 100)]
    )
    pair["ceilings"] = [of | {"tested": not silent, "because": silent} for of in pair["ceilings"]]
    pair["floors"] = [comparison("turned", ["en/0", "turned"], 0, 0.2)]
    pair["activations"] = {
        "tested": True,
        "because": None,
        "groups": 80,
        "found": 9,
        "mean": 0.5,
        "q95": 2.0,
        "p": 0.001,
        "least_p": 0.0005,
    }
    pair["activations"] |= {"shared_found": 4, "median": {"matched": 0.01, "shared": 0.3}}
    null = {"mean": 0.0, "q025": -0.2, "q95": 0.18, "q975": 0.2, "p": 0.001, "least_p": 0.001}
    pair["clbas"] = [
        {"condition": "caption", "family": "matched", "features": 50, "tested": True, "because": None}
        | {"images": 122, "groups": 80}
        | {"value": effect, "null": {"pairing": null, "labels": null | {"q975": labels, "p": 0.002}}}
    ] * (effect is not None)
    write_json(folder / "matching.json", "matching", {"site": "4", "pairs": [pair]})
    made = records({"matching": {"": folder}})
    claimed(made, 0.05)
    words = [{"language": name, "condition": "caption", "masked": 9} for name in ("en", "ar")]
    return matching.section(StandIn(made | {"words": words}))


def test_features_in_common_stand_between_floor_and_ceiling(tmp_path):
    (finding,) = told(tmp_path, 30, seeds=60).findings
    assert (
        finding.kind == "description"
        and "up to 30.0 % are the same feature, where two seeds" in finding.title
    )
    assert (
        "block 4: 30 of 100 (30.0 %, MCC 0.50); two seeds of English (ceiling) 60.0 % (MCC 0.80)"
        in finding.lines[0]
    )
    assert "50 % of the way in MCC" in finding.lines[0] and "9 of 100 (by chance 0.5)" in finding.lines[2]
    assert (
        "block 4: a feature has 5.0 partners in effect (cost 0.50); two seeds of English (ceiling) a"
        in finding.lines[1]
    )
    assert finding.lines[3] == PICTURES["shared"]


@pytest.mark.parametrize(
    ("seeds", "kind", "words"),
    [
        (40, "null", "two seeds of one language have up to 40.0 %"),
        (0, "warning", "too much a matter of their seed"),
    ]
    + [(None, "warning", "with one seed each")],
)
def test_nothing_in_common_is_no_null_result_without_a_ceiling(tmp_path, seeds, kind, words):
    section = told(tmp_path, 0, seeds=seeds)
    assert (section.findings[0].kind, words in section.findings[0].title) == (kind, True)
    assert ("There is no ceiling" in "".join(map(str, section.body))) == (seeds is None)


def test_a_ceiling_that_says_nothing_is_told_as_that(tmp_path):
    (finding,) = told(tmp_path, 0, seeds=0, silent="in a seed nothing fires").findings
    assert finding.kind == "warning" and "two seeds of one language could not be matched" in finding.title
    assert (
        "block 4, two seeds of English (ceiling): not tested, because in a seed nothing fires."
        in finding.lines
    )


@pytest.mark.parametrize(
    ("effect", "labels", "kind"),
    [(0.4, 0.1, "found"), (-0.4, 0.1, "null"), (0.1, 0.1, "null"), (0.4, 0.6, "null")],
)
def test_effects_agree_above_both_bands_alone(tmp_path, effect, labels, kind):
    finding = told(tmp_path, 30, effect=effect, labels=labels).findings[1]
    assert finding.kind == kind and finding.lines[1] == "Corrected clbas matched."
    assert (READ_ALL_THE_SAME in finding.lines) == (kind == "found")
    assert "partners shuffled -0.20 to 0.20, labels shuffled" in finding.lines[0].replace("−", "-")
