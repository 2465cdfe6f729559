"""Dictionaries matched: known partners are found, two seeds are near the ceiling, frozen and turned ones at the floor."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.stats import binom
from test_sharing import side

from crosslens.alignment import assignment, matching
from crosslens.alignment.assignment import nearest, one_to_one, unit_rows
from crosslens.alignment.clbas import Gendered, agreement
from crosslens.alignment.dictionaries import Dictionary, check_one_site, read_dictionary, turned
from crosslens.errors import InputError
from crosslens.figures.matching import matching_figure
from crosslens.pooling.images import ImageTable
from crosslens.report.sections.matching import section as matching_section
from crosslens.sae.io import save_sae
from crosslens.sae.settings import Settings
from crosslens.sae.step import fresh_state, normalisations, train_step
from crosslens.summary.claims import claimed
from crosslens.summary.records.matching import records
from crosslens.tables.documents import write_json

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from stand_in import StandIn

D, FEATURES = 32, 64
IDENTITY = {"corpus": "en", "site": "4", "seed": "0", "model": "m", "revision": None}


@pytest.fixture(autouse=True, scope="module")
def _few_draws():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "PERMUTATIONS", 199)
        patch.setattr("crosslens.alignment.pairs.PERMUTATIONS", 199)
        yield


def drawn(rng, n=FEATURES, d=D):
    return unit_rows(rng.normal(size=(n, d)))


def dictionary(rows, encoder=None, name="en/0"):
    return Dictionary(name, "digest", rows, rows if encoder is None else encoder)


def test_nearest_is_that_of_a_whole_sort():
    """More rows than a block, from both sides, and a dictionary with fewer rows than are looked for."""
    rng = np.random.default_rng(0)
    for n, m in ((2100, 1500), (1030, 70), (5, 9)):
        first, second = drawn(rng, n), drawn(rng, m)
        forth, back = nearest(first, second)
        cosine = first @ second.T
        for found, values in ((forth, cosine), (back, cosine.T)):
            count = min(assignment.CANDIDATES, values.shape[1])
            expected = -np.sort(-values, axis=1)[:, :count]
            np.testing.assert_allclose(found.cosine, expected, atol=1e-6)
            np.testing.assert_allclose(np.take_along_axis(values, found.index, axis=1), expected, atol=1e-6)


def test_sparse_matching_is_the_dense_one(monkeypatch):
    """On a thousand features of which half have a partner: the same pairs, and the same sum but for what has none."""
    rng = np.random.default_rng(1)
    first, order = drawn(rng, 1000), rng.permutation(1000)
    second = drawn(rng, 1000)
    second[order[:500]] = unit_rows(first[:500] + 0.1 * rng.normal(size=(500, D)))
    dense = one_to_one(first, second, nearest(first, second))
    rows, columns = linear_sum_assignment(-(first @ second.T))
    assert dense.second.tolist() == columns.tolist()
    monkeypatch.setattr(assignment, "DENSE", 100)
    sparse = one_to_one(first, second, nearest(first, second))
    assert sorted(sparse.second) == list(range(1000))
    known = sparse.first < 500
    assert (sparse.second[known] == order[:500]).mean() > 0.99
    assert sparse.cosine.sum() > 0.98 * dense.cosine.sum()


def test_pairs_need_both_cosines_and_one_partner():
    """40 partners by decoder and encoder, 10 whose encoders have swapped partners, 14 whose encoders are other directions."""
    rng = np.random.default_rng(2)
    rows, order = drawn(rng), rng.permutation(FEATURES)
    decoder, encoder = np.empty_like(rows), np.empty_like(rows)
    decoder[order] = rows
    encoder[order] = rows
    encoder[order[40:50]] = rows[np.r_[41:50, 40]]
    encoder[order[50:]] = drawn(rng, 14)
    table, told = matching.compare("languages", dictionary(rows), dictionary(decoder, encoder, "ar/0"))
    assert told["matched"] == FEATURES and told["shared"] == table["shared"].sum() == 40
    assert table["shared"].to_numpy()[:40].all() and (table["partner"] == order).all()
    assert told["mmcs"]["decoder"] == pytest.approx([1, 1], abs=1e-5) == [told["mcc"]["decoder"]] * 2
    curve = dict(zip(matching.THRESHOLDS, told["curve"], strict=True))
    assert curve[0.7] == curve[0.95] == 40 / 64 and curve[0.0] >= curve[0.7]


def test_a_turned_dictionary_keeps_its_own_geometry_and_has_no_partner():
    rng = np.random.default_rng(3)
    own = dictionary(drawn(rng, 300))
    other = turned(own, rng)
    np.testing.assert_allclose(other.decoder @ other.encoder.T, own.decoder @ own.encoder.T, atol=1e-4)
    assert matching.compare("turned", own, other)[1]["shared"] == 0


def test_dead_features_of_a_second_seed_are_nobodys_partners():
    """Two seeds that learned the same forty features, one of them with eighty dead ones beside: a ceiling has no more partners
    than there are."""
    rng = np.random.default_rng(9)
    same = drawn(rng, 40, 128)
    again = np.concatenate([same[rng.permutation(40)], drawn(rng, 80, 128)])
    told = matching.compare("seeds", dictionary(same), dictionary(again))[1]["transport"]
    assert told["partners"] == pytest.approx(1, abs=0.02) and told["cost"] == pytest.approx(0, abs=0.01)
    assert told["on_matched"] > 0.99


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """name -> folder of an SAE: two seeds on one set of planted features, another language that has half of them, and two
    whose decoders are frozen."""
    folder = tmp_path_factory.mktemp("saes")
    generator = torch.Generator().manual_seed(0)
    planted = torch.nn.functional.normalize(torch.randn(96, D, generator=generator), dim=1)

    def made(name, features, seed, architecture="topk"):
        steps = 60 if architecture == "frozen_decoder" else 300
        code = torch.rand(16384, 64, generator=torch.Generator().manual_seed(seed)) < 2 / 64
        strength = 0.5 + torch.rand(16384, 64, generator=torch.Generator().manual_seed(seed + 9))
        x = (code * strength) @ planted[features]
        config = Settings(d_sae=64, k=2, batch_tokens=128, lr=1e-2, architecture=architecture)
        state = fresh_state(config.resolve(d_model=D, tokens=128 * steps), *normalisations(x, D), seed=seed)
        for step in range(steps):
            train_step(state, x[128 * (step % 128) :][:128], steps=steps)
        save_sae(folder / name, state.exported(), identity=IDENTITY, trained_as=architecture)
        return folder / name

    english, arabic = torch.arange(64), torch.arange(32, 96)
    return {
        "en/0": made("en0", english, 0),
        "en/1": made("en1", english, 1),
        "ar/0": made("ar0", arabic, 2),
        "en/frozen": made("enf", english, 3, "frozen_decoder"),
        "ar/frozen": made("arf", arabic, 4, "frozen_decoder"),
    }


def test_trained_dictionaries_stand_between_ceiling_and_floor(trained):
    """Two seeds find nearly all of the same features, two languages the half that they share, frozen decoders none."""
    read = {name: read_dictionary(path, name) for name, path in trained.items()}
    share = {
        pair: (told := matching.compare("languages", read[pair[0]], read[pair[1]])[1])["shared"]
        / told["matched"]
        for pair in (("en/0", "en/1"), ("en/0", "ar/0"), ("en/frozen", "ar/frozen"))
    }
    assert share["en/0", "en/1"] > 0.7, share
    assert 0.25 < share["en/0", "ar/0"] < 0.55, share
    assert share["en/frozen", "ar/frozen"] <= 0.02


def test_dictionaries_are_those_of_the_files_and_of_one_site(trained, tmp_path):
    from crosslens.sae.io import load_sae, sae_digest

    folder = trained["en/0"]
    found, sae = read_dictionary(folder, "en/0"), load_sae(folder)
    assert found.sae == sae_digest(folder)
    for rows, tensor in ((found.decoder, sae.W_dec), (found.encoder, sae.W_enc.T)):
        np.testing.assert_allclose(rows, torch.nn.functional.normalize(tensor, dim=1).numpy(), atol=1e-6)
    assert check_one_site(trained) == {"site": "4", "model": "m"}
    save_sae(tmp_path / "other", sae, identity=IDENTITY | {"site": "5"})
    with pytest.raises(InputError, match="site.*5"):
        check_one_site({"en/0": folder, "ar/0": tmp_path / "other"})
    with pytest.raises(InputError, match="W_enc"):
        read_dictionary(tmp_path, "none")


def test_matched_features_that_fire_alike_are_told_from_those_that_do_not():
    rng = np.random.default_rng(4)
    one = rng.random((60, 8)) * (rng.random((60, 8)) < 0.5)
    other = rng.random((60, 8)) * (rng.random((60, 8)) < 0.5)
    other[:, [6, 7]] = one[:, [0, 1]]
    table = pd.DataFrame(
        {"feature": [0, 1, 2, 3], "partner": [6, 7, 4, 5], "shared": [True, False, True, False]}
    )
    found, told = matching.alike({"en": side(one), "ar": side(other)}, table, 0.05, rng)
    assert (found["q"] <= 0.05).tolist() == [True, True, False, False] and found["r"][0] == pytest.approx(1)
    assert told["found"] == 2 and told["shared_found"] == 1 and told["p"] < 0.05


def test_matched_features_of_unrelated_captions_fire_alike_as_often_as_the_level():
    rng, studies = np.random.default_rng(7), 40
    table = pd.DataFrame({"feature": np.arange(8), "partner": np.arange(8)[::-1], "shared": True})
    claimed = 0
    for _ in range(studies):
        sides = {name: side(rng.random((40, 8)) * (rng.random((40, 8)) < 0.5)) for name in ("en", "ar")}
        claimed += matching.alike(sides, table, 0.05, rng)[1]["p"] <= 0.05
    assert claimed <= binom.ppf(0.99, studies, 0.05)


def test_an_sae_in_which_nothing_fires_is_not_tested_and_says_why(tmp_path):
    """What `compare` and its siblings write of it, through the records to section and figure."""

    def by_gender(values):
        ids = np.array([f"i{i:03d}" for i in range(len(values))], dtype=object)
        return ImageTable(csr_array(values), ids, np.where(np.arange(len(ids)) % 2, "female", "male"), ids)

    rows = np.eye(4, 3, dtype=np.float32)
    alive, dead = (Dictionary(f"{name}/0", "d", rows[:n], rows[:n]) for name, n in (("en", 4), ("ar", 0)))
    rng = np.random.default_rng(0)
    table, pair = matching.compare("languages", alive, dead)
    pair |= {"languages": ["en", "ar"], "shuffled": matching.shuffled(alive, dead, rng), "ceilings": []}
    pair["floors"] = [matching.compare("turned", alive, turned(dead, rng))[1]]
    sides = {name: side(rng.random((40, 4))) for name in pair["languages"]}
    _, pair["activations"] = matching.alike(sides, table, 0.05, rng)
    images = by_gender(rng.random((40, 4)))
    pair["clbas"] = agreement(table, [{"caption": Gendered(np.ones(4, dtype=bool), images)}] * 2, rng)
    assert [row["because"] for row in pair["clbas"]] == ["0 pairs are live in both, and it takes 10"] * 2
    write_json(tmp_path / "matching.json", "matching", {"site": "4", "pairs": [pair]})
    made = records({"matching": {"": tmp_path}})
    assert [(row["tested"], row["share"], row["between"]) for row in made["matching"]] == [
        (False, None, None)
    ] * 2
    claimed(made, 0.05)
    assert made["matched"][0]["because"] == "no feature is matched" and made["matched"][0]["q"] is None
    results = StandIn(made, words={"units": "pictures"})
    section = matching_section(results)
    finding, effects = section.findings
    assert "not tested" in effects.title
    assert finding.kind == "warning" and "English and Arabic were not matched" in finding.title
    assert finding.lines == ["block 4: not tested, because no feature of ar/0 fires."]
    figure = matching_figure([pair], [0.0, 1.0], 0.7, "4")
    assert (
        "not tested, because no feature of ar/0 fires"
        in figure.axes[0].get_title(loc="left") + figure.axes[0].get_title()
    )
