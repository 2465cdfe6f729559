"""Training of one sparse autoencoder on stored activations."""

import hashlib
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from crosslens.errors import InputError
from crosslens.progress import Progress
from crosslens.sae.io import IDENTITY, save_sae
from crosslens.sae.loss import Loss, topk_loss
from crosslens.sae.model import TopKSAE
from crosslens.sae.normalise import centre_and_scale
from crosslens.sae.runtime import pick_device, reproducible, until_terminated
from crosslens.sae.settings import Settings
from crosslens.sae.state import TrainState, load_checkpoint, save_checkpoint
from crosslens.sae.stream import Source, TokenStream, select_sources
from crosslens.tables.documents import write_json

CHECKPOINT = "sae_checkpoint.safetensors"
SAMPLE_TOKENS = 65_536


def train_sae(
    *,
    datasets: Mapping[str, Path],
    tokens: Mapping[str, Sequence[Path]],
    activations: Mapping[str, Sequence[Path]],
    identity: Mapping[str, Any],
    settings: Mapping[str, Any],
    out: Path,
    device: str = "auto",
) -> None:
    """Train an SAE on the activations of one site, of the languages that are keys of `datasets`.

    Writes sae_weights.safetensors, cfg.json and training.json to the folder `out`. A checkpoint in `out.parent` lets
    a killed run be repeated: it goes on from there and ends with the same bytes (for the same number of threads).
    On SIGTERM it is written at once and the process exits with 143.

    identity: study, corpus, site, seed, model, revision. settings: fields of `Settings`. device: auto, cpu, cuda, mps.
    """
    identity = {key: identity[key] for key in IDENTITY}
    config = Settings.from_dict(settings)
    sources = select_sources(
        datasets=datasets,
        tokens=tokens,
        activations=activations,
        site=identity["site"],
        roles=config.roles,
        sink_factor=config.sink_factor if config.exclude_sinks else None,
    )
    seed = derive_seed(identity)
    stream = TokenStream(
        sources, seed=seed, block_tokens=config.block_tokens, buffer_tokens=config.buffer_tokens
    )
    config = config.resolve(d_model=stream.d_model, tokens=len(stream))
    state = train(
        stream,
        config,
        seed=seed,
        checkpoint=Path(out).parent / CHECKPOINT,
        title=f"SAE {identity['corpus']} layer {identity['site']} seed {identity['seed']}",
        device=device,
    )
    if Path(out).exists():
        shutil.rmtree(out)
    save_sae(out, state.exported(), identity=identity)
    write_json(Path(out) / "training.json", "training", _account(identity, config, sources, state))


