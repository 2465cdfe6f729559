"""Settings of SAE training: their defaults are those of a study. Imports nothing heavy, as studies are read with it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

from crosslens.errors import InputError
from crosslens.registry import declared, names
from crosslens.tables.roles import ROLES, SINK_FACTOR

_PACKAGE = "crosslens.sae.architectures"
ARCHITECTURES = tuple(names(_PACKAGE))


@cache
def reads(architecture: str) -> frozenset[str]:
    """The settings that this architecture reads and not every one does, as its file says."""
    return frozenset(declared(_PACKAGE, architecture, "READS"))


def unread(architecture: str) -> set[str]:
    """The settings that other architectures read and this one does not."""
    return set().union(*map(reads, ARCHITECTURES)) - reads(architecture)


@dataclass(frozen=True)
class Settings:
    """How one SAE is trained. What is None is derived from the sizes by `resolve`."""

    architecture: str = "topk"
    """One of ARCHITECTURES."""
    k: int = 32
    """Active features a token: exactly (topk, frozen_decoder), on average (batchtopk, matryoshka) or as the aim (jumprelu)."""
    expansion: float = 8
    """d_sae / d_model, where `d_sae` is None."""
    d_sae: int | None = None
    """Features."""
    l1: float = 0.12
    """relu, gated: weight of the mean over tokens of Σ z / √d_model, beside the FVU; L0 comes near 1 / (2 l1²)."""
    l0_weight: float = 1.0
    """jumprelu: weight of (L0 / k − 1)², beside the FVU."""
    bandwidth: float = 0.5
    """jumprelu: width of the kernel through which thresholds learn, in units of normalised activations."""
    sparsity_warmup: float = 0.1
    """Share of the steps over which l1 or l0_weight rises linearly from 0."""
    matryoshka_fractions: tuple[float, ...] = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
    """matryoshka: shares of the features whose nested dictionaries reconstruct alone; the last is 1."""
    tied: bool = False
    """The encoder is the decoder's transpose."""
    transcoder: bool = False
    """What is written is another site than what is read; see `train_saes`."""
    batch_tokens: int = 2048
    """Tokens a step."""
    train_tokens: int | None = None
    """Tokens seen in all, rounded up to whole steps; None: `epochs` times the selected tokens."""
    epochs: float = 1
    """Passes over the selected tokens, where `train_tokens` is None."""
    lr: float | None = None
    """Peak learning rate; None: 2e-4 / √(d_sae / 2¹⁴) (Gao et al. 2024)."""
    warmup_fraction: float = 0.05
    """Share of the steps over which the learning rate rises linearly from 0."""
    decay_fraction: float = 0.2
    """Share of the steps, the last ones, over which it falls linearly to 0."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Adam's moments."""
    grad_clip: float = 1.0
    """Largest norm of the gradient of all parameters together."""
    aux_k: int | None = None
    """Dead features that model the residual (AuxK); None: the power of two nearest to d_model / 2; 0: no AuxK."""
    aux_alpha: float = 1 / 32
    """Weight of the AuxK loss."""
    dead_after_tokens: int | None = None
    """Tokens without firing after which a feature is dead; None: a tenth of the training tokens."""
    roles: tuple[str, ...] = ("prompt", "caption")
    """Roles of the tokens trained on."""
    exclude_sinks: bool = True
    """Leave out tokens whose norm is above `sink_factor` times the median norm."""
    sink_factor: float = SINK_FACTOR
    """See `exclude_sinks`."""
    block_tokens: int = 512
    """Neighbouring selected tokens that are read together."""
    buffer_mb: float = 256
    """Memory of the shuffle, for each language: half of it is shuffled while the other half is read."""
    checkpoint_tokens: int = 2_000_000
    """Tokens between checkpoints."""
    curve_points: int = 200
    """About how many points of the training curve are kept."""

    def __post_init__(self):
        for setting in fields(self):
            if setting.default is not None and getattr(self, setting.name) is None:
                raise _error(setting.name, None, f"a value such as {setting.default!r}")
        for name in ("betas", "roles", "matryoshka_fractions"):  # lists in YAML
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _one_of("architecture", self.architecture, ARCHITECTURES)
        for role in self.roles or [None]:
            _one_of("roles", role, ROLES)
        positive = ("k", "expansion", "batch_tokens", "train_tokens", "epochs", "lr", "grad_clip")
        positive += ("d_sae", "bandwidth", "dead_after_tokens", "sink_factor", "block_tokens", "buffer_mb")
        for name in (*positive, "checkpoint_tokens", "curve_points"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise _error(name, value, "more than 0")
        for name in ("aux_k", "aux_alpha", "l1", "l0_weight"):
            if getattr(self, name) is not None and getattr(self, name) < 0:
                raise _error(name, getattr(self, name), "0 or more")
        for name in ("warmup_fraction", "decay_fraction", "sparsity_warmup"):
            if not 0 <= getattr(self, name) <= 1:
                raise _error(name, getattr(self, name), "from 0 to 1")
        shares = self.matryoshka_fractions
        if not shares or shares[0] <= 0 or shares[-1] != 1 or sorted(set(shares)) != list(shares):
            raise _error("matryoshka_fractions", shares, "rising shares above 0, the last of them 1")
        if self.tied and (self.transcoder or "tied" not in reads(self.architecture)):
            untied = ", ".join(name for name in ARCHITECTURES if "tied" not in reads(name))
            raise _error("tied", True, f"false for a transcoder and for {untied}")

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "Settings":
        """Settings from a study's configuration; an unknown key is an InputError."""
        known = [f.name for f in fields(cls)]
        for key in settings:
            if key not in known:
                raise InputError(
                    "SAE settings", found=f"the key {key!r}", expected=f"one of {known}", mend=f"drop {key}"
                )
        return cls(**settings)

    def resolve(self, *, d_model: int, tokens: int) -> "Settings":
        """The same settings with every None filled in, for width `d_model` and `tokens` selected tokens."""
        d_sae = self.d_sae or round(self.expansion * d_model)
        if self.k > d_sae:
            raise _error("k", self.k, f"at most d_sae = {d_sae}")
        total = self.train_tokens or max(1, round(self.epochs * tokens))
        return replace(
            self,
            d_sae=d_sae,
            train_tokens=total,
            lr=self.lr or 2e-4 / math.sqrt(d_sae / 2**14),
            aux_k=2 ** max(0, round(math.log2(d_model / 2))) if self.aux_k is None else self.aux_k,
            dead_after_tokens=self.dead_after_tokens or max(1, total // 10),
        )

    @property
    def active_entries(self) -> int:
        """Features that fire on a token, about: k, or what the L1 penalty leaves."""
        return self.k if "k" in reads(self.architecture) else round(1 / (2 * self.l1**2))

    def warmed(self, weight: float, progress: float) -> float:
        """The weight of a sparsity penalty when this share of the steps is done."""
        return weight * min(1.0, progress / self.sparsity_warmup) if self.sparsity_warmup else weight


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise _error(name, value, f"one of {', '.join(allowed)}")


def _error(name: str, value: Any, expected: str) -> InputError:
    return InputError(f"sae.{name}", found=repr(value), expected=expected, mend=f"correct {name}")
