"""A step of TopK training against other libraries' steps, against the fp32 limit, and against the dense recipe's quality.

`python tests/benchmarks/sae_training.py [--sizes 2560x20480 576x4608] [--steps 12] [--device cuda] [--json]`: tokens/s of
all on the same planted sparse data, in one process. With `--json` the last line of stdout is one object,
{"2560x20480": {"ours", "ours_no_dead", "limit", "sparsify", "dictionary_learning", "saelens"}, …} in tokens/s, null for
a library that is not measured. Ends with 1 where a stated limit is missed, unless `--no-check`.

`--profile` also tells where the time of our step goes, piece by piece, beside the least that each can take on this
machine (`step_profile.py`), and in the object of `--json` under "profile". `--beside N` measures all of it beside so
many processes that never rest: one takes half of two cores.

- ours: `train_step`, whole, with `--dead` of the latents held dead so that AuxK works; ours_no_dead: with none.
- limit: the encoder's product in fp32 and its top-k, forward only, into memory that is there already.
- the other libraries: the step that their own trainer makes by default, with no latent dead. That is their quickest
  state (sparsify's AuxK is off by default, the others' begins after millions of tokens), so the ratios are lower
  bounds; `--dead-peers` holds the same latents dead in them, sparsify's AuxK switched on.
"""

import argparse
import contextlib
import gc
import importlib.metadata
import json
import logging
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import step_profile
import torch
import torch.nn.functional as F
from step_profile import Cost
from torch import Tensor

from crosslens.memory import memory_kept
from crosslens.sae.runtime import bfloat16_gain, reproducible
from crosslens.sae.settings import Settings
from crosslens.sae.state import TrainState
from crosslens.sae.step import fresh_state, learning_rate, normalisations, train_step

K = 32
BATCH = {"576x4608": 4096}
"""Tokens a step, where they are not DEFAULT_BATCH."""
DEFAULT_BATCH = 2048
LIMITS = {
    "2560x20480": {"sparsify": 2.0, "dictionary_learning": 8.0, "saelens": 8.0, "limit": 1.3},
    "576x4608": {"sparsify": 2.0, "dictionary_learning": 8.0, "saelens": 8.0, "limit": 1.3},
}
"""Ours in tokens/s, over the other's: at least this on CPUs."""
LIMITS_BESIDE = {"sparsify": 2.0}
"""The same where other processes take part of the cores."""
EV_LIMIT = -0.001
"""Held-out EV of ours less that of the dense recipe: at least this."""
PEERS = {
    "sparsify": ("eai-sparsify", "sparsify"),
    "dictionary_learning": ("dictionary-learning", "dictionary_learning.trainers.top_k"),
    "saelens": ("sae-lens", "sae_lens"),
}
"""What the other libraries are called where packages are had, and what is imported of them."""
INSTALL = (
    "`pip install -e '.[peers]'`, then `pip uninstall torchvision` where torch is a CPU build "
    "(the one that comes along is CUDA's)"
)
LONG_SILENT = 1 << 40
"""Tokens, or steps, without firing that count as dead everywhere."""
DISTINCT_BATCHES = 8
log = logging.getLogger("sae_training")


class Size(NamedTuple):
    """What a step works on."""

    d_in: int
    d_sae: int
    batch: int
    """Tokens."""

    @classmethod
    def parse(cls, text: str) -> "Size":
        """From "2560x20480" or, with another number of tokens a step, "2560x20480@1024"."""
        name, _, batch = text.partition("@")
        d_in, d_sae = (int(part) for part in name.split("x"))
        return cls(d_in, d_sae, int(batch) if batch else BATCH.get(name, DEFAULT_BATCH))

    def __str__(self) -> str:
        return f"{self.d_in}x{self.d_sae}"


class Work(NamedTuple):
    """One library's training, ready to go."""

    step: Callable[[Tensor], object]
    """Trains on x (B, d_in)."""
    silent: Tensor | None = None
    """(F) what that library counts since each latent last fired."""


