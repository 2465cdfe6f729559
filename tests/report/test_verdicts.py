"""Claims that run: which live, which die, and what kills them, on records whose truth is written down."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from stand_in import StandIn

from crosslens.errors import InputError
from crosslens.report.sections import verdicts
from crosslens.study.claims import read_claims
from crosslens.summary.verdicts import depth, judge_claims, middle
from crosslens.tables.documents import read_json, write_json

BASE = """statement: Probes read gender.
source: here
records: probes
where: {{condition: caption}}
value: auroc
units: [{units}]
{more}
"""
ALL = "interval: [low, high]\nabove: 0.6"


def probe(language, site, value, *, half=0.02, condition="caption"):
    return {
        "language": language,
        "site": site,
        "condition": condition,
        "auroc": value,
        "low": value - half,
    } | {"high": value + half}


@pytest.fixture
def judged(tmp_path):
    """more: of the claim's file; studies -> records of probes, their roles → the claim with its verdict."""

    def judge(more, studies, roles, units="language"):
        (tmp_path / "claims").mkdir(exist_ok=True)
        (tmp_path / "claims/one.yaml").write_text(BASE.format(more=more, units=units))
        paths = {name: tmp_path / f"{name}.json" for name in studies}
        for name, records in studies.items():
            write_json(paths[name], "summary", {"records": {"probes": records}})
        out = tmp_path / "verdicts.json"
        judge_claims(summaries=paths, claims=read_claims([], tmp_path / "claims"), roles=roles, out=out)
        (claim,) = read_json(out, "verdicts")["claims"]
        return claim

    return judge


def layers(value, control=None, sites="234"):
    return [probe(language, site, value) for language in ("en", "ar") for site in sites]


def test_a_claim_lives_dies_or_is_undecided_by_its_units(judged):
    lives = judged(ALL, {"own": layers(0.8)}, {"own": ""})
    assert (lives["verdict"], lives["units"]) == ("lives", {"all": 6, "holds": 6, "fails": 0, "open": 0})
    assert judged(ALL, {"own": layers(0.5)}, {"own": ""})["verdict"] == "dies"
    # the threshold is inside of every interval
    assert judged(ALL, {"own": layers(0.61)}, {"own": ""})["verdict"] == "undecided"
    assert judged(ALL, {"own": layers(0.8) + layers(0.5, sites="56")}, {"own": ""})["verdict"] == "undecided"
    # of another condition there is nothing that the claim is about
    prompts = [probe("en", "2", 0.9, condition="prompt")]
    assert judged(ALL, {"own": prompts}, {"own": ""})["verdict"] == "not tested"
    # another study counts as much, where it must hold too
    other = judged(ALL, {"own": layers(0.8), "twin": layers(0.5)}, {"own": "", "twin": ""})
    assert other["verdict"] == "undecided" and other["units"]["fails"] == 6


def test_a_control_that_reaches_as_much_kills_and_one_that_is_not_there_leaves_it_undecided(judged):
    more = f"{ALL}\ncontrols: [shuffled]"
    control = {"own": "", "own__shuffled": "shuffled"}
    killed = judged(more, {"own": layers(0.8), "own__shuffled": layers(0.81)}, control)
    assert killed["verdict"] == "dies" and "killed by own__shuffled" in killed["because"]
    assert killed["controls"]["own__shuffled"] == {"told": "reached", "units": 6, "clear": 0, "reached": 6}
    assert judged(more, {"own": layers(0.8), "own__shuffled": layers(0.7)}, control)["verdict"] == "lives"
    # below, but their intervals touch
    near = judged(more, {"own": layers(0.8), "own__shuffled": layers(0.79)}, control)
    assert near["verdict"] == "undecided" and "not clear of own__shuffled" in near["because"]
    missing = judged(more, {"own": layers(0.8)}, {"own": ""})
    assert missing["verdict"] == "undecided" and missing["because"].endswith("not put beside shuffled")
    # a study in which there is nothing to find kills any claim
    nothing = judged(ALL, {"own": layers(0.8), "null": layers(0.8)}, {"own": "", "null": "without"})
    assert nothing["verdict"] == "dies"
    # a claim that something is small is killed by what is as small
    small = judged(
        "below: 0.9\ncontrols: [shuffled]", {"own": layers(0.8), "own__shuffled": layers(0.7)}, control
    )
    assert small["verdict"] == "dies"


