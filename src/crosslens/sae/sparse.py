"""Products of which only some places are wanted: what makes a training step of a sparse code cheap.

`sample` and `combine` are each other's adjoint, so their gradients are the same three products again. All are exact
in float32; where so many places are wanted that a dense product is quicker, they are taken from one.

The gradient of a parameter W (width, d) is added to W.grad in place: as a tensor of its own it would be as large as W,
and made anew at each use.
"""

import warnings
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

CROWDED = 8
"""From one place in so many on, dense products are as quick as gathering rows (measured at 2,560 → 20,480 on two cores;
at smaller widths gathering is still twice as quick there)."""

_SUM = 0
"""The mode of a bag that adds up, by torch's number for it."""

# torch warns once in a process that its sparse matrices may lack operations: those that are used here it has
with warnings.catch_warnings(action="ignore"):
    torch.sparse_csr_tensor(torch.zeros(1, dtype=torch.int64), [], torch.zeros(0), size=(0, 0))


class Places:
    """Some places of a (rows, width) matrix: those of row r are col[crow[r] : crow[r + 1]], ascending."""

    def __init__(self, crow: Tensor, col: Tensor, width: int):
        self.crow, self.col, self.width = crow, col, width

    @classmethod
    def even(cls, col: Tensor, width: int) -> "Places":
        """The places col (rows, m), ascending in each row."""
        rows, m = col.shape
        return cls(torch.arange(0, rows * m + 1, m, device=col.device), col.reshape(-1), width)

    @classmethod
    def where(cls, mask: Tensor) -> "Places":
        """The places where mask (rows, width) is true."""
        rows, width = mask.shape
        at = true_places(mask.reshape(-1))
        row = at.div(width, rounding_mode="floor")
        return cls.of(row, at - row * width, rows, width)

    @classmethod
    def reaching(cls, x: Tensor, bound: Tensor) -> "Places":
        """The places where x (rows, width), no bfloat16 numbers on a CPU, is at least its row's `bound` (rows)."""
        bound = bound[:, None]
        mask = x >= bound if x.device.type != "cpu" else torch.from_numpy(x.numpy() >= bound.numpy())
        return cls.where(mask)

    @classmethod
    def of(cls, row: Tensor, col: Tensor, rows: int, width: int) -> "Places":
        """The places (row, col), both (nnz) int64, row by row and ascending in each."""
        return cls(_begins(row, rows), col, width)

    @property
    def rows(self) -> int:
        """Rows of the matrix."""
        return len(self.crow) - 1

    @property
    def crowded(self) -> bool:
        """Whether dense products are the quicker way."""
        return len(self.col) * CROWDED > self.rows * self.width

    @cached_property
    def row(self) -> Tensor:
        """(nnz) int64: the row of each place."""
        rows = torch.arange(self.rows, device=self.crow.device)
        return rows.repeat_interleave(self.crow.diff(), output_size=len(self.col))

    @cached_property
    def by_column(self) -> tuple[Tensor, Tensor]:
        """The order (nnz) of the places by column, and where each column begins in it (width + 1)."""
        # numbers of fewer bytes are sorted in fewer passes
        narrow = torch.int16 if self.width < 1 << 15 else torch.int32
        return self.col.to(narrow).argsort(stable=True), _begins(self.col, self.width)

    def dense(self, values: Tensor) -> Tensor:
        """(rows, width) with `values` (nnz) at the places, else 0."""
        full = values.new_zeros(self.rows * self.width)
        full[self.row * self.width + self.col] = values
        return full.view(self.rows, self.width)


def _begins(group: Tensor, groups: int) -> Tensor:
    """(groups + 1) where each of the groups begins among places in their order."""
    return F.pad(torch.bincount(group, minlength=groups).cumsum(0), (1, 0))


def true_places(mask: Tensor) -> Tensor:
    """(nnz) int64: where mask (n) is true. On a CPU NumPy finds them four times as quickly as torch."""
    if mask.device.type != "cpu":
        return mask.nonzero().squeeze(1)
    return torch.from_numpy(np.flatnonzero(mask.numpy()))


def kth_largest(x: Tensor, k: int) -> Tensor:
    """(rows) the k-th largest number of each row of x (rows, n).

    On a CPU by NumPy's partition, which is vectorised: a sixth of the time of torch's `topk`.
    """
    if x.device.type != "cpu":
        return x.topk(k, dim=-1, sorted=False).values.amin(-1)
    place = x.shape[1] - k
    return torch.from_numpy(np.partition(x.numpy(), place, axis=1)[:, place].copy())


def sample(
    x: Tensor, W: Tensor, places: Places, known: Tensor | None = None, origin: Tensor | None = None
) -> Tensor:
    """(nnz) the products x[row] · W[col] of x (rows, d) and W (width, d) at the places; differentiable but for x.

    known: these values, where they have been computed already. origin: (d) what x is less already, which gets its
    gradient here: that of x is never made, a tensor of the batch's size whose rows would only be summed.
    """
    return _Sample.apply(x, W, places, known, origin)