class Planted:
    """Tokens that are sums of 24 of 2 d random unit directions, weights uniform in [.5, 1.5], and noise of .01."""

    def __init__(self, d_in: int, device: torch.device, seed: int = 0):
        self.device, self.generator = device, torch.Generator().manual_seed(seed)
        self.directions = F.normalize(torch.randn(2 * d_in, d_in, generator=self.generator), dim=1)

    def batch(self, tokens: int) -> Tensor:
        """(tokens, d) float32."""
        n, d = self.directions.shape
        index = torch.randint(0, n, (tokens, 24), generator=self.generator)
        weights = torch.rand(tokens, 24, generator=self.generator) + 0.5
        x = F.embedding_bag(index, self.directions, per_sample_weights=weights, mode="sum")
        return (x + 0.01 * torch.randn(tokens, d, generator=self.generator)).to(self.device)


def settings(size: Size, *, steps: int, **options) -> Settings:
    """Our recipe at `size`, resolved for `steps` steps."""
    recipe = Settings(k=min(K, size.d_sae), d_sae=size.d_sae, batch_tokens=size.batch, **options)
    return recipe.resolve(d_model=size.d_in, tokens=size.batch * steps)


def ours(size: Size, batches: list[Tensor]) -> Work:
    # so many steps that the schedule is not at its end, and that no latent but the held ones counts as dead
    steps = 1_000_000
    state = fresh_state(settings(size, steps=steps), *normalisations(batches[0], size.d_in), seed=0)
    return Work(lambda x: train_step(state, x, steps=steps), state.silent)


def limit(size: Size, batches: list[Tensor]) -> Work:
    device = batches[0].device
    W, b = torch.randn(size.d_sae, size.d_in, device=device), torch.zeros(size.d_sae, device=device)
    pre = torch.empty(size.batch, size.d_sae, device=device)
    k = min(K, size.d_sae)
    values = torch.empty(size.batch, k, device=device)
    indices = torch.empty(size.batch, k, dtype=torch.int64, device=device)

    @torch.no_grad()
    def step(x: Tensor) -> None:
        torch.addmm(b, x, W.T, out=pre)
        torch.topk(pre, k, sorted=False, out=(values, indices))

    return Work(step)


def sparsify(size: Size, batches: list[Tensor], dead: bool) -> Work:
    """`sparsify.Trainer` (1.3.3) takes activations from a language model's forward hook; this is what its hook and
    `fit` then do to them, without the model, logging and DDP. Its default optimizer is "signum": schedule-free SignSGD.
    It does not clip. It is built as its constructor builds it, which needs a model.
    """
    from schedulefree import ScheduleFreeWrapper
    from sparsify import SparseCoder, SparseCoderConfig, TrainConfig
    from sparsify.sign_sgd import SignSGD

    cfg = TrainConfig(SparseCoderConfig(num_latents=size.d_sae, k=min(K, size.d_sae)))
    assert cfg.optimizer == "signum"
    auxk_alpha = 1 / 32 if dead else cfg.auxk_alpha
    device = batches[0].device
    torch.manual_seed(0)
    sae = SparseCoder(size.d_in, cfg.sae, device, dtype=torch.float32)
    sae.b_dec.data = batches[0].mean(0)
    lr = cfg.lr or 5e-3 / (sae.num_latents / (2**14)) ** 0.5
    optimizer = ScheduleFreeWrapper(SignSGD([{"params": sae.parameters(), "lr": lr}]), momentum=0.95)
    optimizer.train()
    silent = torch.zeros(sae.num_latents, device=device, dtype=torch.long)
    did_fire = torch.zeros(sae.num_latents, device=device, dtype=torch.bool)

    def step(x: Tensor) -> None:
        sae.set_decoder_norm_to_unit_norm()
        dead_mask = silent > cfg.dead_feature_threshold if auxk_alpha > 0 else None
        total_variance = (x - x.mean(0)).pow(2).sum()
        out = sae(x=x, y=x, dead_mask=dead_mask, total_variance=total_variance)
        did_fire[out.latent_indices.flatten()] = True
        float(out.fvu.detach())
        (out.fvu + auxk_alpha * out.auxk_loss + out.multi_topk_fvu / 8).backward()
        sae.remove_gradient_parallel_to_decoder_directions()
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            silent.add_(len(x))
            silent[did_fire] = 0
            did_fire.zero_()

    return Work(step, silent)


