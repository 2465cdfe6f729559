"""A training step against one written densely from the formulas, and what its parts do."""

import pytest
import torch
import torch.nn.functional as F
from sae_store import planted

from crosslens.sae.architectures.base import Normalisation
from crosslens.sae.settings import Settings
from crosslens.sae.state import TrainState
from crosslens.sae.step import fresh_state, learning_rate, normalisations, train_step

D, D_SAE, K, AUX_K, BATCH = 16, 96, 4, 8, 64


def settings(**changes) -> Settings:
    given = {"k": K, "d_sae": D_SAE, "aux_k": AUX_K, "batch_tokens": BATCH, "dead_after_tokens": 150, "lr": 3e-3}
    return Settings(**(given | changes)).resolve(d_model=D, tokens=10_000)


def raw_batches(count: int, seed: int = 0) -> torch.Tensor:
    """(count, B, d) sparse combinations, with noise, off centre and far from unit scale."""
    x = torch.from_numpy(planted(count * BATCH, d=D, m=64, active=4, seed=seed)[0])
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    return (30 * (x + 0.1 * noise) + 7).view(count, BATCH, D)


def fresh(config: Settings, x: torch.Tensor, *, seed: int = 0, fast: bool = False) -> TrainState:
    return fresh_state(config, *normalisations(x, x.shape[1]), seed=seed, fast=fast)


def silence(state: TrainState, features: slice) -> None:
    """Make features dead: silent for long, and with a bias that keeps them so."""
    state.silent[features] = 100_000
    state.model.b_enc.data[features] = -10.0


