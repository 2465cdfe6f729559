"""A sweep's Pareto set and recommendation, against a search of all pairs and against examples by hand."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from result_files import LANGUAGES, VARIANTS, change, write_study

from crosslens.errors import InputError
from crosslens.summary.sweep import CE_LOSS, L0_SAME, compare_settings, recommend, undominated
from crosslens.tables.documents import read_json


def setting(name: str, l0: float, fvu: float | None, ce: float | None = None, failed: bool = False) -> dict:
    gates = [{"language": "en", "gate": "alive", "says": ""}] if failed else []
    return {"name": name, "l0": l0, "fvu": fvu, "ce_recovered": ce, "gates_failed": gates}


grid = st.sampled_from([1.0, 2.0, 3.0])
drawn = st.lists(
    st.tuples(grid, st.none() | grid, st.none() | st.sampled_from([0.5, 0.985, 0.99, 1.0]), st.booleans()),
    min_size=1,
    max_size=8,
).map(lambda rows: [setting(str(i), *row) for i, row in enumerate(rows)])


@given(drawn)
def test_the_pareto_set_is_what_no_other_beats(settings):
    known = [s for s in settings if s["fvu"] is not None]
    beaten = {
        b["name"]
        for a, b in product(known, known)
        if (a["l0"] < b["l0"] and a["fvu"] <= b["fvu"]) or (a["l0"] <= b["l0"] and a["fvu"] < b["fvu"])
    }
    assert [s["name"] for s in undominated(settings)] == [s["name"] for s in known if s["name"] not in beaten]


@given(drawn)
def test_the_recommended_setting_keeps_its_promises(settings):
    name, why = recommend(settings)
    taken = next(s for s in settings if s["name"] == name)
    passing = [s for s in settings if not s["gates_failed"]]
    assert not taken["gates_failed"] or not passing
    assert ("none passes" in why) == (not passing)
    assert ("left out" in why) == (0 < len(passing) < len(settings))
    front = undominated(passing or settings) or passing or settings
    assert taken in front
    measured = [s for s in front if s["ce_recovered"] is not None]
    assert ("not measured" in why) == (not measured)
    if measured:
        best = max(s["ce_recovered"] for s in measured)
        assert taken["ce_recovered"] >= best - CE_LOSS
        kept = [s for s in measured if s["ce_recovered"] >= best - CE_LOSS]
        assert not [s for s in kept if s["l0"] * (1 + L0_SAME) < taken["l0"]]


def test_examples_by_hand():
    sparse, middle, dense = (
        setting("sparse", 8, 0.3, 0.90),
        setting("middle", 32, 0.1, 0.985),
        setting("dense", 64, 0.05, 0.99),
    )
    beaten = setting("beaten", 33, 0.2, 0.999)
    assert recommend([sparse, middle, dense, beaten]) == (
        "middle",
        "the fewest active features, L0 32.0, among the settings that no other beats and that recover "
        "cross-entropy to within 0.01 of the best (0.9850 of it)",
    )
    assert recommend([sparse, middle, setting("average", 32.1, 0.08, 0.986), dense])[0] == "average"
    failing = middle | {"gates_failed": [{"gate": "alive"}]}
    assert recommend([sparse, failing, dense])[0] == "dense"
    # what a failing setting beats can still be taken
    assert recommend([sparse, setting("worse", 40, 0.2, 0.99), failing])[0] == "worse"
    unmeasured = [s | {"ce_recovered": None} for s in (sparse, middle, dense)]
    assert recommend(unmeasured) == ("dense", "the smallest FVU, 0.050; cross-entropy was not measured")
    assert recommend([setting("odd", 1, None)])[1].startswith("the smallest FVU, undefined")


def test_what_is_recommended_hangs_on_select_alone(files, tmp_path):
    """Numbers of test are reported, and however good they are they recommend nothing."""
    paths = {None: {}, "other": {}}
    for language in LANGUAGES:
        for name, select in ((None, 0.3), ("other", 0.2)):
            path = paths[name][language] = tmp_path / f"{name}_{language}.json"
            path.write_text(files.quality["2"][f"joint/{language}"].read_text())
            good = 0.01 if name is None else 0.9
            change(
                path,
                "quality",
                lambda d, s=select, t=good: (d["select"].update(fvu=s), d.update(fvu=t, ev=1 - t)),
            )
    given = {"site": "2", "corpus": "joint", "variants": {"other": {"k": 9}}, "spliced": {}}
    compare_settings(**given, quality=paths, out=tmp_path / "sweep.json")
    sweep = read_json(tmp_path / "sweep.json", "sweep")
    assert sweep["recommended"] == "other" and sweep["chosen_on"] == "select"
    assert {s["name"]: (s["fvu"], s["select"]["fvu"]) for s in sweep["settings"]} == {
        "study": (pytest.approx(0.01), pytest.approx(0.3)),
        "other": (pytest.approx(0.9), pytest.approx(0.2)),
    }


@pytest.fixture()
def files(tmp_path):
    return write_study(tmp_path / "in", sites=("2",))


def test_numbers_are_means_over_the_languages_of_the_files(files):
    sweep = read_json(files.sweeps["2"]["joint"], "sweep")
    assert [s["l0"] for s in sweep["settings"]] == sorted(s["l0"] for s in sweep["settings"])
    assert {s["name"]: s["changes"] for s in sweep["settings"]} == {"study": {}, **VARIANTS}
    own = next(s for s in sweep["settings"] if s["name"] == "study")
    quality = [read_json(files.quality["2"][f"joint/{language}"], "quality") for language in LANGUAGES]
    spliced = [read_json(files.spliced["2"][f"joint/{language}"], "spliced") for language in LANGUAGES]
    assert own["l0"] == pytest.approx(sum(document["l0"]["mean"] for document in quality) / 2)
    assert own["dead"] == sum(document["dead"] for document in quality) / 2
    recovered = [document["ce_recovered"]["zero"]["value"] for document in spliced]
    assert own["ce_recovered"] == pytest.approx(sum(recovered) / 2)
    assert [own["languages"][language]["fvu"] for language in LANGUAGES] == [d["fvu"] for d in quality]
    failed = [
        (d["language"], gate) for d in quality for gate, told in d["gates"].items() if not told["passed"]
    ]
    assert [(gate["language"], gate["gate"]) for gate in own["gates_failed"]] == failed
    assert {s["architecture"] for s in sweep["settings"]} == {"topk", "batchtopk"}
    assert sweep["recommended"] in {"study", *VARIANTS}


def test_what_one_language_lacks_is_none_for_the_setting(files, tmp_path):
    change(
        files.spliced["2"]["joint/ar"],
        "spliced",
        lambda d: (
            d["ce_recovered"]["zero"].update(value=None, ci=None),
            d["select"]["ce_recovered"].update(zero=None),
        ),
    )
    paths = {None: {language: files.quality["2"][f"joint/{language}"] for language in LANGUAGES}}
    spliced = {None: {language: files.spliced["2"][f"joint/{language}"] for language in LANGUAGES}}
    given = {"site": "2", "corpus": "joint", "variants": {}, "out": tmp_path / "sweep.json"}
    compare_settings(**given, quality=paths, spliced=spliced)
    (own,) = read_json(tmp_path / "sweep.json", "sweep")["settings"]
    assert own["ce_recovered"] is None and own["languages"]["en"]["ce_recovered"] is not None
    assert own["pareto"]
    compare_settings(**given, quality=paths, spliced={})
    assert "cross-entropy was not measured" in read_json(tmp_path / "sweep.json", "sweep")["why"]
    with pytest.raises(InputError, match="absent.json"):
        compare_settings(**given, quality={None: {"en": tmp_path / "absent.json"}}, spliced={})