def dictionary_learning(size: Size, batches: list[Tensor], dead: bool) -> Work:
    """`TopKTrainer.update` (0.1.0)."""
    from dictionary_learning.trainers.top_k import TopKTrainer

    trainer = TopKTrainer(
        steps=1_000_000,
        activation_dim=size.d_in,
        dict_size=size.d_sae,
        k=min(K, size.d_sae),
        layer=0,
        lm_name="",
        seed=0,
        device=str(batches[0].device),
    )
    # counted as its `trainSAE` does; step 0 also places b_dec, within the warm-up
    numbers = iter(range(1_000_000))
    return Work(lambda x: trainer.update(next(numbers), x), trainer.num_tokens_since_fired)


def saelens(size: Size, batches: list[Tensor], dead: bool) -> Work:
    """`SAETrainer.step` (6.54.12), which puts `_train_step` after moving the batch; counted as its `fit` does. The
    data provider, which it only reads in `fit`, is empty.
    """
    from sae_lens.config import SAETrainerConfig
    from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.training.sae_trainer import SAETrainer

    device = str(batches[0].device)
    torch.manual_seed(0)
    cfg = TopKTrainingSAEConfig(d_in=size.d_in, d_sae=size.d_sae, k=min(K, size.d_sae), device=device)
    training = SAETrainerConfig(
        total_training_samples=1_000_000 * size.batch, train_batch_size_samples=size.batch, device=device
    )
    # as the runner's configuration sets it; the schedule is "constant" and does not use it
    training.lr_end = training.lr / 10
    trainer = SAETrainer(training, TopKTrainingSAE(cfg), data_provider=iter(()))

    def step(x: Tensor) -> None:
        trainer.step(x)
        trainer.n_training_steps += 1

    return Work(step, trainer.n_forward_passes_since_fired)