class DenseTopK:
    """TopK training by methods section 3, with masks and autograd alone."""

    def __init__(self, state: TrainState, *, clip: float, alpha: float, dead_after: int):
        self.normalised, self.clip, self.alpha, self.dead_after = state.reads, clip, alpha, dead_after
        self.parameters = {
            name: p.detach().clone().requires_grad_() for name, p in state.model.named_parameters()
        }
        self.silent = state.silent.clone()
        self.adam = torch.optim.Adam(self.parameters.values(), foreach=False)

    def losses(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """FVU, AuxK and the code z (B, F) of raw x."""
        p = self.parameters
        x = (x - self.normalised.centre) * self.normalised.scale
        pre = ((x - p["b_dec"]) @ p["W_enc"].T + p["b_enc"]).relu()
        z = pre * strongest(pre, K)
        error = x - (z @ p["W_dec"] + p["b_dec"])
        fvu = error.square().sum() / (x - x.mean(0)).square().sum()
        dead = self.silent > self.dead_after
        if not dead.any():
            return fvu, torch.zeros(()), z
        # what b_dec does for the error is not AuxK's to learn, nor what it does for the encoder's input
        frozen = (x - p["b_dec"].detach()) @ p["W_enc"].T + p["b_enc"]
        own = torch.where(dead, frozen, -torch.inf)
        own = torch.where(strongest(own, min(AUX_K, int(dead.sum()))) & dead, own, 0.0).relu()
        error = error.detach()
        return fvu, (error - own @ p["W_dec"]).square().sum() / error.square().sum(), z

    def step(self, x: torch.Tensor, lr: float) -> tuple[float, float, float]:
        """One step on raw x; the FVU, AuxK and the gradient's norm before it was clipped."""
        fvu, aux, z = self.losses(x)
        self.adam.zero_grad()
        (fvu + self.alpha * aux).backward()
        rows = self.parameters["W_dec"]
        along = F.normalize(rows.detach(), dim=1)
        rows.grad -= (rows.grad * along).sum(1, keepdim=True) * along
        norm = torch.cat([p.grad.flatten() for p in self.parameters.values()]).norm()
        for p in self.parameters.values():
            p.grad *= min(1.0, self.clip / norm.item())
        self.adam.param_groups[0]["lr"] = lr
        self.adam.step()
        rows.data = F.normalize(rows.data, dim=1)
        self.silent += len(x)
        self.silent[(z > 0).any(0)] = 0
        return fvu.item(), aux.item(), norm.item()


def strongest(z: torch.Tensor, count: int) -> torch.Tensor:
    """(B, F) bool: the `count` largest of each row."""
    return z >= z.topk(count, dim=-1).values[:, -1:]


@pytest.mark.parametrize("clip", [100.0, 0.05])
def test_steps_are_those_of_the_dense_formulas(clip):
    steps, alpha = 10, 0.5
    config = settings(grad_clip=clip, aux_alpha=alpha, warmup_fraction=0.4, decay_fraction=0.2)
    x = raw_batches(steps)
    state = fresh(config, x.view(-1, D))
    silence(state, slice(0, 20))
    dense = DenseTopK(state, clip=clip, alpha=alpha, dead_after=150)
    died = []
    for number, batch in enumerate(x):
        fvu, aux, norm = dense.step(batch, lr=3e-3 * min(1, (number + 1) / 4, (steps - number) / 2))
        died.append(int((state.silent > 150).sum()))
        loss = train_step(state, batch, steps=steps)
        assert (norm > clip) == (clip < 1)
        assert loss.fvu.item() == pytest.approx(fvu, abs=1e-5)
        assert loss.aux.item() == pytest.approx(aux, abs=1e-5)
        assert torch.equal(state.silent, dense.silent)
        for name, parameter in state.model.named_parameters():
            torch.testing.assert_close(parameter, dense.parameters[name], rtol=0, atol=1e-5, msg=name)
    # AuxK worked on more than it, and on fewer
    assert min(died) < AUX_K or max(died) > AUX_K
    assert 20 <= died[0] and len(set(died)) > 1
    assert state.step == steps


def test_auxk_reaches_encoder_and_decoder_of_dead_features_only():
    x = raw_batches(1)[0]
    state = fresh(settings(), x)
    model, x = state.model, state.reads(x)
    dead = torch.arange(D_SAE) >= 70
    error = torch.randn(BATCH, D, generator=torch.Generator().manual_seed(1)).requires_grad_()
    model.aux_loss(x - model.b_dec, error, dead).backward()
    for gradient in (model.W_enc.grad, model.W_dec.grad, model.b_enc.grad[:, None]):
        touched = gradient.abs().sum(1) > 0
        assert touched[dead].any() and not touched[~dead].any()
    assert error.grad is None
    # nothing to write with: b_dec is left out of ê
    model.W_dec.data.zero_()
    model.b_dec.data.fill_(3.0)
    assert model.aux_loss(x - model.b_dec, error, dead).item() == pytest.approx(1.0)


def test_auxk_is_0_where_nothing_is_dead_or_nothing_is_missed():
    x = raw_batches(1)[0]
    model = fresh(settings(), x).model
    x, all_dead = torch.ones(BATCH, D), torch.ones(D_SAE, dtype=torch.bool)
    assert model.aux_loss(x, x, ~all_dead) == 0
    exact = model.aux_loss(x, torch.zeros(BATCH, D), all_dead)
    assert exact == 0
    exact.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    without = fresh(settings(aux_k=0), raw_batches(1)[0]).model
    assert without.aux_loss(x, x, all_dead) == 0


def share_revived(alpha: float) -> float:
    """The share of silenced features that fire again within 300 steps."""
    config = settings(aux_alpha=alpha, warmup_fraction=0, decay_fraction=0, dead_after_tokens=5_000)
    x = raw_batches(300)
    state = fresh(config, x.view(-1, D))
    state.silent[32:] = 100_000
    state.model.b_enc.data[32:] = -2.0
    fired = torch.zeros(D_SAE, dtype=torch.bool)
    for number, batch in enumerate(x):
        loss = train_step(state, batch, steps=10**6)
        if number >= 200:
            fired[loss.fired] = True
    return fired[32:].float().mean().item()


def test_auxk_revives_dead_features():
    assert share_revived(1 / 32) > share_revived(0.0) + 0.3


def test_decoder_rows_stay_at_unit_norm_without_a_gradient_along_them():
    x = raw_batches(1)[0]
    state = fresh(settings(warmup_fraction=0, grad_clip=0.5), x)
    before = state.model.W_dec.detach().clone()
    train_step(state, x, steps=10)
    torch.testing.assert_close(state.model.W_dec.norm(dim=1), torch.ones(D_SAE))
    assert not torch.equal(state.model.W_dec, before)
    gradient = state.model.W_dec.grad
    assert (gradient * before).sum(1).abs().max() < 1e-6 < 1e-3 < gradient.abs().max()
    assert torch.cat([p.grad.flatten() for p in state.model.parameters()]).norm() <= 0.5 + 1e-5


def test_learning_rate():
    config = Settings(lr=1.0, warmup_fraction=0.1, decay_fraction=0.2)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == 1 and rates[79] == 1 and rates[80] == 1
    assert rates[90] == pytest.approx(0.5) and rates[99] == pytest.approx(0.05)
    assert Settings().resolve(d_model=128, tokens=10).lr == pytest.approx(8e-4)


# bfloat16 candidates


def realistic(count: int, *, d: int, seed: int) -> torch.Tensor:
    """(count, d) like a residual stream: correlated directions of falling strength, an offset, a few loud units."""
    basis = torch.randn(4 * d, d, generator=torch.Generator().manual_seed(99))
    strength = torch.arange(1, 4 * d + 1).float().pow(-0.5)
    generator = torch.Generator().manual_seed(seed)
    code = torch.randn(count, 4 * d, generator=generator).relu() * strength
    code *= torch.rand(count, 4 * d, generator=generator) < 0.1
    x = code @ basis + 2 * torch.randn(d, generator=torch.Generator().manual_seed(98))
    x[:, :3] *= 20
    return x.bfloat16().float()


@pytest.mark.parametrize("architecture", ["topk", "batchtopk"])
@pytest.mark.parametrize("steps", [0, 40])
def test_bfloat16_candidates_hold_all_that_the_float32_product_selects(architecture, steps):
    config = Settings(architecture=architecture, d_sae=2048, k=32, lr=1e-3, warmup_fraction=0)
    config = config.resolve(d_model=128, tokens=10_000)
    x = realistic(512 * (steps + 1), d=128, seed=1).view(steps + 1, 512, 128)
    exact = fresh_state(config, *normalisations(x.view(-1, 128), 128), seed=3, fast=False)
    for batch in x[:steps]:
        train_step(exact, batch, steps=100)
    fast = fresh_state(config, exact.reads, seed=3, fast=True)
    fast.model.load_state_dict(exact.model.state_dict())
    centred = exact.model.centred(exact.reads(x[-1]))
    expected, found = (state.model.strongest(centred) for state in (exact, fast))
    assert torch.equal(found[0].crow, expected[0].crow) and torch.equal(found[0].col, expected[0].col)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-4, atol=1e-4)


