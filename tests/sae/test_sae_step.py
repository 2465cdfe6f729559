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
    given = {
        "k": K,
        "d_sae": D_SAE,
        "aux_k": AUX_K,
        "batch_tokens": BATCH,
        "dead_after_tokens": 150,
        "lr": 3e-3,
    }
    return Settings(**(given | changes)).resolve(d_model=D, tokens=10_000)


def raw_batches(count: int, seed: int = 0) -> torch.Tensor:
    """(count, B, d) sparse combinations, with noise, off centre and far from unit scale."""
    x = torch.from_numpy(planted(count * BATCH, d=D, m=64, active=4, seed=seed)[0])
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    return (30 * (x + 0.1 * noise) + 7).view(count, BATCH, D)


def fresh(config: Settings, x: torch.Tensor, *, seed: int = 0, fast: bool = False) -> TrainState:
    return fresh_state(config, *normalisations(x, x.shape[1]), seed=seed, fast=fast)


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
        pre = ((x - p["b_dec"]) @ p["encoder_rows"].T + p["b_enc"]).relu()
        z = pre * strongest(pre, K)
        error = x - (z @ p["W_dec"] + p["b_dec"])
        fvu = error.square().sum() / (x - x.mean(0)).square().sum()
        dead = self.silent > self.dead_after
        if not dead.any():
            return fvu, torch.zeros(()), z
        own = pre * dead
        own, error = own * strongest(own, min(AUX_K, int(dead.sum()))), error.detach()
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
    # half of the features have been silent for long; a bias makes most of them too weak to fire, not to model errors
    state.silent[:48] = 100_000
    state.model.b_enc.data[:48] = -1.0
    dense = DenseTopK(state, clip=clip, alpha=alpha, dead_after=150)
    dead, aux = [], 0.0
    for number, batch in enumerate(x):
        fvu, aux, norm = dense.step(batch, lr=3e-3 * min(1, (number + 1) / 4, (steps - number) / 2))
        dead.append(int((state.silent > 150).sum()))
        loss = train_step(state, batch, steps=steps)
        assert (norm > clip) == (clip < 1)
        assert loss.fvu.item() == pytest.approx(fvu, abs=1e-5)
        assert loss.aux.item() == pytest.approx(aux, abs=1e-5)
        assert torch.equal(state.silent, dense.silent)
        for name, parameter in state.model.named_parameters():
            torch.testing.assert_close(parameter, dense.parameters[name], rtol=0, atol=1e-5, msg=name)
    # dead features wrote something, the last time still, and some came to fire
    assert abs(aux - 1) > 0.01 and len(set(dead)) > 2 and max(dead) > AUX_K
    assert state.step == steps


SHARES = (0.25, 0.5, 1.0)