def synchronise(device: torch.device) -> None:
    """Wait for what was begun on the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def tokens_per_second(
    work: Work, batches: list[Tensor], dead: Tensor | None, *, warm_up: int, steps: int
) -> float:
    """From the median time of `steps` steps. dead: latents held dead, or None."""
    device, seconds = batches[0].device, []
    for number in range(warm_up + steps):
        x = batches[number % len(batches)]
        if dead is not None:
            work.silent.index_fill_(0, dead, LONG_SILENT)
        synchronise(device)
        began = time.perf_counter()
        work.step(x)
        synchronise(device)
        seconds.append(time.perf_counter() - began)
    return len(batches[0]) / statistics.median(seconds[warm_up:])


def present(name: str) -> bool:
    """Whether a library can be imported; writes out its version, or how to have it."""
    package, module = PEERS[name]
    try:
        importlib.import_module(module)
    # the RuntimeError is that of transformers over a torchvision of another build
    except (ImportError, RuntimeError) as error:
        log.info("%s: not measured (%s). To have it: %s", name, error, INSTALL)
        return False
    log.info("%s: %s %s", name, package, importlib.metadata.version(package))
    return True


def measure_peer(name: str, size: Size, batches: list[Tensor], dead: Tensor | None, *, steps: int) -> float:
    """Tokens/s of a library."""
    build = {"sparsify": sparsify, "dictionary_learning": dictionary_learning, "saelens": saelens}[name]
    # `sparsify.Trainer.fit` asks for TF32, in the whole process: only it gets that
    precision = torch.get_float32_matmul_precision()
    work = build(size, batches, dead is not None)
    if name == "sparsify":
        torch.set_float32_matmul_precision("high")
    try:
        return tokens_per_second(work, batches, dead, warm_up=1, steps=steps)
    finally:
        torch.set_float32_matmul_precision(precision)


def measure_ours(
    size: Size, batches: list[Tensor], dead: Tensor, *, steps: int
) -> tuple[dict[str, float], float, int | None]:
    """Tokens/s of the limit and of ours, FLOP/s of a bf16 product of the encoder's size, and on a GPU the peak bytes of
    our state and steps, beside the batches.
    """
    device = batches[0].device
    limiting = tokens_per_second(limit(size, batches), batches, None, warm_up=2, steps=steps)
    rate = bfloat16_rate(size, batches)
    release(device)
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    work = ours(size, batches)
    without = tokens_per_second(work, batches, None, warm_up=3, steps=steps)
    with_dead = tokens_per_second(work, batches, dead, warm_up=3, steps=steps)
    peak = torch.cuda.max_memory_allocated(device) - before if on_gpu else None
    return {"ours": with_dead, "ours_no_dead": without, "limit": limiting}, rate, peak


def bfloat16_rate(size: Size, batches: list[Tensor]) -> float:
    """FLOP/s of (B, d) @ (d, F) in bfloat16, the best of five."""
    x = batches[0].bfloat16()
    W = torch.randn(size.d_sae, size.d_in, device=x.device).bfloat16()
    out = torch.empty(size.batch, size.d_sae, device=x.device, dtype=torch.bfloat16)

    def seconds() -> float:
        synchronise(x.device)
        began = time.perf_counter()
        torch.mm(x, W.T, out=out)
        synchronise(x.device)
        return time.perf_counter() - began

    seconds()
    return 2 * size.batch * size.d_in * size.d_sae / min(seconds() for _ in range(5))


def profile_ours(size: Size, batches: list[Tensor], dead: Tensor, *, steps: int) -> dict[str, Any]:
    """Milliseconds of each piece of our step on a CPU, and the least that each can take; written out as a table too."""
    work = ours(size, batches)

    def step(x: Tensor) -> None:
        work.silent.index_fill_(0, dead, LONG_SILENT)
        work.step(x)

    for x in batches[:3]:
        step(x)
    found = step_profile.profile(step, batches, steps)
    rates = step_profile.rates(size.d_in, size.d_sae, size.batch)
    pieces = step_profile.costs(size.d_in, size.d_sae, size.batch, min(K, size.d_sae), len(dead))
    limits = {name: rates.seconds(cost) for name, cost in pieces.items()}
    gain = bfloat16_gain()
    log.info("where the time of a step at %s goes", size)
    log.info("  the probe: a bfloat16 product is %.2f times as quick as a float32 one, on one thread", gain)
    for line in step_profile.table(found, limits, rates):
        log.info("%s", line)
    return {
        "ms": {name: round(1e3 * seconds, 3) for name, seconds in found.items()},
        "least_ms": {name: round(1e3 * seconds, 3) for name, seconds in limits.items()},
        "rates": rates._asdict(),
        "bfloat16_gain": gain,
    }


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Beside so many processes that never rest."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def release(device: torch.device) -> None:
    """Give up the memory of what is no longer used."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def costs(size: Size, dead: int) -> dict[str, Cost]:
    """FLOPs and bytes of a step: "ours", the sum of its pieces, and the "dense" fp32 recipe (`train_dense`).

    B tokens, d = d_in, F = d_sae, P = 2dF + F + d parameters; a multiplication and an addition are 2 FLOPs. Each pass over
    a large tensor counts, as if no cache held it.

    dense: FLOPs    fp32  12BdF (two products, four in the backward pass) + 6BdF where n > 0 (AuxK decodes the encoder's
                          product anew) + 15P (Adam 12, clipping 3) + 7dF (decoder: gradient projected 4, norm 3)
          streamed  dF:   24 (matrices read by four products, gradients written) + 24 (projection, norm); AuxK 12 more
                    P:    40 (Adam 28, clipping 12)
                    B:    40F (pre-activations, code, their gradients, each written and read); with AuxK 28F more
    """
    d, width, tokens = size.d_in, size.d_sae, size.batch
    matrix, aux = d * width, dead > 0
    parameters = 2 * matrix + width + d
    pieces = step_profile.costs(d, width, tokens, min(K, width), dead).values()
    return {
        "ours": Cost(*(sum(amounts) for amounts in zip(*pieces, strict=True))),
        "dense": Cost(
            single=(18 if aux else 12) * tokens * matrix + 15 * parameters + 7 * matrix,
            streamed=(60 if aux else 48) * matrix + 40 * parameters + (68 if aux else 40) * tokens * width,
        ),
    }