def test_bfloat16_candidates_train_an_sae_as_good():
    config = Settings(d_sae=512, k=16, lr=1e-3, batch_tokens=128).resolve(d_model=64, tokens=300 * 128)
    x, held_out = realistic(300 * 128, d=64, seed=1), realistic(4000, d=64, seed=2)
    explained = {}
    for fast in (False, True):
        state = fresh_state(config, *normalisations(x, 64), seed=3, fast=fast)
        for batch in x.view(300, 128, 64):
            train_step(state, batch, steps=300)
        error = (held_out - state.exported()(held_out)).square().sum()
        explained[fast] = 1 - (error / (held_out - held_out.mean(0)).square().sum()).item()
    assert explained[False] > 0.8
    assert abs(explained[True] - explained[False]) < 0.001


def test_candidates_come_from_bfloat16_where_it_is_faster_and_the_encoder_is_large(monkeypatch):
    one = Normalisation(torch.zeros(1024), 1.0)

    def fast(d_sae: int) -> bool:
        return fresh_state(Settings(d_sae=d_sae).resolve(d_model=1024, tokens=1), one, seed=0).model.fast

    monkeypatch.setattr("crosslens.sae.step.bfloat16_is_faster", lambda device: True)
    assert fast(1024) and not fast(512)
    monkeypatch.setattr("crosslens.sae.step.bfloat16_is_faster", lambda device: False)
    assert not fast(1024)
