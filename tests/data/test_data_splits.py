"""Splits by image: disjoint, balanced in every stratum, the same whatever the order of the rows."""

from collections import Counter

import numpy as np
import pytest
from data_tables import RELAXED
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from crosslens.data.splits import SPLITS, assign_splits, keep_together
from crosslens.errors import InputError

SHARES = {"train": 0.7, "select": 0.15, "test": 0.15}
strata = st.dictionaries(
    st.text(min_size=1, max_size=3),
    st.tuples(st.sampled_from("fmu"), st.sampled_from("abcd")),
    min_size=12,
    max_size=60,
)
fractions = st.sampled_from(
    [SHARES, {"train": 0.5, "select": 0.25, "test": 0.25}, {"train": 1 / 3, "select": 1 / 3, "test": 1 / 3}]
)


def assign(strata, shares, seed):
    try:
        return assign_splits(strata, shares, seed)
    except InputError:
        assume(False)


@given(strata, fractions, st.integers(0, 5))
@RELAXED
def test_every_image_has_one_split_and_every_stratum_its_shares(strata, shares, seed):
    assigned = assign(strata, shares, seed)
    assert set(assigned) == set(strata)
    sizes = Counter(strata.values())
    cells = Counter((strata[image], split) for image, split in assigned.items())
    for stratum, n in sizes.items():
        for split in SPLITS:
            assert abs(cells[stratum, split] - shares[split] * n) < 1


@given(strata, st.randoms(use_true_random=False))
@RELAXED
def test_the_order_of_the_rows_does_not_matter(strata, random):
    shuffled = list(strata.items())
    random.shuffle(shuffled)
    assert assign(dict(shuffled), SHARES, 0) == assign(strata, SHARES, 0)


def test_the_seed_matters():
    images = {f"i{k}": ("f", "a") for k in range(100)}
    assert assign_splits(images, SHARES, 0) != assign_splits(images, SHARES, 1)


def test_many_strata_of_one_image_still_add_up_to_the_fractions():
    images = {f"i{k}": ("f", str(k)) for k in range(200)}
    assert Counter(assign_splits(images, SHARES, 3).values()) == {"train": 140, "select": 30, "test": 30}


def test_the_assignment_is_pinned():
    """A change here moves images between splits of every study that exists."""
    images = {f"i{k}": ("fmu"[k % 3], "a") for k in range(12)}
    assigned = assign_splits(images, {"train": 0.5, "select": 0.25, "test": 0.25}, 7)
    assert "".join(assigned[f"i{k}"][1] for k in range(12)) == "ereerrreerer"


@pytest.mark.parametrize(
    ("images", "shares", "said"),
    [
        (2, SHARES, "no image in"),
        (0, SHARES, "no image in train, select, test"),
        (9, {"train": 0.7, "test": 0.3}, "train, select and test"),
        (9, {"train": 0.7, "select": 0.3, "test": 0.3}, "add up to 1"),
        (9, {"train": 1.0, "select": 0.0, "test": 0.0}, "between 0 and 1"),
    ],
)
def test_refusals(images, shares, said):
    with pytest.raises(InputError, match="splits") as caught:
        assign_splits({f"i{k}": "s" for k in range(images)}, shares, 0)
    assert said in str(caught.value)


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.lists(st.integers(0, 9), max_size=3), max_size=30))
@RELAXED
def test_what_shares_a_mark_has_one_first_image_and_what_does_not_has_not(marks):
    first_of = keep_together(marks)
    images = list(marks)
    shared = [[bool(set(marks[a]) & set(marks[b])) for b in images] for a in images]
    _, parts = connected_components(np.array(shared).reshape(len(images), len(images)))
    part_of = dict(zip(images, parts, strict=True))
    assert first_of == {
        image: min(other for other in images if part_of[other] == part_of[image]) for image in images
    }
