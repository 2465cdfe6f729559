"""Features of an SAE, or directions, changed while a model runs, in a forward pass and in every step of decoding (methods 9).

What the SAE does not explain stays: `x ← x + decode(z′) − decode(z)`, of which only the changed features are left, so that
z′ = z leaves every bit as it is. z′ is not made sparse again.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from crosslens.errors import InputError
from crosslens.models.hooks import edit
from crosslens.models.load import LoadedModel
from crosslens.sae.model import SAE

HOWS = ("suppress", "neutralise", "clamp", "amplify", "steer")
"""What becomes of an activation z at strength s and level m: 0; m; s·m; s·z; z + s·m."""

Change = Callable[[Tensor, Tensor], Tensor]
"""x (P, d) float32 and strengths (P, 1) float32 to what is added to x, (P, d) float32."""


class Edit(NamedTuple):
    """A change at one site."""

    site: str
    change: Change


def of_features(
    sae: SAE, features: Sequence[int], how: str, *, levels: Sequence[float] | None = None
) -> Change:
    """Change the activations of `features` of an SAE of the site. levels: m of each feature, in its own units.

    `steer` adds s·m times the feature's decoder row: s·m·‖d‖ along its unit row. Raises InputError for a feature that the
    SAE lacks, one named twice, none at all, and a transcoder, whose codes are of another site than what it writes.
    """
    if how not in HOWS:
        raise ValueError(f"{how!r}: expected one of {', '.join(HOWS)}")
    check_writes(sae)
    _check_features(sae, features)
    needs_levels = how in ("neutralise", "clamp", "steer")
    if needs_levels != (levels is not None) or (levels is not None and len(levels) != len(features)):
        raise ValueError(
            f"{how}: a level for each of the features {'is needed' if needs_levels else 'has no use'}"
        )
    ids = torch.as_tensor(list(features), device=sae.W_dec.device)
    level = torch.tensor(levels or [0.0], device=sae.W_dec.device)

    def change(x: Tensor, strength: Tensor) -> Tensor:
        given, s = x.to(ids.device), strength.to(ids.device)
        match how:
            case "steer":
                difference = s * level
            case "amplify":
                difference = (z := sae.encode_dense(given)[:, ids]) * s - z
            case "clamp":
                difference = s * level - sae.encode_dense(given)[:, ids]
            case "neutralise" | "suppress":
                difference = level - sae.encode_dense(given)[:, ids]
        return sae.write(difference, ids, given).to(x.device)

    return change


def of_direction(direction: Tensor) -> Change:
    """Add the strength times `direction` (d)."""
    exact = direction.float()
    return lambda x, strength: strength * exact.to(x.device)


def check_writes(sae: SAE) -> None:
    """InputError for a transcoder, whose codes are of another site than what it writes."""
    if sae.d_in != sae.d_out or sae.W_skip is not None:
        raise InputError(
            "the SAE of an edit",
            found="a transcoder",
            expected="an SAE that writes where it reads",
            mend="name another SAE for the site",
        )


def _check_features(sae: SAE, features: Sequence[int]) -> None:
    wrong = [feature for feature in features if not 0 <= feature < sae.d_sae]
    twice = [feature for feature in {*features} if list(features).count(feature) > 1]
    if wrong or twice or not len(features):
        raise InputError(
            "features of an edit",
            found=f"feature {wrong[0]}" if wrong else f"feature {twice[0]} twice" if twice else "none",
            expected=f"one or more of 0 to {sae.d_sae - 1}, each once",
            mend="take the ids from the tables of this very SAE",
        )


class Rows:
    """Which positions of a batch are edited, and how strongly each row: decoding changes both as it goes on.

    mask: (B, T) bool, positions of the forward pass. strengths: (B) float32, or one for all. generated: whether what is
    decoded behind the prompt is edited. limit: the norm above which a position is a sink, which no SAE has learned.
    """

    def __init__(
        self,
        mask: Tensor,
        strengths: Tensor | float = 1.0,
        *,
        generated: bool = True,
        limit: float = torch.inf,
    ):
        self.mask, self.generated, self.limit = mask, generated, limit
        self.strengths = torch.as_tensor(strengths, dtype=torch.float32).expand(len(mask)).to(mask.device)

    def repeat(self, times: int) -> None:
        """Each row so many times, one behind the other."""
        self.mask, self.strengths = (of.repeat_interleave(times, dim=0) for of in (self.mask, self.strengths))

    def keep(self, rows: Tensor) -> None:
        """Only these rows go on."""
        rows = rows.to(self.mask.device)
        self.mask, self.strengths = self.mask[rows], self.strengths[rows]

    def step(self) -> None:
        """From here on a pass has one position a row: the token decoded last."""
        self.mask = self.mask.new_full((len(self.mask), 1), self.generated)

    def apply(self, change: Change, value: Tensor) -> Tensor:
        """value (B, T, d) with what `change` adds at the edited positions."""
        mask = self.mask.to(value.device)
        if not mask.any():
            return value
        exact = value[mask].float()
        strength = self.strengths.to(value.device)[:, None].expand(mask.shape)[mask][:, None]
        spared = exact.norm(dim=1, keepdim=True) > self.limit
        added = change(exact, strength).masked_fill(spared, 0)
        edited = value.clone()
        # rounded once; where nothing is added, what was there comes back bit by bit
        edited[mask] = (exact + added).to(value.dtype)
        return edited


@contextmanager
def editing(loaded: LoadedModel, edits: Sequence[Edit], rows: Rows) -> Iterator[None]:
    """Run the model with the edits at `rows` inside the block; several of one site apply one behind the other."""
    with ExitStack() as stack:
        for site, change in edits:
            stack.enter_context(edit(loaded, site, lambda value, change=change: rows.apply(change, value)))
        yield


def check_finite(logits: Tensor, strength: float) -> None:
    """InputError where an edit of a strength has made logits that are no numbers."""
    if not torch.isfinite(logits).all():
        raise InputError(
            "the strength of an edit",
            found=f"logits that are not finite at strength {strength:g}",
            expected="a model that still computes",
            mend="set smaller steering.strengths, or a smaller clamp.value",
        )