def train(
    stream: TokenStream, config: Settings, *, seed: int, checkpoint: Path, title: str, device: str = "auto"
) -> TrainState:
    """The state after all steps of the resolved `config`, from `checkpoint` on if that file is there."""
    size = config.batch_tokens
    steps = math.ceil(config.train_tokens / size)
    checkpoint_every = max(1, config.checkpoint_tokens // size)
    curve_every = max(1, steps // config.curve_points)
    run = {"seed": seed, "tokens": len(stream), "d_model": stream.d_model, "settings": _plain(config)}
    with reproducible(), until_terminated() as terminated:
        state = fresh_state(stream, config, seed, pick_device(device), resuming=checkpoint.exists())
        if checkpoint.exists():
            load_checkpoint(checkpoint, state, run)
        progress = Progress(title, steps * size, "tokens", start=state.step * size)
        batches = stream.batches(size, start=state.step)
        while state.step < steps:
            # a copy of torch's own: the alignment of memory decides last bits of a product
            x = (torch.tensor(next(batches), device=state.centre.device) - state.centre) * state.scale
            dead = state.silent > config.dead_after_tokens
            loss = topk_loss(state.sae, x, dead, aux_k=config.aux_k, alpha=config.aux_alpha)
            lr = descend(state, loss, config, steps)
            state.silent += size
            state.silent[loss.indices[loss.values > 0]] = 0
            state.step += 1
            if state.step in (1, steps) or state.step % curve_every == 0:
                state.curve.append(curve_point(title, state, loss, dead, lr, size))
            progress.update(size, **{key: state.curve[-1][key] for key in ("fvu", "l0", "dead")})
            if state.step < steps and (terminated.is_set() or state.step % checkpoint_every == 0):
                save_checkpoint(checkpoint, state, run)
                if terminated.is_set():
                    raise SystemExit(143)
    return state


def descend(state: TrainState, loss: Loss, config: Settings, steps: int) -> float:
    """One step of Adam down `loss`; decoder rows keep unit norm. Returns the learning rate."""
    sae, lr = state.sae, learning_rate(state.step, steps, config)
    for group in state.optimizer.param_groups:
        group["lr"] = lr
    state.optimizer.zero_grad()
    loss.total.backward()
    with torch.no_grad():
        along = (sae.W_dec.grad * sae.W_dec).sum(1, keepdim=True)
        sae.W_dec.grad.addcmul_(along, sae.W_dec, value=-1)
        torch.nn.utils.clip_grad_norm_(sae.parameters(), config.grad_clip)
        state.optimizer.step()
        F.normalize(sae.W_dec, dim=1, out=sae.W_dec.data)
    return lr


def learning_rate(step: int, steps: int, config: Settings) -> float:
    """Linear from 0 over the first steps, constant, linear to 0 over the last ones; `step` counts from 0."""
    warmup, decay = config.warmup_fraction * steps, config.decay_fraction * steps
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    fall = min(1.0, (steps - step) / decay) if decay else 1.0
    return config.lr * min(rise, fall)


def curve_point(title: str, state: TrainState, loss: Loss, dead: Tensor, lr: float, size: int) -> dict:
    """What training.json keeps of a step; raises InputError where the loss is not finite."""
    if not math.isfinite(loss.total.item()):
        raise InputError(
            title,
            found=f"loss {loss.total.item()} at step {state.step}",
            expected="a finite loss",
            mend="lower lr, and check that the activations are finite and not all the same",
        )
    return {
        "step": state.step,
        "tokens": state.step * size,
        "fvu": loss.fvu.item(),
        "aux": loss.aux.item(),
        "l0": (loss.values > 0).sum(1).double().mean().item(),
        "dead": int(dead.sum()),
        "lr": lr,
    }


def fresh_state(
    stream: TokenStream, config: Settings, seed: int, device: torch.device, *, resuming: bool = False
) -> TrainState:
    """The state before the first step; `resuming` leaves out what a checkpoint brings."""
    d_sae = config.expansion * stream.d_model
    centre, scale = torch.zeros(stream.d_model, device=device), 1.0
    if not resuming:
        centre, scale = centre_and_scale(torch.tensor(stream.head(SAMPLE_TOKENS), device=device))
    sae = TopKSAE(stream.d_model, d_sae, config.k)
    rows = torch.randn(d_sae, stream.d_model, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        sae.W_dec.copy_(F.normalize(rows, dim=1))
        sae.W_enc.copy_(sae.W_dec.T)
    sae.to(device)
    optimizer = torch.optim.Adam(sae.parameters(), lr=config.lr, betas=config.betas, fused=True)
    return TrainState(
        sae, optimizer, centre, scale, silent=torch.zeros(d_sae, dtype=torch.int64, device=device)
    )


def derive_seed(identity: Mapping[str, Any]) -> int:
    """A seed of 63 bits of its own for every seed, study, site, layer and corpus (sha256).

    With one seed for all, the features of different layers would begin as the same directions.
    """
    parts = [identity["seed"], identity["study"], identity["site"], identity["site"].split(".")[0]]
    digest = hashlib.sha256(json.dumps([*parts, identity["corpus"]]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _plain(config: Settings) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(config)))


def _account(
    identity: Mapping[str, Any], config: Settings, sources: Sequence[Source], state: TrainState
) -> dict[str, Any]:
    return {
        "identity": dict(identity),
        "settings": _plain(config),
        "scale": state.scale,
        "tokens": {source.language: len(source.rows) for source in sources},
        "sinks": {source.language: source.sinks for source in sources},
        "curve": state.curve,
    }