class Quality(NamedTuple):
    """What training came to."""

    ev: float
    """1 − Σ‖x − x̂‖² / Σ‖x − x̄‖² on held-out tokens."""
    dead: float
    """Latents that were dead at a step, on average."""


def compare_quality(size: Size, *, steps: int, device: torch.device) -> tuple[Quality, Quality]:
    """Ours with bfloat16 candidates, and the dense fp32 recipe, from the same start on the same tokens."""
    # so short that latents do die, and AuxK is part of what is compared
    config = settings(size, steps=steps, dead_after_tokens=size.batch)
    planted = Planted(size.d_in, device)
    test, sample = planted.batch(8192), planted.batch(8192)
    beyond = planted.generator.get_state()

    def stream() -> Iterator[Tensor]:
        """The same training tokens every time, drawn after the held-out ones."""
        planted.generator.set_state(beyond)
        return (planted.batch(size.batch) for _ in range(steps))

    def begin() -> TrainState:
        reads = normalisations(sample, size.d_in)
        return fresh_state(config, *reads, seed=0, fast=True)

    state = begin()
    dense = train_dense(begin(), stream(), steps=steps)
    dead = 0
    for x in stream():
        dead += int((state.silent > config.dead_after_tokens).sum())
        train_step(state, x, steps=steps)
    sae = state.exported()
    with torch.no_grad():
        fast = Quality(explained(test, sae(test)), dead / steps)
    return fast, Quality(explained(test, dense.reconstruct(test)), dense.dead)


class Dense(NamedTuple):
    """A dense SAE that was trained."""

    reconstruct: Callable[[Tensor], Tensor]
    """Raw x (n, d) to x̂."""
    dead: float
    """As in Quality."""


