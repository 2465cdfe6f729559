"""The first screen: a yes only where the claim holds, the numbers of the records, a null as a null, and what was not asked."""

import re

import pytest
from page_reader import Page
from result_files import arguments, write_study
from stand_in import StandIn

from crosslens.report.answers import biased, layer, shared, steered
from crosslens.report.build import build_report
from crosslens.summary.names import site_order

CHANCE = {"null_low": 0.3, "null_high": 0.7}


def transfer(
    site, source, target, auroc, q=0.001, *, method="difference_of_means", condition="caption", **more
):
    """A record of gender transfer, above chance where auroc > .7."""
    of_families = source != target
    return {
        "site": site,
        "source": source,
        "target": target,
        "method": method,
        "condition": condition,
        "lexical": False,
        "auroc": auroc,
        "auroc_low": auroc - 0.05,
        "auroc_high": auroc + 0.05,
        "q_family": "masked" if of_families else None,
        "q": q if of_families else None,
        "reachable": True,
        "because": None,
        "n": 60,
        "groups": 20,
        **CHANCE,
        **more,
    }


def over_depth(*aurocs):
    """At blocks 2, 4, … of English → Arabic; the other way is always strong."""
    rows = [transfer(f"{2 * i}", "en", "ar", a, 0.001 if a > 0.7 else 0.6) for i, a in enumerate(aurocs, 1)]
    return rows + [transfer(row["site"], "ar", "en", 0.95) for row in rows]


def results(**records):
    sites = sorted({row["site"] for row in records.get("transfer", [])}, key=site_order)
    return StandIn(records, sites=sites)


def shown(answer):
    """label -> (value, interval) as a reader sees them."""
    rows = re.findall(r'class="name">(.*?)</span>.*?class="told">(.*?)</span>', answer.figure)
    return dict(rows)


def test_the_nearest_layer_is_that_whose_weaker_way_is_strongest():
    rows = [*over_depth(0.5, 0.9, 0.8), transfer("4", "en", "en", 0.97), transfer("4", "ar", "ar", 0.96)]
    rows.append(transfer("6", "en", "ar", 0.99, method="logistic"))
    said = shared.answer(results(transfer=rows))
    assert said.kind == "found" and said.verdict.startswith("Yes: in 6 of 7 cases")
    assert (
        "At block 4, caption read: English → Arabic AUROC 0.90 [0.85, 0.95] (random directions to 0.70)"
        in said.verdict
    )
    assert said.verdict.endswith("; n = 60 test pictures in 20 groups.")
    assert shown(said) == {
        "English → Arabic": "0.90 [0.85, 0.95]",
        "Arabic → English": "0.95 [0.90, 1.00]",
        "English in itself": "0.97 [0.92, 1.02]",
        "Arabic in itself": "0.96 [0.91, 1.01]",
    }


def test_the_layer_that_is_shown_need_not_carry_the_answer():
    """By logistic regression alone: what the figure shows, by difference of means, is not beyond chance."""
    rows = [transfer("4", a, b, 0.6, 0.7) for a, b in (("en", "ar"), ("ar", "en"))]
    rows.append(transfer("6", "en", "ar", 0.9, method="logistic"))
    said = shared.answer(results(transfer=rows))
    assert said.kind == "found" and said.verdict.startswith("Yes: in 1 of 3 cases")
    assert said.verdict.count("(random directions to 0.70, not beyond chance)") == 2


def test_features_that_are_shared_no_more_than_by_chance_are_not_called_shared():
    row = {"site": "4", "corpus": "others", "languages": ["en", "ar"], "features": 40, "chance": 3.0}
    row |= {"q_family": "features", "reachable": True, "because": None}
    said = [
        shared.answer(results(transfer=over_depth(0.9), sharing=[row | told])).lines[-2]
        for told in ({"found": 30, "q": 0.001}, {"found": 3, "q": 0.6})
    ]
    assert "others (pretrained) at block 4: 30 of 40 features fire alike in both" in said[0]
    assert "no more than chance" not in said[0] and said[1].endswith(": no more than chance gives.")


def test_a_null_is_a_null_and_what_was_not_tested_is_none():
    nothing = [transfer("2", a, b, 0.55, 0.8) for a, b in (("en", "ar"), ("ar", "en"))]
    assert shared.answer(results(transfer=nothing)).kind == "null"
    few = [{**row, "q": 0.3, "reachable": False} for row in nothing]
    said = shared.answer(results(transfer=few))
    assert said.kind == "warning" and said.verdict.startswith("Not tested, because with so few")
    assert shared.answer(results()).verdict.startswith("Not asked")
    assert layer.answer(results(transfer=nothing)).verdict.startswith("Not asked: block 2 alone")


@pytest.mark.parametrize(
    ("aurocs", "kind", "says"),
    [
        ((0.5, 0.9, 0.9), "found", "From block 4 on, in it and all deeper measured layers; not at block 2 in both ways."),
        ((0.9, 0.5, 0.9), "found", "From block 6 on, in it and all deeper measured layers; not at block 4 in both ways."),
        ((0.9, 0.9, 0.9), "found", "From block 2 on, the first that was measured, in all 3 measured layers."),
        ((0.5, 0.9, 0.5), "found", "At block 4, but not in the last measured layer, block 6."),
        ((0.5, 0.5, 0.5), "null", "At none of the 3 measured layers"),
    ],
)  # fmt: skip
def test_from_which_layer_on(aurocs, kind, says):
    said = layer.answer(results(transfer=over_depth(*aurocs)))
    assert said.kind == kind and said.verdict.startswith(says)
    assert [value.split(" ")[0] for value in shown(said).values()] == [f"{min(a, 0.95):.2f}" for a in aurocs]


