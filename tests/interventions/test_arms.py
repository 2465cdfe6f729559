"""Arms: the features and directions that were put there are found, all are as long, and random ones are like them."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from crosslens.errors import InputError
from crosslens.interventions import arms
from crosslens.interventions.arms import Candidates, Level
from crosslens.sae.model import TopKSAE
from crosslens.tables.codes import Codes, write_codes

D, F = 12, 40


def an_sae():
    sae = TopKSAE(d_in=D, d_sae=F, k=6)
    rng = torch.Generator().manual_seed(0)
    for tensor in sae.state_dict().values():
        tensor.copy_(torch.randn(tensor.shape, generator=rng))
    return sae


def candidates(**given):
    rng = np.random.default_rng(0)
    level = Level(rng.uniform(0.01, 0.5, F), rng.uniform(0.5, 2, F))
    known = {"d": np.zeros(F), "output": np.zeros(F), "attribution": np.zeros(F), "level": level}
    return Candidates(**(known | given))


def at(**values):
    found = np.zeros(F)
    for name, value in values.items():
        found[int(name[1:])] = value
    return found


def test_levels_are_those_of_numpy(tmp_path):
    rng = np.random.default_rng(1)
    z = np.maximum(rng.normal(-0.5, 1, (300, F)), 0).astype(np.float32)
    z[:, 7] = 0
    write_codes(
        tmp_path / "c.zarr", [csr_array(z)], token=np.arange(300), norm=np.ones(300), d_sae=F, sae="x"
    )
    keep = rng.random(300) < 0.6
    found = arms.levels(Codes(tmp_path / "c.zarr"), keep)
    for feature in range(F):
        own = z[keep, feature]
        assert found.frequency[feature] == pytest.approx((own > 0).mean())
        expected = np.percentile(own[own > 0], 99) if (own > 0).any() else 0
        assert found.high[feature] == pytest.approx(expected, rel=1e-6)


def test_each_arm_takes_its_own_features_with_their_signs():
    known = candidates(
        d=at(_1=2.0, _2=-1.5, _3=1.0, _4=0.2),
        output=at(_2=0.9, _4=0.8, _1=0.1),
        attribution=at(_9=-5.0, _1=0.3, _2=-0.2, _3=-1.0),
    )
    found = {arm.method: arm for arm in arms.feature_arms(known, an_sae(), 2, "en")}
    chosen = {name: dict(zip(arm.features, arm.signs, strict=True)) for name, arm in found.items()}
    assert chosen["effect"] == {1: 1, 2: -1}
    assert chosen["output"] == {2: -1, 4: 1}
    assert chosen["attribution"] == {9: -1, 3: -1}
    # 3 and 4 have another sign by attribution, or none
    assert chosen["together"] == {1: 1, 2: -1}
    rows, high = an_sae().W_dec.double().numpy(), known.level.high
    expected = high[1] * rows[1] - high[2] * rows[2]
    assert found["effect"].direction == pytest.approx(expected, rel=1e-5)


def test_an_arm_that_there_is_not_is_told():
    """No candidate says what it promotes, and none has the sign of its attribution."""
    known = candidates(d=at(_1=2.0), attribution=at(_1=-1.0))
    found = arms.feature_arms(known, an_sae(), 2, "en")
    assert [arm.method for arm in found] == ["effect", "attribution"]
    told = {arm["method"]: arm["because"] for arm in arms.empty(found, ["en"])}
    assert {*told} == {"output", "together", *arms.DIRECTION_METHODS} and "agree in sign" in told["together"]


def test_an_arm_of_no_feature_is_refused():
    with pytest.raises(InputError, match="no live feature"):
        arms.feature_arms(candidates(), an_sae(), 2, "en")


def test_directions_find_the_axis_of_gender_whatever_the_language_adds():
    rng = np.random.default_rng(2)
    n, axis, other = 400, np.eye(D)[3], np.eye(D)[5]
    female, language = rng.random(n) < 0.5, np.where(rng.random(n) < 0.5, "en", "ar")
    x = rng.normal(0, 0.3, (n, D)) + np.where(female, 1, -1)[:, None] * axis
    x += np.where(language == "en", 9, -9)[:, None] * other
    found = {arm.method: arm for arm in arms.direction_arms(x, female, language.astype(object), "both")}
    assert set(found) == {"difference", "probe", "pca"}
    for arm in found.values():
        unit = arm.direction / np.linalg.norm(arm.direction)
        assert unit @ axis > 0.95, arm.method
        assert abs(unit @ other) < 0.1
        assert arm.norm == pytest.approx(2, abs=0.15)


def test_every_arm_adds_a_vector_of_the_same_length_towards_female():
    sae, known = an_sae(), candidates(d=at(_1=2.0, _2=-1.5), attribution=at(_1=1.0))
    direction = np.arange(D, dtype=float)
    every = [
        *arms.feature_arms(known, sae, 2, "en"),
        arms.Arm("difference", "en", [], [], float(np.linalg.norm(direction)), direction),
    ]
    x, strength = torch.randn(5, D), torch.tensor([[1.0], [2.0], [-1.0], [0.0], [0.5]])
    for arm in every:
        added = arms.steering(arm, sae, known.level.high, 3.0)(x, strength)
        assert added.norm(dim=1).numpy() == pytest.approx(3 * strength.abs()[:, 0].numpy(), rel=1e-4)
        assert float(added[0].double().numpy() @ arm.direction) > 0


def test_neutral_is_the_middle_of_features_and_along_directions():
    sae, x = an_sae(), torch.randn(30, D, generator=torch.Generator().manual_seed(3))
    middle, centre = np.linspace(0, 1, F), np.linspace(-1, 1, D)
    direction = np.eye(D)[2] * 5
    of_direction = arms.Arm("pca", "en", [], [], 5.0, direction)
    change = arms.neutralising(of_direction, sae, middle, centre)
    whole = x + change(x, torch.ones(30, 1))
    assert whole[:, 2].numpy() == pytest.approx(np.full(30, centre[2]), abs=1e-5)
    half = x + change(x, torch.full((30, 1), 0.5))
    assert half[:, 2].numpy() == pytest.approx((x[:, 2].numpy() + centre[2]) / 2, abs=1e-5)
    of_features = arms.Arm("effect", "en", [4, 9], [1, -1], 1.0, direction)
    added = arms.neutralising(of_features, sae, middle, centre)(x, torch.ones(30, 1))
    z = sae.encode_dense(x)
    expected = (torch.tensor(middle[[4, 9]]).float() - z[:, [4, 9]]) @ sae.W_dec[[4, 9]]
    torch.testing.assert_close(added, expected, atol=1e-4, rtol=1e-4)


def test_random_sets_are_live_like_the_arm_and_of_no_arm(monkeypatch):
    monkeypatch.setattr(arms, "NEAREST", 4)
    sae, rng = an_sae(), np.random.default_rng(4)
    frequency, high = rng.uniform(0.01, 0.5, F), rng.uniform(0.5, 2, F)
    high[30:] = 0
    known = candidates(d=at(_1=2.0, _2=-1.5), level=Level(frequency, high))
    (like,) = [arm for arm in arms.feature_arms(known, sae, 2, "en") if arm.method == "effect"]
    found = arms.random_arms(like, {1, 2, 6}, known.level, sae, 50, rng)
    norm = high * sae.W_dec.double().norm(dim=1).numpy()
    pool = [i for i in range(30) if i not in (1, 2, 6)]
    away = np.abs(np.log(np.array([frequency, norm])[:, pool]) - np.log([[frequency[1]], [norm[1]]]))
    spread = np.log(np.array([frequency, norm])[:, pool]).std(axis=1, keepdims=True)
    nearest = {pool[i] for i in np.argsort(np.linalg.norm(away / spread, axis=0))[:4]}
    assert {arm.features[0] for arm in found} == nearest
    assert all(len({*arm.features}) == 2 and not {*arm.features} & {1, 2, 6} for arm in found)
    assert {sign for arm in found for sign in arm.signs} == {1, -1}
    with pytest.raises(InputError, match="live features"):
        arms.random_arms(like, set(range(29)), known.level, sae, 1, rng)
