"""Adam, with what a step does besides to gradients and to the decoder's rows.

All of it is a few operations on each number of matrices that no cache holds: the memory decides what it takes. So it is
done in two passes, a few rows at a time: one over the gradients, whose norm all else waits for, and one over the
gradients, the parameters and their moments.
"""

from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor

from crosslens.memory import on_huge_pages
from crosslens.sae.architectures.base import Architecture

STRETCH_BYTES = 1 << 19
"""Of one matrix's rows that are worked on at a time on a CPU: with gradient and moments, what its second cache holds."""


class Adam:
    """Adam (Kingma & Ba 2015) for a model whose gradients are clipped and whose decoder's rows have unit norm.

    Between steps the gradients are 0: a step adds to them, and here they are used up.
    """

    def __init__(self, model: Architecture, betas: tuple[float, float]):
        self.model, self.betas = model, betas
        self.moments = {
            name: (torch.zeros_like(parameter), torch.zeros_like(parameter))
            for name, parameter in model.named_parameters()
        }
        """The first and the second of every parameter, by its name."""
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
            on_huge_pages(parameter.detach(), parameter.grad)
        on_huge_pages(*chain.from_iterable(self.moments.values()))

    @torch.no_grad()
    def step(self, number: int, lr: float, clip: float) -> None:
        """The step of this number, from 1, with the gradients brought to the norm `clip` where theirs is larger."""
        scale = (self._prepared() / clip).clamp(min=1)
        count = torch.tensor(float(number), device=scale.device)
        beta1, beta2 = self.betas
        for name, parameter in self.model.named_parameters():
            of_decoder = parameter is self.model.W_dec
            for rows, gradient, *moments in stretches(parameter, parameter.grad, *self.moments[name]):
                first, second = moments
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
                if of_decoder:
                    self.model.constrain(rows)
                gradient.zero_()

    def release(self) -> None:
        """Give up gradients and moments, three quarters of a state's memory: no step can follow."""
        self.moments.clear()
        for parameter in self.model.parameters():
            parameter.grad = None

    def _prepared(self) -> Tensor:
        """() the norm of all gradients together, those of the decoder's rows projected."""
        norms = []
        for parameter in self.model.parameters():
            for rows, gradient in stretches(parameter, parameter.grad):
                if parameter is self.model.W_dec:
                    self.model.project(rows, gradient)
                norms.append(torch.linalg.vector_norm(gradient))
        return torch.linalg.vector_norm(torch.stack(norms))


def stretches(parameter: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The rows of a parameter and of others of its shape, some at a time on a CPU, else all."""
    tensors = [tensor.detach() for tensor in (parameter, *others)]
    if parameter.device.type != "cpu":
        return iter([tuple(tensors)])
    size = max(1, STRETCH_BYTES // (parameter.element_size() * max(1, parameter[0].numel())))
    return zip(*(tensor.split(size) for tensor in tensors), strict=True)
