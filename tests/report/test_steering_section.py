"""What the page says of steering: what moves further than random features, a null plainly, and what so few sets cannot tell."""

import numpy as np
import pandas as pd
import pytest
from stand_in import StandIn

from crosslens.figures.steering import draw_steering_figures
from crosslens.report.sections import steering
from crosslens.summary.claims import claimed
from crosslens.summary.records import steering as steering_records
from crosslens.tables.documents import read_table, write_json, write_table

STRENGTHS = [-1.0, 1.0]


def score(value):
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def written(**more):
    names = ("female_per_100_words male_per_100_words female_share male_share words_per_caption repetition valid cause isolation "
             "disentanglement ended perplexity").split()  # fmt: skip
    return dict.fromkeys(names, 0.5) | {"captions": 9} | more


def an_arm(method, found_in, moved, p, *, least_p=0.001, changes=True):
    beside = {"mean": 0.01, "q95": 0.02, "ratio": moved / 0.02, "p": p, "least_p": least_p}
    return {
        "method": method,
        "found_in": found_in,
        "features": [{"feature": 3, "sign": -1}] if method == "effect" else [],
        "norm": 1.0,
        "largest_change": moved,
        "changes": changes,
        "strength": 1.0,
        "within_budget": True,
        "kl": {"female": 0.02, "male": 0.05},
        "moved_on_select": moved,
        "moved": score(moved),
        "log_odds": {"female": 1.0, "male": -1.0},
        "slope": score(1.0),
        "anti_steerable": 0.1,
        "random": {"same_length": beside, "same_damage": beside, "same_activations": None},
        "neutralised": {
            "left": score(0.1),
            "removed": score(0.2),
            "kl": 0.01,
            "random_q05": 0.29,
            "p": 0.001,
        },
        "captions": {way: written() for way in ("female", "male", "neutral")} | {"male": written(valid=1.0)},
    }


def a_section(folder, arms, **before):
    """English with these arms; before: of what it says without an edit."""
    doses = pd.DataFrame(
        [
            {"language": "en", "method": method, "found_in": source, "how": how, "strength": strength}
            | {"p_female": 0.5 + strength / 4, "low": 0.2, "high": 0.8, "log_odds": strength, "left": 0.2, "kl": 0.01}
            for method, source in [*((arm["method"], arm["found_in"]) for arm in arms), ("random", "0")]
            for how, strength in [*(("steer", s) for s in STRENGTHS), ("neutralise", 1.0)]
        ]
    )  # fmt: skip
    of = {"items": {"select": 8, "test": 9}, "left_out": {"select": 0, "test": 1}, "groups": 9}
    of |= {
        "damage_positions": 80,
        "p_female": score(0.4),
        "left": score(0.3),
        "captions": written(),
        "hidden": True,
        "asked": written(female_per_100_words=0.125, cause=0.75),
        "arms": arms,
    }
    document = {"site": "4", "sae": "d", "outcome": "pictures", "languages": ["en"], "max_kl": 0.1}
    empty = (
        [{"method": "output", "found_in": "ar", "because": "none is"}] if before.pop("empty", False) else []
    )
    document |= {"random_sets": 20, "length": 3.0, "of": {"en": of | before}, "empty_arms": empty}
    write_json(folder / "steering.json", "steering", document)
    write_table(folder / "doses.parquet", "steering_doses", doses)
    records = steering_records.records({"steering": {"joint": folder}})
    claimed(records, 0.05)
    return steering.section(StandIn(records))


def test_what_moves_further_is_found_and_the_furthest_of_these_is_told(tmp_path):
    arms = [an_arm("effect", "en", 0.3, 0.001), an_arm("probe", "ar", 0.4, 0.9)]
    section = a_section(tmp_path, arms)
    (finding,) = section.findings
    assert finding.kind == "found" and "in 1 of 2 arms" in finding.title
    assert "effect size, found in English, which moves P(female) by 0.30" in finding.title
    assert "0.300 [0.290, 0.310], 95 % of random sets by at most 0.020" in finding.lines[0]
    assert "KL elsewhere 0.050" in finding.lines[0], "the worse of both ways"
    assert "joint/4/dose_response" in "".join(map(str, section.body))
    draw_steering_figures(steering=tmp_path, out=tmp_path / "figures")
    assert all(
        (tmp_path / f"figures/{name}.png").stat().st_size > 5000 for name in ("dose_response", "frontier")
    )


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"p": 0.4}, "null", "no arm moves what the model says of gender further than random features do"),
        # further than random features, the other way
        ({"p": 0.001, "moved": -0.3}, "null", "in 0 of 1 arms"),
        ({"p": 0.06, "least_p": 0.06}, "warning", "not tested, because with so few random sets"),
        ({"p": 0.001, "changes": False}, "warning", "not tested, because it changes no logit at all"),
    ],
)
def test_nulls_and_what_was_not_tested(tmp_path, given, kind, words):
    (finding,) = a_section(tmp_path, [an_arm("effect", "en", **({"moved": 0.3} | given))]).findings
    assert finding.kind == kind and words in finding.title


def test_what_was_not_measured_is_said(tmp_path):
    """The bias of pictures that show the gender, and the prompt that asks for none."""
    arms = [an_arm("effect", "en", 0.3, 0.001)]
    shown = a_section(tmp_path, arms, hidden=False, left=dict.fromkeys(("value", "low", "high")))
    (_, left) = shown.findings
    assert left.kind == "warning" and "because no picture of test hides the gender" in left.lines[0]
    doses = read_table(tmp_path / "doses.parquet", "steering_doses").assign(left=np.nan)
    write_table(tmp_path / "doses.parquet", "steering_doses", doses)
    draw_steering_figures(steering=tmp_path, out=tmp_path / "figures")
    assert (tmp_path / "figures/frontier.png").stat().st_size > 3000
    section = a_section(tmp_path, arms, asked={"not_possible": "it has not the words"})
    assert "was not tried, because it has not the words" in section.findings[1].lines[0]
    section = a_section(tmp_path, arms, empty=True)
    assert (
        "output score, found in Arabic: there is no such arm, because none is." in section.findings[1].lines
    )
    section = a_section(tmp_path, arms)
    assert len(section.findings) == 1
    assert "0.125" in "".join(map(str, section.body)) and "0.750" in "".join(map(str, section.body))


def test_captions_are_told_as_the_mean_of_both_ways(tmp_path):
    records = a_section(tmp_path, [an_arm("effect", "en", 0.3, 0.001)])
    assert records is not None
    (row,) = steering_records.records({"steering": {"joint": tmp_path}})["steered"]
    assert row["valid"] == np.mean([0.5, 1.0]) and row["kl"] == 0.05
