"""The one optimizer step that every training stage takes."""

import torch
from torch import nn

BETAS = (0.9, 0.98)
MAX_GRADIENT_NORM = 1.0


def update(
    optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], loss: torch.Tensor, lr: float
) -> None:
    """Back-propagate, clip the norm of all parameters' gradients together, step at the learning rate `lr`."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
    optimizer.step()