def test_one_way_is_not_none_and_what_was_not_tested_is_not_no():
    one_way = [{**row, "q": 0.9} if row["source"] == "en" else row for row in over_depth(0.9, 0.9)]
    said = layer.answer(results(transfer=one_way))
    assert said.kind == "null" and said.verdict == (
        "At none of the 2 measured layers in both ways; in one: Arabic → English at block 2; Arabic → English at block 4."
    )
    few = [{**row, "q": 0.9, "reachable": row["site"] != "2"} for row in over_depth(0.9, 0.9)]
    rows = [{**row, "q": 0.001} if row["site"] == "4" else row for row in few]
    said = layer.answer(results(transfer=rows))
    assert said.kind == "found" and said.verdict.endswith("; not tested in both ways at block 2.")
    assert "not at block 2" not in said.verdict


def differing(language, q, reachable=True):
    return {"language": language, "q_family": "differences", "q": q, "reachable": reachable, "because": None}


def leaning(language, share, q):
    of = {"share": share, "low": share - 0.04, "high": share + 0.04, "units": 80}
    return differing(language, q) | of


@pytest.mark.parametrize(
    ("differences", "tilt", "kind", "says"),
    [
        # one language is no word of the other
        ([("en", 0.01), ("ar", 0.5)], 0.5, "found", " hides the gender. Arabic: not by category beyond chance."),
        ([("en", 0.01), ("ar", 0.5, False)], 0.5, "found", " hides the gender. Arabic: not tested by category."),
        # a model that writes "man" of everybody is biased, and no stereotype
        (
            [("en", 0.4), ("ar", 0.5)],
            0.001,
            "found",
            "Yes, whatever the category. English: 0.06 [0.02, 0.10]: the share of captions that say woman where the picture "
            "hides the gender. By category: not beyond chance.",
        ),
        ([("en", 0.4), ("ar", 0.5)], 0.5, "null", "Not by category, as far as these pictures tell (q > .05)."),
        (
            [("en", 0.4), ("ar", 0.5, False)],
            0.5,
            "null",
            "Not by category, as far as these pictures tell (q > .05). Arabic: not tested by category.",
        ),
    ],
)  # fmt: skip
def test_what_is_written_by_category_and_whatever_it_is(differences, tilt, kind, says):
    shares = [
        {"language": code, "category": name, "share": share, "low": share - 0.1, "high": share + 0.1}
        for code in ("en", "ar")
        for name, share in (("nurse", 0.8), ("engineer", 0.2))
    ]
    told = results(differences=[differing(*of) for of in differences], tilt=[leaning("en", 0.06, tilt)])
    said = biased._written(shares, told)
    assert said.kind == kind and said.verdict.endswith(says)


def an_arm(language, moved, q, **more):
    return {
        "language": language,
        "site": "4",
        "corpus": "joint",
        "method": "effect",
        "found_in": "both",
        "moved": moved,
        "moved_low": moved - 0.01,
        "moved_high": moved + 0.01,
        "q95_random": 0.02,
        "kl": 0.04,
        "valid": 0.975,
        "q": q,
        "reachable": True,
        "because": None,
        **more,
    }


def test_steering_tells_its_price_and_a_yes_needs_the_claim():
    arms = [an_arm("en", 0.2, 0.01), an_arm("en", 0.3, 0.4), an_arm("ar", 0.1, 0.01)]
    said = steered.answer(results(steered=arms))
    assert said.kind == "found" and "in 2 of 3 arms" in said.verdict
    # the furthest of those that are claimed, not of all
    assert "English: P(female) moves by 0.20 [0.19, 0.21]" in said.verdict
    assert "at 0.04 nats a token elsewhere, 98 % of captions valid" in said.verdict
    assert "not beyond random features" not in said.verdict
    assert steered.answer(results(steered=[an_arm("en", 0.3, 0.4)])).kind == "null"
    one = steered.answer(results(steered=[an_arm("en", 0.2, 0.01), an_arm("ar", 0.1, 0.4)]))
    assert "Arabic: not beyond random features: P(female) moves by 0.10" in one.verdict
    few = steered.answer(results(steered=[an_arm("en", 0.3, 0.4, reachable=False)]))
    assert few.kind == "description" and few.verdict.startswith("Described, not tested, because with so few")
    assert steered.answer(results()).verdict == "Not asked: add `steering: {}` to the study."


def test_sentences_in_two_genders_are_described_where_there_are_no_captions():
    own = {
        name: {"value": v, "low": v - 0.05, "high": v + 0.05} for name, v in (("female", 0.6), ("male", 0.8))
    }
    said = biased.answer(results(agreement=[{"language": "ar", "own": own, "q": 0.01}]))
    assert said.kind == "description" and said.evidence == "agreement"
    assert "Arabic: in 60 % [55, 65] behind a woman and 80 % [75, 85] behind a man" in said.verdict


@pytest.mark.parametrize("null", [False, True])
def test_a_page_begins_with_the_answers(tmp_path, null):
    files = write_study(tmp_path / "in", sites=("2",), null=null)
    build_report(**arguments(files, tmp_path, figures={}), out=tmp_path / "index.html")
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    page = Page(html)
    assert html.index('id="answers"') < html.index('id="findings"')
    said = page.text[page.text.index(biased.QUESTION) : page.text.index(shared.QUESTION)]
    assert ("Yes." in said) == (not null) and ("Not by category" in said) == null
    for width in map(float, re.findall(r"(?:left|width):([-\d.]+)%", html)):
        assert -0.01 <= width <= 100.01
