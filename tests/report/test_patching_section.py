"""What the page says of patches whose recoveries are known: what was brought over, a null plainly, what was not told as that."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from crosslens.figures.patching import draw_patching_figures
from crosslens.interventions.outcomes import CLASSES
from crosslens.interventions.recovery import COLUMNS, METHODS, maps, recoveries, told
from crosslens.report.sections import patching
from crosslens.summary.patching_names import POSITIONS
from crosslens.tables.documents import write_json, write_table

GROUPS, LAYERS = 12, 3
BOUND = {"bound": 1.0}
DRAWS = {"bootstraps": 100, "seed": 0}


def planted(*, difference=4.0, across=0.5, language="en", random=0.0, elsewhere=0.25, romanised=0.0):
    """Effects of which R is known: the word's state hands over to the last position at block 1.

    Of another language the state of the same gender moves .2 of the difference, that of the other gender as much and `across`;
    of its controls a random step `random` more, another pair's state of the other gender `elsewhere` more than that of the same
    one, and one in Latin letters `romanised` more.
    """
    rng, rows = np.random.default_rng(0), []
    known = {"word": (1.0, 0.5, 0.0), "last": (0.0, 0.5, 1.0), "all": (1.0,)}
    for group in range(GROUPS):
        for side, (variant, direction) in enumerate((("female", "noising"), ("male", "denoising"))):
            own = difference * (0.5 - side)
            base = {"swap": "gender", "group": f"g{group}", "case": group, "language": language}
            base |= {"variant": variant, "direction": direction, "kind": "resid_post", "node": 0}
            base |= {"outcome": own, "outcome_other": -own}
            for positions, shares in known.items():
                for layer, share in enumerate(shares):
                    donors = {("other", "en"): share}
                    if positions != "all":
                        donors |= {("random", "en"): 0.1, ("same_elsewhere", "en"): 0.05}
                        donors |= {("other_elsewhere", "en"): share / 2}
                        donors |= {("other", "ar"): 0.2 + across * share, ("same", "ar"): 0.2}
                        donors |= {("random", "ar"): 0.2 + random * share, ("same_elsewhere", "ar"): 0.3}
                        donors |= {("other_elsewhere", "ar"): 0.3 + elsewhere * share}
                        donors |= {("other_romanised", "ar"): 0.1 + romanised * share}
                        donors |= {("same_romanised", "ar"): 0.1}
                    for (donor, source), of in donors.items():
                        noise = 0.0 if positions == "all" else 0.02 * rng.standard_normal()
                        effect = -2 * own * (of + noise)
                        said = dict.fromkeys(METHODS, np.nan)
                        if (donor, source) == ("other", "en") and positions != "all" and group < 6:
                            said |= {"atp": effect / 2, "relp": effect + 0.01}
                        rows.append(
                            base
                            | {"source": source, "donor": donor, "layer": layer, "positions": positions}
                            | {"outcome_patched": own + effect}
                            | said
                        )
    return pd.DataFrame(rows)[[*COLUMNS]].astype(COLUMNS)


def a_circuit(by, cpr):
    """Of 40 nodes, the ninth of which is the last that matters."""
    points = [{"nodes": n, "f": of(min(1.0, n / 8))} for n in (0, 2, 8, 20, 40)]
    about = {"swap": "gender", "language": "en", "by": by, "total": 40, "points": points}
    return about | {"cpr": of(cpr), "cmd": of(1 - cpr)}


def of(value):
    return {"n": GROUPS, "value": value, "low": value - 0.1, "high": value + 0.1}


def shown(folder, effects):
    """The section of these, and its document."""
    folder.mkdir(exist_ok=True)
    write_table(folder / "effects.parquet", "patching_effects", effects)
    write_table(folder / "maps.parquet", "patching_maps", maps(recoveries(effects, 1.0), **DRAWS))
    document = {
        "languages": ["en", "ar"],
        "attributed": 6,
        "swaps": {
            "gender": {"cases": GROUPS, "drawn": GROUPS, "first_token": 0},
            "caption": {"cases": 0, "drawn": 0, "first_token": 0},
        },
        **BOUND,
        **told(effects, **BOUND, **DRAWS),
        "circuits": [a_circuit("effect", 0.8), a_circuit("random", 0.4)],
    }
    write_json(folder / "patching.json", "patching", document)
    results = SimpleNamespace(files={"patching": {"": folder}}, shown=lambda *names: " ".join(names))
    return patching.section(results), document


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    return shown(tmp_path_factory.mktemp("known"), planted())


def test_recoveries_are_those_that_were_planted(known, tmp_path):
    section, document = known
    words = "".join(map(str, section.body))
    assert "leave 0.000 of R = 1 at most" in words.replace("&lt;", "<"), "and no markup is shown as words"
    assert "&lt;data" not in words
    by_place = {(row["positions"], row["layer"]): row for row in document["controls"]}
    for place, share in {("word", 0): 1, ("word", 1): 0.5, ("last", 0): 0, ("last", 2): 1}.items():
        row = by_place[place]
        assert row["other"]["n"] == GROUPS
        assert row["other"]["low"] <= share <= row["other"]["high"]
        assert row["other"]["high"] - row["other"]["low"] < 0.05
        assert row["random"]["value"] == pytest.approx(0.1, abs=0.02)
        assert row["same_elsewhere"]["value"] == pytest.approx(0.05, abs=0.02)
    assert document["all_patched"] == {"n": 2 * GROUPS, "largest_error": pytest.approx(0, abs=1e-9)}
    (pair,) = [pair for pair in document["pairs"] if not pair["text"]]
    assert (pair["pairs"], pair["kept"], pair["difference"], pair["positive"]) == (GROUPS, GROUPS, 4.0, 1.0)


def test_between_languages_only_what_tells_gender_counts(known):
    section, document = known
    of = {
        row["control"]: row
        for row in document["interchange"]
        if (row["source"], row["positions"], row["layer"]) == ("ar", "word", 0)
    }
    assert of[""]["other"]["value"] == pytest.approx(0.7, abs=0.02)
    expected = {"": 0.5, "elsewhere": 0.25, "romanised": 0.0, "random": 0.0}
    assert {*of} == {*expected}
    for control, difference in expected.items():
        assert of[control]["difference"]["value"] == pytest.approx(difference, abs=0.02)
        if control:
            assert of[control]["beyond"]["value"] == pytest.approx(0.5 - difference, abs=0.03)
            assert of[control]["beyond"]["n"] == GROUPS
    # all groups of one sign: the rarest of 2 ** 12 patterns, both ways, in three blocks
    assert of[""]["p"] == 2 / 2**GROUPS and of[""]["q"] <= 3 * of[""]["p"]
    assert of[""]["beyond"]["value"] is None
    own = [row for row in document["interchange"] if row["source"] == "en"]
    assert own and all(row["same"]["value"] == 0 for row in own)
    (finding,) = [
        f
        for f in section.findings
        if f.title.startswith("Arabic into English, gendered words swapped, gendered words:")
    ]
    assert finding.kind == "description" and "behind blocks 0, 1 (" in finding.title
    assert any("English's own state of the other gender there: R = 1.0" in line for line in finding.lines)
    (elsewhere,) = [line for line in finding.lines if line.startswith("Of another pair there")]
    assert "other − same = 0.2" in elsewhere and "goes further behind blocks 0, 1" in elsewhere


def test_a_state_that_does_no_more_than_a_random_step_is_a_null(tmp_path):
    """Other − same is .5 with certainty, and so is that of a step in no direction."""
    section, document = shown(tmp_path / "random", planted(random=0.5))
    above = [row for row in document["interchange"] if row["control"] == "" and row["source"] == "ar"]
    assert any(row["difference"]["low"] > 0.4 and row["q"] < 0.01 for row in above)
    found = [finding for finding in section.findings if "Arabic into English" in finding.title]
    assert found and {finding.kind for finding in found} == {"null"}
    assert all("random step as long; the most" in finding.title for finding in found)


def test_latin_letters_that_the_model_does_not_read_are_no_null(tmp_path):
    """Pairs that hardly differ in these letters: not measured, and how many there were."""
    effects = planted()
    latin = effects["donor"].str.endswith("_romanised")
    for name in ("outcome", "outcome_other", "outcome_patched"):
        effects.loc[latin, name] *= 0.05
    theirs = effects[latin].assign(language="ar", source="en")
    section, document = shown(tmp_path / "latin", pd.concat([effects, theirs], ignore_index=True))
    counts = {(pair["language"], pair["text"]): (pair["pairs"], pair["kept"]) for pair in document["pairs"]}
    assert counts == {("en", None): (12, 12), ("en", "romanised"): (12, 0), ("ar", "romanised"): (12, 0)}
    assert not any(row["control"] == "romanised" for row in document["interchange"])
    (finding,) = [
        f
        for f in section.findings
        if "Arabic into English" in f.title and "swapped, gendered words:" in f.title
    ]
    (latin,) = [line for line in finding.lines if line.startswith("In Latin letters")]
    assert "of 12 pairs of Arabic 0 differ by 1 nats" in latin and "other − same" not in latin
    words = "".join(map(str, section.body))
    assert "Arabic in Latin letters" in words and "English in Latin letters" not in words


def test_a_language_that_tells_nothing_is_a_null(tmp_path):
    section, _ = shown(tmp_path / "null", planted(across=0.0))
    found = [finding for finding in section.findings if "Arabic into English" in finding.title]
    assert {finding.kind for finding in found} <= {"null", "description"}
    nulls = [finding for finding in found if finding.kind == "null"]
    assert nulls and all("behind no block" in finding.title for finding in nulls)


def test_pairs_that_hardly_differ_are_no_null(tmp_path):
    section, document = shown(tmp_path / "alike", planted(difference=0.5))
    assert document["pairs"][0]["kept"] == 0 and document["controls"] == []
    assert section.findings[0].kind == "warning" and "no pair differs by 1 nats" in section.findings[0].title


def test_attributions_are_compared_with_the_patches(known):
    section, document = known
    of = {row["method"]: row for row in document["attribution"] if row["layer"] is None}
    assert set(of) == {"atp", "relp"}
    assert of["atp"]["pearson"]["value"] == pytest.approx(1) and of["atp"]["total_error"] == pytest.approx(
        0.5
    )
    assert of["relp"]["total_error"] < 0.02 and of["atp"]["n"] == 6 * 2 * 6
    assert "Not measured, for want of pairs: words before." in "".join(map(str, section.body))
    assert "effects of patches" in "".join(map(str, section.body))
    assert any("AtP 1.00" in line for finding in section.findings for line in finding.lines)


def test_both_directions_are_told_apart(known):
    """A place that is enough, and is not needed: R is 1 in the corrupt run and 0 in the clean one."""
    effects = planted()
    needless = (
        (effects["direction"] == "noising") & (effects["positions"] == "word") & (effects["layer"] == 0)
    )
    effects.loc[needless, "outcome_patched"] = effects.loc[needless, "outcome"]
    of = next(
        row
        for row in told(effects, **BOUND, **DRAWS)["controls"]
        if (row["positions"], row["layer"]) == ("word", 0)
    )
    assert of["denoising"]["value"] == pytest.approx(1, abs=0.05) and of["noising"]["value"] == 0
    assert of["other"]["value"] == pytest.approx(0.5, abs=0.05)


def test_what_is_said_of_every_place_alike_tells_none_apart():
    """The right way for every run, and as much at every place: no correlation, though nats against nats have one."""
    effects = planted()
    made = effects["atp"].notna()
    towards = np.sign(effects["outcome_other"] - effects["outcome"])
    noise = 0.01 * np.random.default_rng(1).standard_normal(len(effects))
    effects.loc[made, "atp"] = (towards * (2 + noise))[made]
    (row,) = [
        row
        for row in told(effects, **BOUND, **DRAWS)["attribution"]
        if row["layer"] is None and row["method"] == "atp"
    ]
    effect = (effects["outcome_patched"] - effects["outcome"])[made]
    assert np.corrcoef(effect, effects["atp"][made])[0, 1] > 0.7
    assert abs(row["pearson"]["value"]) < 0.3 and row["sign"] > 0.9


def test_a_language_without_pairs_and_one_group_are_no_nulls(known, tmp_path):
    section, _ = known
    (left,) = [finding for finding in section.findings if "patches were not made" in finding.title]
    assert left.kind == "warning" and left.title.startswith("Arabic, gendered words swapped")
    effects = planted(across=0.0)
    alone, _ = shown(tmp_path / "alone", effects[effects["group"] == "g0"])
    found = [finding for finding in alone.findings if "Arabic into English" in finding.title]
    assert found and {finding.kind for finding in found} == {"warning"}


def test_it_is_drawn(known, tmp_path):
    shown(tmp_path / "data", planted())
    draw_patching_figures(patching=tmp_path / "data", out=tmp_path / "figures")
    for name in ("patching", "patched_heads", "interchange", "attribution"):
        assert (tmp_path / f"figures/{name}.png").stat().st_size > 5000


def test_components_are_told_of_pictures_alone(tmp_path):
    """What is given of the picture, and of halves of blocks those that bring over most."""
    effects = planted()
    _, document = shown(tmp_path / "words", effects)
    assert document["components"] == []
    rows = (effects["donor"] == "other") & (effects["source"] == "en") & (effects["positions"] == "word")
    own = effects[rows & (effects["layer"] == 0)].assign(**dict.fromkeys(METHODS, np.nan))
    parts = [own.assign(kind="resid_pre", positions="image", outcome_patched=own["outcome_other"])]
    for layer, share in enumerate((0.1, 0.6, 0.0)):
        moved = own["outcome"] + share * (own["outcome_other"] - own["outcome"])
        parts.append(own.assign(kind="mlp_out", layer=layer, positions="all", outcome_patched=moved))
    pictured = pd.concat([effects, *parts], ignore_index=True).assign(swap="category")
    section, document = shown(tmp_path / "pictures", pictured)
    found = {(row["kind"], row["layer"]): row["recovery"]["value"] for row in document["components"]}
    assert found[("resid_pre", 0)] == pytest.approx(1) and found[("mlp_out", 1)] == pytest.approx(0.6)
    assert "projector" in "".join(map(str, section.body))


def test_every_class_of_positions_has_words_on_page_and_figure():
    """All of them but `all`, which is what everything together recovers."""
    assert {*POSITIONS} == {*CLASSES} - {"all"}