def train_dense(start: TrainState, stream: Iterator[Tensor], *, steps: int) -> Dense:
    """The recipe of `train_step` for TopK from the parameters of `start`, every product dense, in float32, by autograd.

    Nothing of our steps is used but the start, the normalisation and the schedule of the learning rate.
    """
    config = start.model.config
    named = {name: value.detach().clone().requires_grad_() for name, value in start.model.named_parameters()}
    W_enc, W_dec, b_enc, b_dec = (named[name] for name in ("encoder_rows", "W_dec", "b_enc", "b_dec"))
    optimizer = torch.optim.Adam(named.values(), lr=config.lr, betas=config.betas)
    silent = torch.zeros(config.d_sae, dtype=torch.int64, device=b_enc.device)
    dead_in_all = 0

    def strongest(pre: Tensor, k: int) -> Tensor:
        values, indices = pre.topk(k, dim=-1)
        return torch.zeros_like(pre).scatter(-1, indices, values.relu())

    def forward(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pre = (x - b_dec) @ W_enc.T + b_enc
        z = strongest(pre, config.k)
        return pre, z, z @ W_dec + b_dec

    for step, raw in enumerate(stream):
        x = start.reads(raw)
        pre, z, x_hat = forward(x)
        error, dead = x - x_hat, silent > config.dead_after_tokens
        loss = error.square().sum() / (x - x.mean(0)).square().sum()
        dead_in_all += int(dead.sum())
        if dead.any():
            few = min(config.aux_k, int(dead.sum()))
            missed = error.detach() - strongest(pre.where(dead, -torch.inf), few) @ W_dec
            loss = loss + config.aux_alpha * missed.square().sum() / error.detach().square().sum()
        optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            W_dec.grad -= (W_dec.grad * W_dec).sum(1, keepdim=True) * W_dec
            torch.nn.utils.clip_grad_norm_(named.values(), config.grad_clip)
            optimizer.param_groups[0]["lr"] = learning_rate(step, steps, config)
            optimizer.step()
            W_dec.div_(W_dec.norm(dim=1, keepdim=True))
            silent = (silent + len(x)).masked_fill((z > 0).any(0), 0)

    @torch.no_grad()
    def reconstruct(raw: Tensor) -> Tensor:
        return forward(start.reads(raw))[2] / start.reads.scale + start.reads.centre

    return Dense(reconstruct, dead_in_all / steps)


def explained(x: Tensor, x_hat: Tensor) -> float:
    """EV of x (n, d) by x̂, sums in float64."""
    missed = (x - x_hat).double().square().sum()
    return float(1 - missed / (x - x.mean(0)).double().square().sum())


def report(
    size: Size,
    speeds: dict[str, float | None],
    rate: float,
    peak: int | None,
    dead: int,
    limits: dict[str, float],
) -> bool:
    """Write out what was found at a size; whether all that is required of it, `limits`, was reached."""
    if size != Size.parse(str(size)):
        limits = {}  # they are stated for one number of tokens a step
    log.info("%d -> %d, %d tokens a step, k = %d, %d latents dead", *size, min(K, size.d_sae), dead)
    reached = True
    for name, speed in speeds.items():
        if speed is None:
            log.info("  %-20s not measured", name)
            continue
        line = f"  {name:20} {speed:12,.0f} tokens/s {size.batch / speed * 1e3:10,.1f} ms"
        if name in (*PEERS, "limit"):
            ratio = speeds["ours"] / speed
            least = limits.get(name)
            line += f"   ours / it: {ratio:6.2f}"
            if least is not None:
                line += f"   at least {least}: {'pass' if ratio >= least else 'FAIL'}"
                reached &= ratio >= least
        log.info("%s", line)
    for name, cost in costs(size, dead).items():
        log.info(
            "  a step of %-6s %8.1f GFLOP bf16 %8.1f GFLOP fp32 %7.2f GB streamed %7.2f GB gathered",
            *(name + ":", *(amount / 1e9 for amount in cost)),
        )
    step, per_second = costs(size, dead)["ours"], speeds["ours"] / size.batch
    done = (step.low + step.single) * per_second
    log.info(
        "  ours: %.3g FLOP/s, %.2f of a bf16 product's %.3g; %.3g GB/s streamed",
        *(done, done / rate, rate, step.streamed * per_second / 1e9),
    )
    if peak is not None:
        log.info("  ours: at most %.2f GB of GPU memory, beside the batches", peak / 1e9)
    return reached


def report_quality(size: Size, *, steps: int, device: torch.device, check: bool) -> bool:
    """Write out held-out EV of both; whether ours is high enough."""
    fast, dense = compare_quality(size, steps=steps, device=device)
    difference = fast.ev - dense.ev
    reached = difference >= EV_LIMIT or not check
    log.info(
        "held-out EV after %d steps of %d tokens at %s: ours %.5f (%.1f dead), dense fp32 %.5f (%.1f dead), difference %+.5f%s",
        *(steps, size.batch, size, fast.ev, fast.dead, dense.ev, dense.dead, difference),
        f"   at least {EV_LIMIT}: {'pass' if reached else 'FAIL'}" if check else "",
    )
    return reached


def arguments() -> argparse.Namespace:
    """What was asked for, with the defaults of the device or of `--quick`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", help="such as 2560x20480, or 2560x20480@1024: tokens a step")
    parser.add_argument("--steps", type=int, help="steps of ours, and of the limit")
    parser.add_argument("--peer-steps", type=int, help="of the others; default: a third, but at least 3")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads; default: all")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dead", type=float, default=0.05, help="share of latents held dead in ours")
    parser.add_argument("--dead-peers", action="store_true", help="hold them dead in the others too")
    parser.add_argument("--same-allocator", action="store_true", help="the others in `memory_kept` too")
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS), help="default: all")
    parser.add_argument("--skip-peers", dest="peers", action="store_const", const=[])
    parser.add_argument("--profile", action="store_true", help="where our step's time goes (CPUs)")
    parser.add_argument("--beside", type=int, default=0, help="processes that never rest beside all of it")
    parser.add_argument("--ev-sizes", nargs="*", help="sizes at which EV is compared; default 256x2048@1024")
    parser.add_argument("--ev-steps", type=int, help="steps of that comparison; default 400")
    parser.add_argument("--no-check", action="store_true", help="do not end with 1 where a limit is missed")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, no limits: does the script run?")
    given = parser.parse_args()
    defaults = {"sizes": list(LIMITS), "steps": 12, "ev_sizes": ["256x2048@1024"], "ev_steps": 400}
    if torch.device(given.device).type == "cuda":
        defaults["sizes"] = [*LIMITS, "2560x65536"]
    if given.quick:
        defaults = {"sizes": ["32x256@64"], "steps": 2, "ev_sizes": ["32x256@64"], "ev_steps": 8}
    for name, value in defaults.items():
        if getattr(given, name) is None:
            setattr(given, name, value)
    return given


def main() -> None:
    given = arguments()
    with busy(given.beside):
        measure(given)


def measure(given: argparse.Namespace) -> None:
    """All that was asked for."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    # only this script's own lines: the libraries' would be between them
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False

    device = torch.device(given.device)
    torch.set_num_threads(given.threads)
    # cuBLAS reads it when it starts, which is with the first of the others; `reproducible` needs it then
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    sizes = [Size.parse(text) for text in given.sizes]
    data: dict[Size, tuple[list[Tensor], Tensor]] = {}
    for size in sizes:
        planted = Planted(size.d_in, device)
        held = torch.randperm(size.d_sae, generator=planted.generator)[: math.ceil(given.dead * size.d_sae)]
        data[size] = [planted.batch(size.batch) for _ in range(DISTINCT_BATCHES)], held.to(device)
    log.info("torch %s, %s, %d threads", torch.__version__, hardware(device), given.threads)
    if given.beside:
        log.info("beside %d processes that never rest", given.beside)

    # All the others' sizes come before any of ours: `memory_kept` changes the allocator of the process, and cannot
    # bring back all of how it was. They run with the allocator that a user gets.
    found_peers = [name for name in given.peers if present(name)]
    speeds: dict[Size, dict[str, Any]] = {size: dict.fromkeys(PEERS) for size in sizes}
    with memory_kept() if given.same_allocator else contextlib.nullcontext():
        for size, (batches, held) in data.items():
            for name in found_peers:
                dead, steps = held if given.dead_peers else None, given.peer_steps or max(3, given.steps // 3)
                speeds[size][name] = measure_peer(name, size, batches, dead, steps=steps)
                release(device)

    # the stated limits are those of CPUs
    check = not given.quick
    reached, profiles = [], {}
    with memory_kept(), reproducible():
        for size, (batches, held) in data.items():
            found, rate, peak = measure_ours(size, batches, held, steps=given.steps)
            speeds[size] = {**found, **speeds[size]}
            release(device)
            limits = LIMITS_BESIDE if given.beside else LIMITS.get(str(size), {})
            ok = report(
                size, speeds[size], rate, peak, len(held), limits if check and device.type == "cpu" else {}
            )
            reached.append(ok)
            if given.profile and device.type == "cpu":
                profiles[size] = profile_ours(size, batches, held, steps=given.steps)
                release(device)
        del data
        for text in given.ev_sizes:
            ok = report_quality(Size.parse(text), steps=given.ev_steps, device=device, check=check)
            reached.append(ok)
    if given.json:
        rounded = {
            str(size): {name: speed and round(speed, 1) for name, speed in found.items()}
            | ({"profile": profiles[size]} if size in profiles else {})
            for size, found in speeds.items()
        }
        sys.stdout.write(json.dumps(rounded) + "\n")
    if not (all(reached) or given.no_check):
        sys.exit(1)


def hardware(device: torch.device) -> str:
    """The device in words."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


if __name__ == "__main__":
    main()
