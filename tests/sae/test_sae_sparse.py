"""Products at some places of a matrix against dense ones, with their gradients."""

from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crosslens.sae import sparse
from crosslens.sae.sparse import Places, combine, kth_largest, pick_rows, row_products, sample

DENSITIES = (0.0, 0.01, 0.03, 0.1, 0.6, 1.0)


@st.composite
def problems(draw, dtype=torch.float64):
    """x (B, d), W (F, d), a mask (B, F) with rows of any number of places, none at all included."""
    rows, width, d = draw(st.integers(1, 12)), draw(st.integers(1, 120)), draw(st.integers(1, 9))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = torch.randn(rows, d, generator=generator, dtype=dtype)
    W = torch.randn(width, d, generator=generator, dtype=dtype)
    density = torch.tensor([draw(st.sampled_from(DENSITIES)) for _ in range(rows)])
    mask = torch.rand(rows, width, generator=generator) < density[:, None]
    return x, W, mask, generator


def leaf(x: torch.Tensor) -> torch.Tensor:
    return x.clone().requires_grad_()


def dense_combine(values, W, mask):
    return torch.zeros(mask.shape, dtype=W.dtype).masked_scatter(mask, values) @ W


def like(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(x.shape, generator=generator, dtype=x.dtype)


def assert_agree(found, ours, expected, dense, generator) -> None:
    """Two results are the same, and so are their gradients for the leaves that each was made from."""
    torch.testing.assert_close(found, expected)
    g = like(found, generator)
    found.backward(g)
    expected.backward(g)
    for one, other in zip(ours, dense, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@settings(deadline=None)
@given(problems())
def test_sample_and_its_gradients_are_those_of_the_dense_product(problem):
    """The gradient that x would have is the one of what its rows are less."""
    x, W, mask, generator = problem
    origin = torch.randn(x.shape[1], generator=generator, dtype=x.dtype)
    ours, dense = (leaf(origin), leaf(W)), (leaf(origin), leaf(W))
    found = sample(x - origin, ours[1], Places.where(mask), origin=ours[0])
    expected = ((x - dense[0]) @ dense[1].T)[mask]
    assert_agree(found, ours, expected, dense, generator)


@settings(deadline=None)
@given(problems())
def test_combine_and_its_gradients_are_those_of_the_dense_product(problem):
    _, W, mask, generator = problem
    values = torch.randn(int(mask.sum()), generator=generator, dtype=W.dtype)
    ours, dense = (leaf(values), leaf(W)), (leaf(values), leaf(W))
    found = combine(*ours, Places.where(mask))
    expected = dense_combine(*dense, mask)
    assert_agree(found, ours, expected, dense, generator)


@settings(deadline=None, max_examples=50)
@given(problems())
def test_gradients_of_all_uses_add_up_in_what_the_parameter_has_already(problem):
    x, W, mask, generator = problem
    rows = torch.randperm(len(W), generator=generator)[: 1 + len(W) // 2]
    before = like(W, generator)
    ours, dense = leaf(W), leaf(W)
    ours.grad, dense.grad = before.clone(), before.clone()
    places = Places.where(mask)
    coded = combine(sample(x, ours, places), ours, places)  # tied: one parameter reads and writes
    expected = dense_combine((x @ dense.T)[mask], dense, mask)
    weights = like(W[rows], generator)
    (coded.square().sum() + (pick_rows(ours, rows) * weights).sum()).backward()
    (expected.square().sum() + (dense[rows] * weights).sum()).backward()
    torch.testing.assert_close(ours.grad, dense.grad)


@settings(deadline=None, max_examples=15)
@given(problems())
def test_a_gradient_that_is_new_holds_nothing_of_what_its_memory_held(problem):
    """It is written over, or cleared where only some rows are reached."""
    x, W, mask, generator = problem
    places = Places.where(mask)
    rows = torch.randperm(len(W), generator=generator)[: 1 + len(W) // 2]
    with patch.object(torch, "empty_like", lambda like, **_: torch.full_like(like, torch.nan).detach()):
        for use in (lambda W: sample(x, W, places), lambda W: pick_rows(W, rows)):
            ours, dense = leaf(W), leaf(W)
            g = like(found := use(ours), generator)
            found.backward(g)
            (dense[rows] if found.dim() > 1 else (x @ dense.T)[mask]).backward(g)
            torch.testing.assert_close(ours.grad, dense.grad)


@given(problems(torch.float32))
@settings(deadline=None, max_examples=50)
def test_products_at_places_are_float32_ones(problem):
    x, W, mask, _ = problem
    torch.testing.assert_close(sample(x, W, Places.where(mask)), (x @ W.T)[mask], rtol=1e-5, atol=1e-5)


@given(problems(torch.float32), st.integers(0, 2**31))
@settings(deadline=None, max_examples=50)
def test_what_reaches_the_kth_largest_of_its_row_is_what_sorting_puts_first(problem, seed):
    x = problem[0].bfloat16()
    k = 1 + seed % x.shape[1]
    # equals among float32 numbers too
    for numbers in (x.view(torch.int16), x.float()):
        bound = kth_largest(numbers, k)
        assert torch.equal(bound, numbers.sort(-1, descending=True).values[:, k - 1])
        reaching, same = Places.reaching(numbers, bound), Places.where(numbers >= bound[:, None])
        assert torch.equal(reaching.crow, same.crow) and torch.equal(reaching.col, same.col)


def test_row_products_are_those_of_each_row_with_its_own():
    a, b = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(row_products(a, b), (a * b).sum(1))


def test_values_that_are_known_are_taken_as_they_are_and_still_have_gradients():
    x, W, origin = (
        torch.randn(4, 3),
        torch.randn(6, 3, requires_grad=True),
        torch.zeros(3, requires_grad=True),
    )
    places = Places.where(torch.ones(4, 6, dtype=torch.bool))
    known = torch.arange(24.0)
    found = sample(x, W, places, known, origin)
    assert torch.equal(found, known)
    found.sum().backward()
    torch.testing.assert_close(origin.grad, -4 * W.detach().sum(0))
    torch.testing.assert_close(W.grad, x.detach().sum(0).expand(6, 3))


@settings(deadline=None, max_examples=50)
@given(problems())
def test_places_tell_rows_columns_and_their_dense_matrix(problem):
    _, _, mask, generator = problem
    places = Places.where(mask)
    row, col = mask.nonzero(as_tuple=True)
    assert torch.equal(places.row, row) and torch.equal(places.col, col) and places.rows == len(mask)
    values = torch.randn(len(col), generator=generator)
    assert torch.equal(places.dense(values)[mask], values) and not places.dense(values)[~mask].any()
    order, begins = places.by_column
    for column in range(mask.shape[1]):
        own = order[begins[column] : begins[column + 1]]
        assert places.col[own].eq(column).all() and torch.equal(
            places.row[own], mask[:, column].nonzero()[:, 0]
        )


def test_even_places_are_a_mask_with_as_many_in_each_row():
    col = torch.tensor([[0, 3, 4], [1, 2, 6]])
    places = Places.even(col, 7)
    same = Places.where(torch.zeros(2, 7).scatter(1, col, 1.0).bool())
    for name in ("crow", "col", "row"):
        assert torch.equal(getattr(places, name), getattr(same, name))


@pytest.mark.parametrize(("one_in", "crowded"), [(sparse.CROWDED // 2, True), (sparse.CROWDED * 2, False)])
def test_dense_products_serve_where_places_are_crowded(one_in, crowded):
    mask = torch.zeros(8, 4 * sparse.CROWDED, dtype=torch.bool)
    mask[:, ::one_in] = True
    assert Places.where(mask).crowded is crowded
