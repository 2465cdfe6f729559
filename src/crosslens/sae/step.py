"""One step of training: the state it starts from, and what it does to it."""

import torch
from torch import Tensor

from crosslens.sae.architectures import architecture
from crosslens.sae.architectures.base import Architecture, Loss, Normalisation
from crosslens.sae.normalise import centre_and_scale
from crosslens.sae.runtime import bfloat16_is_faster
from crosslens.sae.settings import Settings
from crosslens.sae.state import TrainState

FAST_FROM = 1 << 20
"""Weights of an encoder from which on candidates come from a bfloat16 product; below, any product is quick."""


def normalisations(sample: Tensor, d_in: int) -> tuple[Normalisation, Normalisation]:
    """Those of what is read and of what is written, from a sample (n, d_in) float32, or (n, d_in + d_out)."""
    reads = Normalisation(*centre_and_scale(sample[:, :d_in]))
    writes = Normalisation(*centre_and_scale(sample[:, d_in:])) if sample.shape[1] > d_in else reads
    return reads, writes


def fresh_state(
    config: Settings,
    reads: Normalisation,
    writes: Normalisation | None = None,
    *,
    seed: int,
    fast: bool | None = None,
) -> TrainState:
    """The state before the first step of the resolved `config`, on the device of the normalisations.

    fast: whether candidates come from a bfloat16 product; None: where the machine gains by it.
    """
    writes = writes or reads
    device, d_in = reads.centre.device, len(reads.centre)
    if fast is None:
        # asked whatever the size, so that a small SAE's process is the same with a large one beside it and without
        fast = bfloat16_is_faster(device) and d_in * config.d_sae >= FAST_FROM
    kind = architecture(config.architecture)
    model = kind(config, d_in, len(writes.centre), seed=seed, fast=fast).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr, betas=config.betas, fused=True)
    silent = torch.zeros(config.d_sae, dtype=torch.int64, device=device)
    return TrainState(model, optimizer, reads, writes, silent)


def train_step(state: TrainState, x: Tensor, *, steps: int) -> Loss:
    """One step of Adam, of `steps` in all, on raw x (B, d_in) float32, or (B, d_in + d_out) for a transcoder."""
    model, config = state.model, state.model.config
    read = state.reads(x[:, : model.d_in])
    written = state.writes(x[:, model.d_in :]) if model.transcoder else read
    loss = model.loss(read, written, state.dead, state.step / steps)
    state.optimizer.zero_grad()
    loss.total.backward()
    model.project_gradient()
    state.optimizer.grad_scale = _excess(model, config.grad_clip)
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(state.step, steps, config)
    state.optimizer.step()
    model.constrain()
    state.silent += len(x)
    state.silent.index_fill_(0, loss.fired, 0)
    state.step += 1
    return loss


@torch.no_grad()
def _excess(model: Architecture, clip: float) -> Tensor | None:
    """() what Adam is to divide the gradients by, on its way, for their norm to be `clip` at most; None: by nothing."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    scale = torch.nn.utils.get_total_norm(gradients).div_(clip).clamp_(min=1)
    # a division by 1 would write them all once more; to ask a GPU would be to wait for it
    return None if scale.device.type == "cpu" and scale == 1 else scale


def learning_rate(step: int, steps: int, config: Settings) -> float:
    """Linear from 0 over the first steps, constant, linear to 0 over the last ones; `step` counts from 0."""
    warmup, decay = config.warmup_fraction * steps, config.decay_fraction * steps
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    fall = min(1.0, (steps - step) / decay) if decay else 1.0
    return config.lr * min(rise, fall)