@pytest.mark.parametrize(
    ("architecture", "tied"),
    [("topk", True), ("batchtopk", False), ("batchtopk", True), ("matryoshka", False)],
)
@pytest.mark.parametrize("d_sae", [D_SAE, 40 * K])  # where products are crowded, and where they are sparse
def test_loss_and_gradients_of_other_codes_are_those_of_the_dense_formulas(architecture, tied, d_sae):
    config = settings(architecture=architecture, tied=tied, d_sae=d_sae, matryoshka_fractions=SHARES)
    x = raw_batches(1)[0]
    state = fresh(config, x)
    model, x = state.model, state.reads(x)
    generator = torch.Generator().manual_seed(4)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    rows, W_dec, b_enc, b_dec = model.encoder, model.W_dec, model.b_enc, model.b_dec
    pre = ((x - b_dec) @ rows.T + b_enc).relu()
    if architecture == "topk":
        z = pre * strongest(pre, K)
    else:
        z = pre * strongest(pre.view(1, -1), K * BATCH).view_as(pre)
    shares = SHARES if architecture == "matryoshka" else (1.0,)
    spread, losses = (x - x.mean(0)).square().sum(), []
    for share in shares:
        first = int(share * d_sae)
        losses.append((x - z[:, :first] @ W_dec[:first] - b_dec).square().sum() / spread)
    expected = torch.stack(losses).mean()
    gradients = torch.autograd.grad(expected, list(model.parameters()))

    loss = model.loss(x, x, torch.zeros(d_sae, dtype=torch.bool), 0.5)
    torch.testing.assert_close(loss.total, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(loss.fvu, losses[-1], rtol=1e-5, atol=1e-5)
    assert loss.l0.item() == pytest.approx((z > 0).sum().item() / BATCH)
    assert set(loss.fired.tolist()) == set((z > 0).any(0).nonzero().squeeze(1).tolist())
    loss.total.backward()
    for (name, parameter), gradient in zip(model.named_parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("architecture", ["batchtopk", "matryoshka"])
def test_a_threshold_stands_for_the_batch_outside_training(architecture):
    """On other tokens, one at a time, k features fire on average, and with the values that the batch gave them."""
    x, held_out = raw_batches(300).view(300, BATCH, D), raw_batches(30, seed=1).view(-1, D)
    config = settings(architecture=architecture, matryoshka_fractions=SHARES)
    state = fresh(config, x.view(-1, D))
    for batch in x:
        last = train_step(state, batch, steps=300)
    exported = state.exported()
    z = exported.encode_dense(held_out)
    assert (z > 0).float().sum(1).mean().item() == pytest.approx(K, rel=0.1)
    error = (held_out - exported(held_out)).square().sum() / (held_out - held_out.mean(0)).square().sum()
    assert error.item() == pytest.approx(last.fvu.item(), rel=0.15)


def test_auxk_reaches_encoder_and_decoder_of_dead_features_only():
    x = raw_batches(1)[0]
    state = fresh(settings(), x)
    model, x = state.model, state.reads(x)
    dead = torch.arange(D_SAE) >= 70
    error = torch.randn(BATCH, D, generator=torch.Generator().manual_seed(1)).requires_grad_()
    model.aux_loss(x - model.b_dec, error, dead).backward()
    for gradient in (model.encoder_rows.grad, model.W_dec.grad, model.b_enc.grad[:, None]):
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
    state.model.b_enc.data[32:] = -3.0
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
    state = fresh(settings(warmup_fraction=0, grad_clip=0.25), x)
    before = state.model.W_dec.detach().clone()
    train_step(state, x, steps=10)
    torch.testing.assert_close(state.model.W_dec.norm(dim=1), torch.ones(D_SAE))
    assert not torch.equal(state.model.W_dec, before)
    # the first moments after one step are a tenth of the gradients, as projected and clipped
    gradients = {
        name: state.optimizer.state[p]["exp_avg"] / 0.1 for name, p in state.model.named_parameters()
    }
    along = (gradients["W_dec"] * before).sum(1)
    assert along.abs().max() < 1e-6 < 1e-3 < gradients["W_dec"].abs().max()
    norm = torch.cat([gradient.flatten() for gradient in gradients.values()]).norm()
    assert norm == pytest.approx(0.25, abs=1e-5)


def test_learning_rate():
    config = Settings(lr=1.0, warmup_fraction=0.1, decay_fraction=0.2)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == 1 and rates[79] == 1 and rates[80] == 1
    assert rates[90] == pytest.approx(0.5) and rates[99] == pytest.approx(0.05)
    assert Settings().resolve(d_model=128, tokens=10).lr == pytest.approx(8e-4)


# bfloat16 candidates


def realistic(count: int, *, d: int, seed: int) -> torch.Tensor:
    """(count, d) like a residual stream: correlated directions of falling strength, an offset, loud units and tokens."""
    basis = torch.randn(4 * d, d, generator=torch.Generator().manual_seed(99))
    strength = torch.arange(1, 4 * d + 1).float().pow(-0.5)
    generator = torch.Generator().manual_seed(seed)
    code = torch.randn(count, 4 * d, generator=generator).relu() * strength
    code *= torch.rand(count, 4 * d, generator=generator) < 0.1
    x = code @ basis + 2 * torch.randn(d, generator=torch.Generator().manual_seed(98))
    x[:, :3] *= 20
    # up to what would count as sinks
    x[::10] *= torch.linspace(1, 8, len(x[::10]))[:, None]
    return x.bfloat16().float()


@pytest.mark.parametrize("architecture", ["topk", "batchtopk"])
@pytest.mark.parametrize(("d_sae", "steps"), [(1024, 0), (1024, 20), (4096, 0), (4096, 5)])
def test_bfloat16_candidates_hold_all_that_the_float32_product_selects(architecture, d_sae, steps):
    config = Settings(architecture=architecture, d_sae=d_sae, k=32, lr=1e-3, warmup_fraction=0)
    config = config.resolve(d_model=128, tokens=10_000)
    x = realistic(256 * (steps + 1), d=128, seed=1).view(steps + 1, 256, 128)
    exact = fresh_state(config, *normalisations(x.view(-1, 128), 128), seed=3, fast=False)
    for batch in x[:steps]:
        train_step(exact, batch, steps=100)
    fast = fresh_state(config, exact.reads, seed=3, fast=True)
    fast.model.load_state_dict(exact.model.state_dict())
    centred = exact.model.centred(exact.reads(x[-1]))
    expected, found = (state.model.strongest(centred) for state in (exact, fast))
    assert torch.equal(found[0].crow, expected[0].crow) and torch.equal(found[0].col, expected[0].col)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", ["equal in pairs", "no numbers"])
def test_k_features_fire_where_the_kth_has_an_equal_and_where_there_are_no_numbers(rows):
    config = Settings(d_sae=1024, k=15).resolve(d_model=64, tokens=10_000)
    x = realistic(200, d=64, seed=1)
    state = fresh_state(config, *normalisations(x, 64), seed=3, fast=True)
    with torch.no_grad():
        state.model.encoder_rows[1::2] = state.model.encoder_rows[::2]
        if rows == "no numbers":
            state.model.encoder_rows.fill_(torch.nan)
    centred = state.model.centred(state.reads(x))
    places, values = state.model.strongest(centred)
    assert places.crow.diff().eq(15).all() and places.col.view(-1, 15).diff().gt(0).all()
    exact = (centred @ state.model.encoder_rows.T).topk(15).values
    torch.testing.assert_close(values.view(-1, 15).sort(descending=True).values, exact, equal_nan=True)


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
