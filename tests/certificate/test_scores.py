"""Scores of estimates whose truth is made up."""

import numpy as np
import pandas as pd
import pytest

from crosslens.certificate.__main__ import main, write
from crosslens.certificate.cited import cited
from crosslens.certificate.measure import CALLS, CERTIFIED, DIRECTIONS, ESTIMATES, FRESH
from crosslens.certificate.scores import scores
from crosslens.stats.resampling import stream

SEEDS = 60
SITE = 3


def table() -> tuple[pd.DataFrame, ...]:
    """Of every seed a graft of effect 2 at one of 16 places, a decoy there, and none at all: `patching` knows, off by a tenth;
    `atp` takes the decoy for real; `relp` says numbers at random. Of features `sharing` knows whose they are, `matching` takes
    half of those of one language for shared."""
    rng, rows, pointed, calls = stream(0, "made up"), [], [], []
    for seed in range(SEEDS):
        for kind in ("shared", "english", "arabic", "none", "nothing"):
            right = kind == "shared"
            score = np.nan if kind == "nothing" else float(right)
            calls.append((seed, "planted", kind, "sharing", "topk", score, float(right)))
            taken = right or (kind in ("english", "arabic") and seed % 2 == 0)
            calls.append((seed, "planted", kind, "matching", "topk", score * 0, float(taken)))
        for kind, method in (
            (k, m) for k in ("shared", "decoy", "none") for m in ("patching", "atp", "relp")
        ):
            for place in range(16):
                site = place == SITE and kind != "none"
                right = {"shared": 2.0, "decoy": 2.0 if method == "atp" else 0.0, "none": 0.0}[kind]
                lost = float(rng.standard_normal()) if method == "relp" else 0.9 * right * site
                truth = 2.0 * (kind == "shared") if site else np.nan
                of = ("planted", kind, method, "mlp_out", place, 0, "last", "en", True, site)
                rows.append((seed, *of, lost, truth, 2.0 * (kind == "shared")))
        for kind in ("shared", "decoy", "none"):
            of = ("planted", kind, "difference", 1)
            pointed.append((seed, *of, 1.0 if kind == "shared" else rng.uniform(), 0.5, 3.0, 2.0))
    return tuple(
        pd.DataFrame(of, columns=[*names]).astype(names)
        for of, names in ((rows, ESTIMATES), (pointed, DIRECTIONS), (calls, CALLS))
    )


@pytest.fixture(scope="module")
def found():
    return scores(*table(), bootstraps=200, seed=0)


def test_who_knows_scores_1_and_who_does_not_a_half(found):
    of = {record["method"]: record for record in found["places"]}
    assert of["patching"]["recovery"]["value"] == of["atp"]["recovery"]["value"] == 1
    chance = of["relp"]["recovery"]
    assert chance["low"] < 0.5 < chance["high"] and chance["high"] - chance["low"] < 0.25
    assert chance["n"] == SEEDS
    assert of["patching"]["error"]["value"] == pytest.approx(0.1)
    (direction,) = found["directions"]
    assert direction["recovery"]["value"] == 1 and direction["error"]["value"] == pytest.approx(0.5)


def test_what_is_claimed_of_decoys_and_of_nothing(found):
    assert found["threshold"] == 1
    of = {record["method"]: record for record in found["claims"] if record["of"] == "places"}
    shares = {
        name: {of: record[of]["value"] for of in ("true", "decoy", "planted")} for name, record in of.items()
    }
    assert shares["patching"] == {"true": 1, "decoy": 0, "planted": None}
    assert shares["atp"] == {"true": 1, "decoy": 1, "planted": 0}
    # P(|z| >= 1) of a standard normal number
    assert shares["relp"]["planted"] == pytest.approx(0.317, abs=0.05)
    assert of["patching"]["silent"]["value"] is None


def test_who_is_told_whose_a_feature_is(found):
    of = {record["method"]: record for record in found["calls"]}
    shares = {
        name: [record[of]["value"] for of in ("shared", "one", "planted", "nothing")]
        for name, record in of.items()
    }
    assert shares == {"sharing": [1, 0, 0, 0], "matching": [1, 0.5, 0, 0]}
    assert of["sharing"]["recovery"]["value"] == 1 and of["matching"]["recovery"]["value"] == 0.5
    assert of["matching"]["one"]["n"] == SEEDS


def test_seeds_of_development_are_no_certificate(tmp_path):
    for first, warned in ((0, True), (CERTIFIED, False)):
        write(tmp_path, [table()], first, 4)
        page = (tmp_path / "index.html").read_text(encoding="utf-8")
        assert ("no certificate" in page) == warned
        assert "AtP" in page and "1.00" in page and ">nan" not in page
    text = "before\n<!-- certificate: compact -->\nold\n<!-- /certificate -->\nbehind\n"
    now = cited(text, tmp_path / "certificate.json")
    assert now.startswith("before\n") and now.endswith("\nbehind\n") and "old" not in now
    # half of the grafts of one language are taken for shared
    assert f"| whose is an SAE's feature | matching | {SEEDS} | 0.50 in all | – | 0.50 [" in now
    assert f"| where | AtP | {SEEDS} | 1.00 in all | 0.10 in all | 1.00 in all |" in now
    assert cited(now, tmp_path / "certificate.json") == now
    assert CERTIFIED == 1000 <= FRESH
    with pytest.raises(SystemExit):
        main(["--models", "resources", "--out", str(tmp_path), "--cases", "1"])