def combine(values: Tensor, W: Tensor, places: Places) -> Tensor:
    """(rows, d) the sums of values · W[col] over each row's places, W (width, d); differentiable."""
    return _Combine.apply(values, W, places)


def pick_rows(W: Tensor, rows: Tensor) -> Tensor:
    """(n, d) the rows of a parameter W (width, d) whose numbers are `rows` (n), all different; differentiable."""
    return _PickRows.apply(W, rows)


def row_products(a: Tensor, b: Tensor) -> Tensor:
    """(n) the products of each row of a (n, d) with that of b (n, d)."""
    if a.device.type != "cpu":
        return torch.linalg.vecdot(a, b)
    each = torch.arange(len(a))
    return _products_at(a, b, each, each)


class _Sample(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, W, places, known, origin):
        ctx.save_for_backward(x)
        ctx.W, ctx.places = W, places
        return _sample(x, W, places) if known is None else known.clone()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        if ctx.needs_input_grad[1]:
            _add_by_column(ctx.W, g, x, ctx.places)
        of_origin = None
        if ctx.needs_input_grad[4]:
            # all rows are less the same: of each column the sum, before the product with W
            columns = g.new_zeros(ctx.places.width).index_add_(0, ctx.places.col, g)
            of_origin = -(columns @ ctx.W)
        return None, None, None, None, of_origin


class _Combine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values, W, places):
        ctx.save_for_backward(values)
        ctx.W, ctx.places = W, places
        return _combine(values, W, places)

    @staticmethod
    def backward(ctx, g):
        (values,) = ctx.saved_tensors
        if ctx.needs_input_grad[1]:
            _add_by_column(ctx.W, values, g, ctx.places)
        return (_sample(g, ctx.W, ctx.places) if ctx.needs_input_grad[0] else None), None, None


class _PickRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, W, rows):
        ctx.W, ctx.rows = W, rows
        return W.index_select(0, rows)

    @staticmethod
    def backward(ctx, g):
        gradient, begun = _gradient(ctx.W)
        if not begun:
            gradient.zero_()
        gradient.index_add_(0, ctx.rows, g)
        return None, None


def _gradient(W: Tensor) -> tuple[Tensor, bool]:
    """W.grad, and whether there is anything in it yet."""
    begun = W.grad is not None
    if not begun:
        W.grad = torch.empty_like(W, requires_grad=False)
    return W.grad, begun


@torch.no_grad()
def _sample(x: Tensor, W: Tensor, places: Places) -> Tensor:
    if places.crowded:
        return (x @ W.T).view(-1)[places.row * places.width + places.col]
    if x.device.type == "cpu":
        return _products_at(x, W, places.col, places.row)
    zeros = x.new_zeros(len(places.col))
    pattern = torch.sparse_csr_tensor(
        places.crow, places.col, zeros, size=(places.rows, places.width), check_invariants=False
    )
    return torch.sparse.sampled_addmm(pattern, x, W.T, beta=0.0).values()


@torch.no_grad()
def _combine(values: Tensor, W: Tensor, places: Places) -> Tensor:
    if places.crowded:
        return places.dense(values) @ W
    return _bag(places.col, W, places.crow, values)


@torch.no_grad()
def _add_by_column(W: Tensor, values: Tensor, x: Tensor, places: Places) -> None:
    """Add to W.grad (width, d) the sums of values · x[row] over each column's places."""
    gradient, begun = _gradient(W)
    if places.crowded:
        torch.addmm(gradient, places.dense(values).T, x, beta=float(begun), out=gradient)
        return
    order, begins = places.by_column
    row, weights = places.row[order], values[order]
    if x.device.type == "cpu":
        by_column = torch.sparse_csr_tensor(
            begins, row, weights, size=(places.width, places.rows), check_invariants=False
        )
        torch.addmm(gradient, by_column, x, beta=float(begun), out=gradient)
        return
    sums = _bag(row, x, begins, weights)
    gradient.add_(sums) if begun else gradient.copy_(sums)


def _products_at(x: Tensor, W: Tensor, col: Tensor, row: Tensor) -> Tensor:
    """On a CPU (nnz) the products x[row] · W[col].

    They are the gradient that the weights of bags of W's rows have: by a fifth quicker than `sampled_addmm`, and not
    only with MKL.
    """
    # where each place has the number of its bag, the bags' beginnings are not read
    begins = row.new_zeros(len(x))
    return torch.ops.aten._embedding_bag_per_sample_weights_backward(x, W, col, begins, row, mode=_SUM)


def _bag(index: Tensor, table: Tensor, begins: Tensor, weights: Tensor) -> Tensor:
    return F.embedding_bag(
        index, table, begins, mode="sum", per_sample_weights=weights, include_last_offset=True
    )
