"""Runs of a model that are compared: made once, made again with something else in a place, and who gives to whom."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from crosslens.errors import InputError
from crosslens.gender.agreement import word_ends
from crosslens.interventions.nodes import Place, at, read, write
from crosslens.interventions.outcomes import Case, Exchange, Laid, Run, encode_side
from crosslens.models.head import Head
from crosslens.models.hooks import capture
from crosslens.models.load import LoadedModel
from crosslens.models.resume import Replay

DIRECTIONS = ("noising", "denoising")
"""Of the clean run, the first of a case's two in a language, and of the corrupt one."""


Read = tuple[Case, list[Run]]
"""A case and its sides as tokens."""


def read_cases(loaded: LoadedModel, cases: Sequence[Case], images: Path | None) -> list[Read]:
    """Those of the cases of which something stands before the forms of every side."""
    ends = word_ends(loaded.tokenizer).tolist()
    runs = [[encode_side(loaded, side, ends, images) for side in case.sides] for case in cases]
    return [(case, own) for case, own in zip(cases, runs, strict=True) if all(own)]


def together(cases: Sequence[Read], numbers: Iterable[int], batch: int) -> list[list[int]]:
    """The numbers of the cases that run together, those of like length: about `batch` texts, and two cases at least where there
    are two, so that each has another one beside it."""
    per = max(2, batch // (2 * max((len(case.sides) for case, _ in cases), default=1)))
    order = sorted(numbers, key=lambda k: max(len(run.texts[0][0]) for run in cases[k][1]))
    found = [order[start : start + per] for start in range(0, len(order), per)]
    if len(found) > 1 and len(found[-1]) == 1:
        found[-2:] = [found[-2] + found[-1]]
    return found


class Runs:
    """The runs of some cases as one batch, which was read once."""

    def __init__(
        self,
        loaded: LoadedModel,
        head: Head,
        cases: Sequence[Read],
        images: Path | None,
        places: Sequence[Place],
    ):
        """places: those whose `states` (texts, T, width) are kept. outcome: (S) m of each run.

        InputError where an outcome, here or with a patch, is no number.
        """
        self.loaded, self.head, self.cases = loaded, head, cases
        self.laid, self.replay = Laid(loaded, cases, images), Replay(loaded)
        with self.replay.record(), read(loaded, places) as self.states:
            final = self.last()
        self.outcome = self._told(final)

    def last(self) -> Tensor:
        """The last block's residual (texts, T, d), in a pass as the model is just now."""
        site = str(self.loaded.n_layers - 1)
        with capture(self.loaded, [site], stop=True) as captured:
            self.loaded.model(**self.laid.batch.inputs, use_cache=False)
        return captured[site]

    def measured(self) -> Tensor:
        """(S) m in such a pass."""
        return self._told(self.last())

    def _told(self, final: Tensor) -> Tensor:
        m = self.laid.by_run(self.laid.outcome(self.head, final))
        if not torch.isfinite(m).all():
            number = int((~torch.isfinite(m)).nonzero()[0])
            raise InputError(
                f"a run that is compared, of {self.cases[self.laid.case[number]][0].group!r}",
                found="log-odds that are no number",
                expected="a model that computes every text",
                mend="set model.dtype to float32 or bfloat16",
            )
        return m

    def patched(self, place: Place, exchange: Exchange, channels: slice, given: Tensor) -> Tensor:
        """(S) m with the values (n, channels) in place."""

        def fn(value: Tensor) -> Tensor:
            return write(value, exchange.rows, exchange.positions, channels, given)

        with self.replay.up_to(place), at(self.loaded, place, fn):
            return self.measured()

    def swapped(self, place: Place, exchange: Exchange) -> Tensor:
        """(S) m where the pictures of the runs that take part have what the others' have at a place of the image encoder."""
        rows, givers = torch.stack([exchange.rows, exchange.donor_rows]).unique(dim=1)

        def fn(value: Tensor) -> Tensor:
            by_text = value.reshape(
                len(self.laid.batch.role), -1, value.shape[-1]
            )  # some families lay them end to end
            changed = by_text.clone()
            changed[rows] = by_text[givers]
            return changed.reshape(value.shape)

        with at(self.loaded, place, fn):
            return self.measured()

    def table(self, numbers: Sequence[int]) -> pd.DataFrame:
        """What every patch of a run has in common; numbers: of the cases."""
        laid = self.laid
        other = torch.tensor([-1 if k is None else k for k in donors(self)[OTHER].of])
        return pd.DataFrame(
            {
                "swap": self.cases[0][0].swap,
                "group": [self.cases[c][0].group for c in laid.case],
                "case": [numbers[c] for c in laid.case],
                "language": [side.language for side in laid.sides],
                "variant": [side.variant for side in laid.sides],
                "direction": [DIRECTIONS[k % 2] for c, _ in self.cases for k in range(len(c.sides))],
                "outcome": self.outcome.cpu().numpy(),
                "outcome_other": self.outcome[other].cpu().numpy(),
            }
        )


class Donation(NamedTuple):
    """Who gives to whom: a donor for each run of a batch, or none."""

    name: str
    """other, same: the run of the case that differs, or not, in what is swapped; `_elsewhere`: of another case; random: as far
    from `same` as `other`, in a random direction."""
    away: int = 0
    """How many languages of the batch further the donor's is, in a circle: of the own one 0, whose `same` is the run itself."""


OTHER = Donation("other")


class Donors(NamedTuple):
    """Of each run (S) of a batch."""

    source: list[str]
    """The donor's language."""
    of: list[int | None]
    """Its number in the batch."""


def donors(runs: Runs) -> dict[Donation, Donors]:
    """Every exchange that is made; of a random step the donors are those of `other` where `same` is there too."""
    laid, cases = runs.laid, runs.cases
    keyed = {
        (case, side.language, side.variant): k
        for k, (case, side) in enumerate(zip(laid.case, laid.sides, strict=True))
    }
    variants: dict[str, list[str]] = {}
    for side in laid.sides:
        if side.variant not in variants.setdefault(side.language, []):
            variants[side.language].append(side.variant)
    languages = [*variants]

    def find(k: int, source: str, *, other: bool, elsewhere: bool = False) -> int | None:
        side, case = laid.sides[k], laid.case[k]
        if elsewhere:
            case = (case + 1) % len(cases)
            if cases[case][0].group == cases[laid.case[k]][0].group:
                return None
        own = variants[side.language]
        variant = own[1 - own.index(side.variant)] if other and len(own) == 2 else side.variant
        return keyed.get((case, source, variant))

    found = {}
    for away in range(len(languages)):
        source = [languages[(languages.index(side.language) + away) % len(languages)] for side in laid.sides]

        def every(other: bool, elsewhere: bool = False, source: list[str] = source) -> list[int | None]:
            return [find(k, of, other=other, elsewhere=elsewhere) for k, of in enumerate(source)]

        other, same = every(other=True), every(other=False)
        both = [None if of is None else giver for giver, of in zip(other, same, strict=True)]
        given = {"other": other, "same": same, "random": both}
        given["other_elsewhere"] = every(other=True, elsewhere=True)
        given["same_elsewhere"] = every(other=False, elsewhere=True)
        found |= {Donation(name, away): Donors(source, of) for name, of in given.items()}
    return found
