"""Adam, with what a step does besides to gradients and to the decoder's rows.

All of it is a few operations on each number of matrices that no cache holds: the memory decides what it takes. So it is
done in two passes, a stretch of rows at a time: one makes the gradients, whose norm all else waits for, and one goes over
gradients, parameters and moments.
"""

from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor

from crosslens.memory import on_huge_pages
from crosslens.sae.architectures.base import Architecture
from crosslens.sae.sparse import add_gradient, as_rows, forget_gradient, row_products

STRETCH_BYTES = 1 << 20
"""Of the rows of a matrix that are worked on at a time on a CPU, so that a cache holds them from one operation to the next."""


class Adam:
    """Adam (Kingma & Ba 2015) for a model whose gradients are clipped and whose decoder's rows have unit norm."""

    def __init__(self, model: Architecture, betas: tuple[float, float]):
        self.model, self.betas = model, betas
        named = {name: parameter.detach() for name, parameter in model.named_parameters()}
        self.gradients = {name: torch.zeros_like(parameter) for name, parameter in named.items()}
        """Those of the last step, as projected; not of the state."""
        self.moments = {
            name: (torch.zeros_like(parameter), torch.zeros_like(parameter))
            for name, parameter in named.items()
        }
        """The first and the second of every parameter."""
        moments = chain.from_iterable(self.moments.values())
        on_huge_pages(*named.values(), *self.gradients.values(), *moments)

    @torch.no_grad()
    def step(self, number: int, lr: float, clip: float) -> None:
        """The step of this number, from 1, with the gradients brought to the norm `clip` where theirs is larger."""
        scale = (self._make_gradients() / clip).clamp(min=1)
        if scale.device.type == "cpu" and scale == 1:
            scale = None  # else they are written once more
        beta1, beta2 = self.betas
        for name, parameter in self.model.named_parameters():
            count = torch.tensor(float(number), device=parameter.device)
            for _, rows, gradient, first, second in self._stretches(name, parameter):
                torch._fused_adam_(
                    [rows],
                    [gradient],
                    [first],
                    [second],
                    [],
                    [count],
                    lr=lr,
                    beta1=beta1,
                    beta2=beta2,
                    weight_decay=0.0,
                    eps=1e-8,
                    amsgrad=False,
                    maximize=False,
                    grad_scale=scale,
                )
                if parameter is self.model.W_dec:
                    self.model.constrain(rows)

    def release(self) -> None:
        """Give up gradients and moments, three quarters of a state's memory: no step can follow."""
        self.gradients.clear()
        self.moments.clear()

    def _make_gradients(self) -> Tensor:
        """() the norm of all gradients together, those of the decoder's rows projected."""
        squares = []
        for name, parameter in self.model.named_parameters():
            for start, rows, gradient, _, _ in self._stretches(name, parameter):
                gradient.zero_()
                add_gradient(parameter, start, gradient)
                if parameter is self.model.W_dec:
                    self.model.project(rows, gradient)
                squares.append(row_products(gradient, gradient).sum())
            forget_gradient(parameter)
        return torch.stack(squares).sum().sqrt()

    def _stretches(
        self, name: str, parameter: Tensor
    ) -> Iterator[tuple[int, Tensor, Tensor, Tensor, Tensor]]:
        """The rows of a parameter, their gradient and moments, some at a time on a CPU, else all, each with the first
        one's number. A vector is one row.
        """
        tensors = [as_rows(t) for t in (parameter.detach(), self.gradients[name], *self.moments[name])]
        size = len(tensors[0])
        if parameter.device.type == "cpu":
            size = max(1, STRETCH_BYTES // (4 * parameter.shape[-1]))
        split = (tensor.split(size) for tensor in tensors)
        for start, stretch in zip(range(0, len(tensors[0]), size), zip(*split, strict=True), strict=True):
            yield start, *stretch
