"""Settings of SAE training."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from crosslens.errors import InputError
from crosslens.tables.tokens import ROLES, TEXT_ROLES

ARCHITECTURES = ("topk",)


@dataclass(frozen=True)
class Settings:
    """How one SAE is trained. What is None is derived from the sizes by `resolve`."""

    architecture: str = "topk"
    """One of ARCHITECTURES."""
    k: int = 32
    """Active features a token."""
    expansion: int = 8
    """d_sae / d_model."""
    batch_tokens: int = 1024
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
    roles: tuple[str, ...] = TEXT_ROLES
    """Roles of the tokens trained on."""
    exclude_sinks: bool = True
    """Leave out tokens whose norm is above `sink_factor` times the median norm."""
    sink_factor: float = 10.0
    """See `exclude_sinks`."""
    block_tokens: int = 2048
    """Neighbouring selected tokens that are read together."""
    buffer_tokens: int = 131_072
    """Tokens that are shuffled together; two such buffers of float32 are held in memory."""
    checkpoint_tokens: int = 5_000_000
    """Tokens between checkpoints."""
    curve_points: int = 200
    """About how many points of the training curve are kept."""

    def __post_init__(self):
        for setting in fields(self):
            if setting.default is not None and getattr(self, setting.name) is None:
                raise _error(setting.name, None, f"a value such as {setting.default!r}")
        for name in ("betas", "roles"):  # lists in YAML
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _one_of("architecture", self.architecture, ARCHITECTURES)
        for role in self.roles or [None]:
            _one_of("roles", role, ROLES)
        positive = ("k", "expansion", "batch_tokens", "train_tokens", "epochs", "lr", "grad_clip")
        positive += ("dead_after_tokens", "sink_factor", "block_tokens", "buffer_tokens")
        for name in (*positive, "checkpoint_tokens", "curve_points"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise _error(name, value, "more than 0")
        for name in ("aux_k", "aux_alpha"):
            if getattr(self, name) is not None and getattr(self, name) < 0:
                raise _error(name, getattr(self, name), "0 or more")
        for name in ("warmup_fraction", "decay_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise _error(name, getattr(self, name), "from 0 to 1")

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
        d_sae = self.expansion * d_model
        if self.k > d_sae:
            raise _error("k", self.k, f"at most d_sae = {d_sae}")
        total = self.train_tokens or max(1, round(self.epochs * tokens))
        return replace(
            self,
            train_tokens=total,
            lr=self.lr or 2e-4 / math.sqrt(d_sae / 2**14),
            aux_k=2 ** max(0, round(math.log2(d_model / 2))) if self.aux_k is None else self.aux_k,
            dead_after_tokens=self.dead_after_tokens or max(1, total // 10),
        )


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise _error(name, value, f"one of {', '.join(allowed)}")


def _error(name: str, value: Any, expected: str) -> InputError:
    return InputError("SAE settings", found=f"{name} {value!r}", expected=expected, mend=f"correct {name}")
