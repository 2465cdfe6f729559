import numpy as np
import pytest
from scipy.sparse import csr_array

from crosslens.features.specialists import find_specialists, image_means

NAMES = np.array([f"job{i}" for i in range(8)], dtype=object)


def draw(seed: int, *, images: int = 160, features: int = 60, planted: int = 0):
    """Pooled activations at random; feature i of the first `planted` is strong in 85 % of category i."""
    rng = np.random.default_rng(seed)
    category = NAMES[np.arange(images) % len(NAMES)]
    values = rng.gamma(2, 1, (images, features)) * (rng.random((images, features)) < 0.3)
    for i in range(planted):
        values[:, i] = 0
        inside = (category == NAMES[i]) & (rng.random(images) < 0.85)
        values[inside, i] = 5 + rng.random(inside.sum())
    return csr_array(values.astype(np.float32)), category


def find(planted: int, seed: int, **options):
    select, test = draw(seed, planted=planted), draw(seed + 1000, planted=planted)
    return find_specialists(*select, *test, seed=0, **{"permutations": 100, **options})


def test_planted_specialists_are_found_with_small_p():
    result = find(planted=3, seed=1)
    features = {entry["category"]: entry for entry in result["features"]}
    for i in range(3):
        entry = features[NAMES[i]]
        assert entry["feature"] == i and entry["specialist"]
        assert entry["score"] == entry["inside"] - entry["outside"] > 10
        assert entry["p"] == pytest.approx(1 / 101)
    assert result["found"] >= 3 > result["expected_by_chance"]
    assert result["found_p"] < 0.05


def test_without_specialists_the_count_is_what_chance_gives():
    """Two categories of one size: half of all scores are above 0 whatever the feature."""
    found, expected, p = [], [], []
    for seed in range(30):
        (select, _), (test, _) = draw(seed, images=40), draw(seed + 1000, images=40)
        category = NAMES[np.arange(40) % 2]
        result = find_specialists(select, category, test, category, seed=0, permutations=20)
        found.append(result["found"])
        expected.append(result["expected_by_chance"])
        p.append(result["found_p"])
    assert 0.5 < np.mean(expected) < 1.1
    assert np.mean(found) == pytest.approx(np.mean(expected), abs=3 * np.std(found) / np.sqrt(30))
    assert np.mean(np.array(p) <= 0.2) < 0.45
    assert result["least_p"] >= 0.1, "by chance both categories have one in so many shuffles"


def test_of_two_pictures_a_category_no_number_of_specialists_is_more_than_chance():
    """Six orders in each half; two of the 36 pairs of orders are the true one but for the names: no p below 1/18."""
    category, values = NAMES[[0, 0, 1, 1]], csr_array(np.repeat(np.eye(2), 2, axis=0))
    result = find_specialists(values, category, values, category, seed=0, threshold=0.5)
    assert result["found"] == 2 and result["found_p"] > 0.04
    assert result["least_p"] == max(result["found_p"], 1 / 18)
    more = np.append(category, "of select alone")
    result = find_specialists(csr_array(np.eye(5)[:, :2]), more, values, category, seed=0, threshold=0.5)
    assert result["least_p"] >= 2 / (30 * 6), "five in select, of which one is of no other half"


def test_score_and_choice_against_a_loop():
    (select, category), (test, test_category) = draw(5), draw(6)
    result = find_specialists(select, category, test, test_category, seed=0, permutations=5)
    dense, held = select.toarray(), test.toarray()
    tau = np.quantile(dense[dense > 0], 0.5)
    assert result["tau"] == pytest.approx(tau)
    for entry in result["features"]:
        inside = category == entry["category"]
        score = (dense[inside] > tau).sum(axis=0) - (dense[~inside] > tau).sum(axis=0)
        assert entry["score_select"] == score.max() == score[entry["feature"]]
        ties = np.flatnonzero(score == score.max())
        gap = dense[inside][:, ties].mean(axis=0) - dense[~inside][:, ties].mean(axis=0)
        assert entry["feature"] == ties[gap.argmax()]
        inside = test_category == entry["category"]
        assert entry["inside"] == (held[inside, entry["feature"]] > tau).sum()
        assert entry["outside"] == (held[~inside, entry["feature"]] > tau).sum()
        assert (entry["n_inside"], entry["n_outside"]) == (inside.sum(), (~inside).sum())


def test_an_absolute_threshold_and_unlabelled_images():
    (select, category), (test, test_category) = draw(5), draw(6)
    category = np.where(np.arange(len(category)) < 16, "", category)
    result = find_specialists(select, category, test, test_category, seed=0, permutations=5, threshold=2.5)
    assert result["tau"] == 2.5 and result["tau_quantile"] is None
    assert result["images"] == {"select": 144, "test": 160}


def test_one_category_is_no_result_and_says_why():
    values, _ = draw(0)
    one = np.full(values.shape[0], "nurse", dtype=object)
    result = find_specialists(values, one, values, one, seed=0)
    assert result["found"] is None and "1 categories" in result["why_none"]


def test_captions_of_a_picture_are_averaged():
    values = csr_array(np.array([[1.0, 0], [3, 4], [5, 0]], dtype=np.float32))
    means, ids = image_means(values, np.array(["b", "b", "a"], dtype=object))
    assert ids.tolist() == ["b", "a"]
    assert means.toarray().tolist() == [[2, 2], [5, 0]]