def test_what_is_relative_to_a_control_needs_it(judged):
    more = "below: 0.5\nrelative_to: romanised"
    roles = {"own": "", "own__romanised": "romanised"}
    told = judged(more, {"own": layers(0.8), "own__romanised": layers(0.2)}, roles)
    assert told["verdict"] == "lives" and {e["value"] for e in told["estimates"]} == {0.25}
    alone = judged(more, {"own": layers(0.8)}, {"own": ""})
    assert (alone["verdict"], alone["because"]) == ("not tested", "no control romanised was built")


def test_contrasts_take_the_largest_of_each_side(judged):
    more = "interval: [low, high]\nestimator: contrast\ncontrast: {field: language, of: ar, than: [en, fr]}\nabove: 0"
    records = [probe("ar", "2", 0.8), probe("en", "2", 0.7), probe("fr", "2", 0.75), probe("ar", "3", 0.9)]
    claim = judged(more, {"own": records}, {"own": ""}, units="condition")
    half = 0.02 * np.sqrt(2)
    (told,) = claim["estimates"]
    assert (told["unit"], told["state"]) == (["caption", "2"], "holds")
    assert (told["value"], told["low"], told["high"]) == pytest.approx((0.05, 0.05 - half, 0.05 + half))


def test_depth_and_middle_are_scipys_and_three_layers_decide_nothing():
    rng = np.random.default_rng(0)
    values = rng.normal(size=9)
    told = depth(values)
    r = stats.spearmanr(np.arange(9), values).statistic
    half = 1.959963984540054 * np.sqrt((1 + r**2 / 2) / 6)
    assert told == pytest.approx((r, np.tanh(np.arctanh(r) - half), np.tanh(np.arctanh(r) + half)))
    told = middle(values)
    inside, outside = values[3:6], values[[0, 1, 2, 6, 7, 8]]
    interval = stats.ttest_ind(inside, outside, equal_var=False).confidence_interval()
    assert told == pytest.approx((inside.mean() - outside.mean(), interval.low, interval.high))
    for estimate in (depth(values[:3]), middle(values[:3])):
        assert (estimate.low, estimate.high) == (-np.inf, np.inf)
    # in noise the interval of depth holds 0 in some 95 of 100
    held = [told.low <= 0 <= told.high for told in (depth(rng.normal(size=8)) for _ in range(400))]
    assert 0.9 <= np.mean(held) <= 0.99


def test_the_page_says_which_and_why(tmp_path, judged):
    judged(
        f"{ALL}\ncontrols: [shuffled]",
        {"own": layers(0.8), "own__shuffled": layers(0.81)},
        {"own": "", "own__shuffled": "shuffled"},
    )
    section = verdicts.section(StandIn({}, files={"verdicts": {"": tmp_path / "verdicts.json"}}))
    (finding,) = section.findings
    assert finding.title == "1 statement: 1 dies."
    assert finding.lines == [
        "Killed by a control: Probes read gender. (holds in 6 of 6 units, fails in 0; killed by own__shuffled, "
        "at least as much there)"
    ]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("above: 1\nbelow: 2", "exactly one of the two"),
        ("above: 1\nestimator: contrast", "the section contrast"),
        ("above: 1\ninterval: [low]", "two fields"),
        ("above: 1\nestimator: median", "estimator"),
        ("above: 1\nabov: 2", "abov"),
    ],
)
def test_files_that_say_no_claim_are_refused(tmp_path, more, said):
    (tmp_path / "one.yaml").write_text(BASE.format(more=more, units="language"))
    with pytest.raises(InputError, match=said):
        read_claims([], tmp_path)


def test_names_and_fields_that_are_not_there_are_told(tmp_path, judged):
    with pytest.raises(InputError, match="middle_layers_share"):
        read_claims(["midle_layers_share"], Path(__file__).parents[2] / "claims")
    with pytest.raises(InputError, match="claim one, field less.null.*auroc"):
        judged("above: 0\nless: less.null", {"own": layers(0.8)}, {"own": ""})
