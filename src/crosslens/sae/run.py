"""One SAE in training: from its settings to its files."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from crosslens.errors import InputError
from crosslens.sae.architectures.base import Loss, Normalisation
from crosslens.sae.io import IDENTITY, save_sae
from crosslens.sae.settings import Settings
from crosslens.sae.state import load_checkpoint, save_checkpoint
from crosslens.sae.step import fresh_state, learning_rate, train_step
from crosslens.sae.stream import TokenStream
from crosslens.store.remove import remove
from crosslens.tables.documents import write_json

CHECKPOINT = "sae_checkpoint.safetensors"


class Run:
    """An SAE's identity, settings, state and checkpoint; `languages` are those of its corpus.

    settings: fields of `Settings`. target: the site that a transcoder writes to. A checkpoint lies beside `out`.
    """

    def __init__(
        self,
        *,
        identity: Mapping[str, Any],
        settings: Mapping[str, Any],
        languages: Sequence[str],
        out: Path,
        target: str | None = None,
    ):
        self.identity = {key: identity[key] for key in IDENTITY}
        self.config = Settings.from_dict(dict(settings) | {"transcoder": target is not None})
        self.languages, self.out, self.target = tuple(languages), Path(out), target
        self.checkpoint = self.out.parent / CHECKPOINT
        self.title = f"SAE {identity['corpus']} layer {identity['site']} seed {identity['seed']}"

    def begin(self, tokens: int, reads: Normalisation, writes: Normalisation) -> None:
        """Resolve the settings for a corpus of so many tokens; go on from the checkpoint, if there is one."""
        self.config = self.config.resolve(d_model=len(reads.centre), tokens=tokens)
        self.steps = math.ceil(self.config.train_tokens / self.config.batch_tokens)
        self.seed = derive_seed(self.identity)
        widths = [len(reads.centre), len(writes.centre)]
        self._run = {"seed": self.seed, "tokens": tokens, "widths": widths, "settings": plain(self.config)}
        self.state = fresh_state(self.config, reads, writes, seed=self.seed)
        if self.checkpoint.exists():
            load_checkpoint(self.checkpoint, self.state, self._run)

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.state.step >= self.steps

    def advance(self, x: Tensor) -> None:
        """One step on raw x (B, d_in), or (B, d_in + d_out) for a transcoder."""
        state = self.state
        dead = state.dead
        loss = train_step(state, x, steps=self.steps)
        every = max(1, self.steps // self.config.curve_points)
        if state.step in (1, self.steps) or state.step % every == 0:
            state.curve.append(self._point(loss, int(dead.sum())))

    def _point(self, loss: Loss, dead: int) -> dict[str, float]:
        """What training.json keeps of the last step; raises InputError where the loss is not finite."""
        step = self.state.step
        if not math.isfinite(loss.total.item()):
            raise InputError(
                self.title,
                found=f"loss {loss.total.item()} at step {step}",
                expected="a finite loss",
                mend="lower lr, and check that the activations are finite and not all the same",
            )
        return {
            "step": step,
            "tokens": step * self.config.batch_tokens,
            "loss": loss.total.item(),
            "fvu": loss.fvu.item(),
            "aux": loss.aux.item(),
            "penalty": loss.penalty.item(),
            "l0": loss.l0.item(),
            "dead": dead,
            "lr": learning_rate(step - 1, self.steps, self.config),
        }

    @property
    def checkpoint_due(self) -> bool:
        """Whether the steps done are a multiple of those between checkpoints."""
        return self.state.step % max(1, self.config.checkpoint_tokens // self.config.batch_tokens) == 0

    def save(self) -> None:
        """Write the checkpoint."""
        save_checkpoint(self.checkpoint, self.state, self._run)

    def export(self, streams: Mapping[str, TokenStream]) -> None:
        """Write the SAE and the account of its training; the state cannot be trained further."""
        # gradients and moments are three quarters of the state
        for parameter in self.state.model.parameters():
            parameter.grad = None
        self.state.optimizer.state.clear()
        remove(self.out)
        save_sae(
            self.out,
            self.state.exported(),
            identity=self.identity,
            trained_as=self.config.architecture,
            target=self.target,
        )
        sources = [streams[language].source for language in self.languages]
        account = {
            "identity": self.identity,
            "settings": plain(self.config),
            "products": self.state.model.products,
            "scale": self.state.reads.scale,
            "tokens": {source.language: len(source.rows) for source in sources},
            "sinks": {source.language: source.sinks for source in sources},
            "neighbours": {name: streams[name].neighbour_correlation for name in self.languages},
            "curve": self.state.curve,
        }
        write_json(self.out / "training.json", "training", account)


def derive_seed(identity: Mapping[str, Any]) -> int:
    """A seed of 63 bits of its own for every seed, model, site, layer and corpus (sha256).

    With one seed for all, the features of different layers would begin as the same directions. The study's name is not
    in it: what is computed does not depend on what it is called.
    """
    parts = [identity["seed"], identity["model"], identity["site"], identity["site"].split(".")[0]]
    digest = hashlib.sha256(json.dumps([*parts, identity["corpus"]]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def plain(config: Settings) -> dict[str, Any]:
    """The settings as JSON has them."""
    return json.loads(json.dumps(asdict(config)))
