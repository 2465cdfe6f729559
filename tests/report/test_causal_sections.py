"""What the page says of ablated and substituted features: what was measured, a null plainly, what was not tested as that."""

import pytest
from stand_in import StandIn

from crosslens.figures.ablation import draw_ablation_figure
from crosslens.figures.substitution import draw_substitution_figure, substitution_figure
from crosslens.report.sections import ablation, substitution
from crosslens.summary.claims import claimed
from crosslens.summary.records import ablation as ablation_records
from crosslens.summary.records import substitution as substitution_records
from crosslens.tables.documents import write_json


def score(value, width=0.001):
    return {"value": value, "low": value - width, "high": value + width}


def band(p, least=0.0001):
    return {"mean": 0.0, "q025": -0.1, "q95": 0.1, "q975": 0.2, "p": p, "least_p": p and least}


def results(made, level=0.05):
    claimed(made, level)
    return StandIn(made, level=level)


def ablated(folder, *, p=0.0001, own=0.02, because=None, features=10, level=0.05, draw=False):
    """The section of one layer of one SAE, whose features of either language cost it so much, and the other .001."""
    measures = {"own": score(own), "other": score(0.001), "difference": score(own - 0.001)}
    of = {"tested": because is None, "because": because, "found": 40, "features": features, "controls": 20}
    of |= {"of": measures, "beside": {name: score(0.002) for name in measures}}
    least = max((1 + 20 // features) ** -features, 1e-4)
    of["null"] = {name: band(None if because else p, least) for name in ("own", "difference")}
    shared = {
        "found": 30,
        "features": 5,
        "of": {name: score(0.003) for name in ("first", "second", "difference")},
    }
    rows = [
        {
            "feature": i,
            "role": role,
            "language": language,
            "cost": {"en": score(0.01 * i), "ar": score(0.002)},
        }
        for i, (role, language) in enumerate(
            [("specific", "en"), ("control", "en"), ("specific", "ar"), ("shared", None)]
        )
    ]
    pair = {"languages": ["en", "ar"], "shared": shared, "features": rows}
    pair["specific"] = [of | {"language": name} for name in ("en", "ar")]
    document = {"site": "4", "sae": "d", "groups": 60, "permutations": 19999, "pairs": [pair]}
    write_json(folder / "ablation.json", "ablation", document)
    if draw:
        draw_ablation_figure(ablation=folder / "ablation.json", out=folder / "figures")
    return ablation.section(
        results(ablation_records.records({"ablation": {"joint": folder / "ablation.json"}}), level)
    )


def test_a_language_that_needs_its_features_is_found_with_what_the_other_pays(tmp_path):
    section = ablated(tmp_path, draw=True)
    (finding,) = section.findings
    assert finding.kind == "found" and "in 2 of 2 cases" in finding.title
    # p is of the difference: whether the cost alone is more than that of random ones is not claimed
    assert "costs it more than the other, by more than random ones do" in finding.title
    assert (
        "10 features of Arabic: 0.020 [0.019, 0.021] nats a token in Arabic (as frequent 0.002)"
        in finding.lines[0]
    )
    assert (
        "0.001 [0.000, 0.002] in English" in finding.lines[0]
        and finding.lines[1] == "Corrected ablated ablation."
    )
    assert "joint/4/ablation" in "".join(map(str, section.body))
    assert (tmp_path / "figures/ablation.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"p": 0.4}, "null", "costs it no more, against the other, than random ones do: in 0 of 2 cases"),
        # beyond random features, but no more than the other language pays
        ({"own": 0.0015}, "null", "does not for sure cost it more than the other: in 0 of 2 cases"),
        ({"because": "no feature is specific"}, "warning", "not tested, because no feature is specific"),
    ],
)
def test_a_null_and_what_was_not_tested_are_two_things(tmp_path, given, kind, words):
    (finding,) = ablated(tmp_path, **given).findings
    assert finding.kind == kind and words in finding.title


def test_what_is_beyond_random_features_alone_is_told(tmp_path):
    (finding,) = ablated(tmp_path, own=0.0015).findings
    assert finding.lines[1].endswith("the other language: block 4, English; block 4, Arabic.")
    (finding,) = ablated(tmp_path, own=0.0015, p=0.4).findings
    assert "Beyond random ones" not in " ".join(finding.lines)


def test_one_feature_that_costs_more_than_twenty_is_no_null(tmp_path):
    """It is the first of 21, a p that could not be below the level."""
    (finding,) = ablated(tmp_path, p=0.0476, features=1, level=0.02).findings
    assert finding.kind == "warning" and "not tested, because with so few features" in finding.title
    (finding,) = ablated(tmp_path, p=0.4, features=2, level=0.02).findings
    assert finding.kind == "null", "the first of 11 twice is a p of 1/121"


def substituted(folder, *, p=0.0001, because=None, ablation_costs=True, sizes=(10, 900), draw=False):
    """The section of one layer: partners of the other language recover .5, two seeds .8, frozen decoders .1."""
    comparisons = []
    for role, first, second, share in (
        ("languages", "en/0", "ar/0", 0.5),
        ("languages", "ar/0", "en/0", 0.4),
        ("seeds", "en/0", "en/1", 0.8),
        ("frozen", "en/frozen", "ar/frozen", 0.1),
    ):
        known = score(share, 0.05) if ablation_costs else dict.fromkeys(("value", "low", "high"))
        point = {"cost": {name: score(1.0) for name in ("ablated", "substituted", "shuffled")}}
        point["recovered"] = {"substituted": known, "shuffled": known | {"value": 0.01}}
        effect = {
            "features": 30,
            "groups": 60,
            "tested": because is None,
            "because": because,
            "spearman": score(0.6, 0.1),
            "pearson": 0.7,
        }
        effect["null"] = {
            "pairing": band(None if because else p / 2),
            "strength": band(None if because else p),
        }
        comparisons.append(
            {
                "role": role,
                "language": first[:2],
                "first": first,
                "second": second,
                "groups": 60,
                "pairs": 900,
            }
            | {"curve": [{"n": n} | point for n in sizes]}
            | {"effects": [{"outcome": name} | effect for name in ("ce", "label_words")]}
            | {"features": [{"cost": {"first": score(0.1 * i), "second": score(0.2 * i)}} for i in range(3)]}
        )
    document = {"site": "4", "languages": ["en", "ar"], "comparisons": comparisons}
    write_json(folder / "substitution.json", "substitution", document)
    if draw:
        draw_substitution_figure(substitution=folder / "substitution.json", out=folder / "figures")
    made = substitution_records.records({"substitution": {"": folder / "substitution.json"}})
    return substitution.section(results(made)), made


def test_partners_stand_between_ceiling_and_floor(tmp_path):
    section, made = substituted(tmp_path, draw=True)
    (finding,) = section.findings
    assert (
        finding.kind == "found"
        and "Arabic and English" in finding.title
        and "in 2 of 2 cases" in finding.title
    )
    assert "block 4, Arabic for English: 0.60 [0.50, 0.70], n = 30 pairs" in finding.lines[0]
    assert "Arabic for English, 900 features together recover 0.50 [0.45, 0.55]" in finding.lines[1]
    assert "two seeds, English (ceiling) 0.80" in finding.lines[1] and "(floor) 0.10" in finding.lines[1]
    assert (tmp_path / "figures/substitution.png").stat().st_size > 5000
    # ceiling and floor are shown, and no tests of the study
    assert [row["q_family"] for row in made["effects_alike"]] == ["effects", None] * 2 + [None] * 4
    assert all(row["p"] == 0.0001 for row in made["effects_alike"]), "the larger of both nulls"


def test_effects_that_do_not_agree_are_a_null_and_too_few_pairs_no_test(tmp_path):
    (finding,) = substituted(tmp_path, p=0.3)[0].findings
    assert finding.kind == "null" and "no more than with partners shuffled: in 0 of 2" in finding.title
    (finding,) = substituted(tmp_path, because="9 pairs fire, and it takes 10")[0].findings
    assert finding.kind == "warning" and "not tested, because 9 pairs fire" in finding.title
    assert len(finding.lines) == 1


def test_where_ablating_costs_nothing_no_share_is_told(tmp_path):
    section, _ = substituted(tmp_path, ablation_costs=False)
    assert "ablating them costs nothing for sure" in section.findings[0].lines[1]
    assert "not measured" not in "".join(map(str, section.body))


def test_saes_of_which_nothing_fires_on_select_are_told_as_that(tmp_path):
    section, _ = substituted(tmp_path, because="0 pairs fire, and it takes 10", sizes=())
    assert section.findings[0].kind == "warning"
    assert "Arabic for English: no matched feature fires on select" in section.findings[0].lines[0]


def test_a_figure_without_a_matched_feature_says_so(tmp_path):
    nobody = {
        "role": "languages",
        "language": "en",
        "first": "en/0",
        "second": "ar/0",
        "curve": [],
        "features": [],
    }
    figure = substitution_figure([nobody], ["en", "ar"], "1")
    figure.savefig(tmp_path / "substitution.png")
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["not measured"] * 2
