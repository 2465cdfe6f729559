"""The loss against a dense one written from the formulas, and what its gradient does."""

import pytest
import torch
import torch.nn.functional as F

from crosslens.sae.loss import topk_loss
from crosslens.sae.model import TopKSAE
from crosslens.sae.settings import Settings
from crosslens.sae.state import TrainState
from crosslens.sae.training import descend


def make(d=8, d_sae=40, k=4, seed=0) -> TopKSAE:
    sae = TopKSAE(d, d_sae, k)
    generator = torch.Generator().manual_seed(seed)
    for parameter in sae.parameters():
        parameter.data.normal_(generator=generator)
    sae.W_dec.data = F.normalize(sae.W_dec.data, dim=1)
    return sae.double()


def batch(n=64, d=8, seed=1) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def reference(sae, x, dead, aux_k, alpha):
    """Methods 3, dense: FVU and AuxK with masks in place of indices."""

    def keep(z, count):
        kth = z.topk(count, dim=-1).values[:, -1:]
        return z * (z >= kth)

    pre = ((x - sae.b_dec) @ sae.W_enc + sae.b_enc).relu()
    error = x - (keep(pre, sae.k) @ sae.W_dec + sae.b_dec)
    fvu = (error**2).sum() / ((x - x.mean(0)) ** 2).sum()
    if not dead.any():
        return fvu
    modelled = keep(pre * dead, min(aux_k, int(dead.sum()))) @ sae.W_dec
    return fvu + alpha * ((error.detach() - modelled) ** 2).sum() / (error.detach() ** 2).sum()


@pytest.mark.parametrize("dead_count", [0, 3, 20])
def test_value_and_gradients_are_those_of_the_formula(dead_count):
    sae, x = make(), batch()
    dead = torch.arange(40) < dead_count
    loss = topk_loss(sae, x, dead, aux_k=5, alpha=0.5)
    expected = reference(sae, x, dead, 5, 0.5)
    torch.testing.assert_close(loss.total, expected)
    gradients = torch.autograd.grad(expected, list(sae.parameters()))
    loss.total.backward()
    for parameter, gradient in zip(sae.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_auxk_reaches_the_encoder_of_dead_features_only():
    sae, x = make(), batch()
    dead = torch.arange(40) >= 30
    sae.b_enc.data[~dead] += 20  # so that a dead feature is never among the k strongest
    fired = topk_loss(sae, x, dead, aux_k=4, alpha=1.0)
    assert not dead[fired.indices[fired.values > 0]].any()
    fired.aux.backward()
    touched = sae.W_enc.grad.abs().sum(0) > 0
    assert touched[dead].any() and not touched[~dead].any()
    assert (sae.b_enc.grad[dead] != 0).any()
    assert not sae.W_dec.grad[~dead].any()


def test_auxk_of_an_exact_reconstruction_is_0_and_not_nan():
    sae = make()
    for parameter in sae.parameters():
        parameter.data.zero_()
    sae.b_dec.data.fill_(1.0)
    x = torch.ones(5, 8, dtype=torch.float64)
    loss = topk_loss(sae, x, torch.ones(40, dtype=torch.bool), aux_k=4, alpha=1.0)
    assert loss.aux == 0
    loss.aux.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in sae.parameters())


def train_with_silenced(alpha: float) -> float:
    """The share of silenced features that fire again after 300 steps, on data of more directions than are left."""
    sae = make(d=16, d_sae=64, k=4).float()
    sae.W_enc.data = sae.W_dec.data.T.clone()
    sae.b_dec.data.zero_()
    sae.b_enc.data.zero_()
    sae.b_enc.data[16:] = -1.0
    generator = torch.Generator().manual_seed(5)
    directions = F.normalize(torch.randn(48, 16, generator=generator), dim=1)
    config = Settings(lr=3e-3, decay_fraction=0, warmup_fraction=0)
    optimizer = torch.optim.Adam(sae.parameters(), lr=3e-3)
    state = TrainState(sae, optimizer, torch.zeros(16), 1.0, torch.zeros(64, dtype=torch.int64))
    silent = torch.full((64,), 10_000)
    fired = torch.zeros(64, dtype=torch.bool)
    for step in range(300):
        which = torch.rand(128, 48, generator=generator).topk(3).indices
        x = directions[which].sum(1)
        loss = topk_loss(sae, x, silent > 5_000, aux_k=8, alpha=alpha)
        descend(state, loss, config, steps=10**6)
        silent += 128
        silent[loss.indices[loss.values > 0]] = 0
        if step >= 200:
            fired[loss.indices[loss.values > 0]] = True
    return fired[16:].float().mean().item()


def test_auxk_revives_dead_features():
    assert train_with_silenced(1 / 32) > 0.9
    assert train_with_silenced(0.0) < 0.6


def test_a_step_keeps_decoder_rows_at_unit_norm_and_removes_the_parallel_gradient():
    sae, x = make().float(), batch().float()
    optimizer = torch.optim.SGD(sae.parameters(), lr=0.1)
    state = TrainState(sae, optimizer, torch.zeros(8), 1.0, torch.zeros(40, dtype=torch.int64))
    before = sae.W_dec.detach().clone()
    loss = topk_loss(sae, x, torch.zeros(40, dtype=torch.bool), aux_k=4, alpha=1.0)
    descend(state, loss, Settings(lr=0.1, warmup_fraction=0, decay_fraction=0), steps=10)
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(40))
    assert (sae.W_dec.grad * before).sum(1).abs().max() < 1e-6
    assert sae.W_dec.grad.abs().max() > 1e-3
    norm = torch.cat([p.grad.flatten() for p in sae.parameters()]).norm()
    assert norm <= 1.0 + 1e-5
