"""Deal images out to train, select and test: seeded, by image, in proportion within every stratum."""

import hashlib
import math
from collections.abc import Hashable, Iterable, Mapping
from fractions import Fraction

from crosslens.errors import InputError

SPLITS = ("train", "select", "test")


def _shares(fractions: Mapping[str, float]) -> dict[str, Fraction]:
    if set(fractions) != set(SPLITS) or any(not 0 < value < 1 for value in fractions.values()):
        raise InputError(
            "splits",
            found=dict(fractions),
            expected="train, select and test, each between 0 and 1",
            mend="correct `splits:` in the study",
        )
    # Exact decimals: .7 x 10 must be 7, and not a hair more on some stratum.
    exact = {name: Fraction(str(fractions[name])) for name in SPLITS}
    total = sum(exact.values())
    if abs(total - 1) > Fraction(1, 10**6):
        raise InputError(
            "splits",
            found=f"{dict(fractions)}, together {float(total):g}",
            expected="fractions that add up to 1",
            mend="correct `splits:` in the study",
        )
    return {name: value / total for name, value in exact.items()}


def _order(seed: int, name: object) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()


def keep_together(marks: Mapping[str, Iterable[Hashable]]) -> dict[str, str]:
    """image_id -> the least id of all with which it shares a mark, directly or by way of others."""
    # Here: studies are read without anything heavy, and ask whether a split would stay empty.
    from scipy.cluster.hierarchy import DisjointSet

    joined = DisjointSet(marks)
    owner: dict[Hashable, str] = {}
    for image_id, own in marks.items():
        for mark in own:
            joined.merge(owner.setdefault(mark, image_id), image_id)
    return {image_id: first for images in joined.subsets() for first in [min(images)] for image_id in images}


def assign_splits(
    strata: Mapping[str, Hashable], fractions: Mapping[str, float], seed: int
) -> dict[str, str]:
    """image_id -> split, for image_id -> stratum. The order of `strata` does not matter.

    Within a stratum of n images each split gets its share of n rounded down or up (controlled rounding: what is left
    over goes to the splits that are furthest behind over all strata, so that many small strata still add up to the
    fractions). Raises InputError for fractions that are none, or a split that would stay empty.
    """
    shares = _shares(fractions)
    members: dict[Hashable, list[str]] = {}
    for image_id, stratum in strata.items():
        members.setdefault(stratum, []).append(image_id)
    behind = dict.fromkeys(SPLITS, Fraction(0))
    assigned: dict[str, str] = {}
    for stratum in sorted(members, key=lambda name: _order(seed, repr(name))):
        images = sorted(members[stratum], key=lambda image_id: (_order(seed, image_id), image_id))
        counts = {name: math.floor(shares[name] * len(images)) for name in SPLITS}
        rest = {name: shares[name] * len(images) - counts[name] for name in SPLITS}
        for name in SPLITS:
            behind[name] += rest[name]
        open_to = [name for name in SPLITS if rest[name]]
        open_to.sort(key=lambda name: -behind[name])
        for name in open_to[: len(images) - sum(counts.values())]:
            counts[name] += 1
            behind[name] -= 1
        dealt = iter(images)
        for name in SPLITS:
            assigned.update((next(dealt), name) for _ in range(counts[name]))
    if empty := [name for name in SPLITS if name not in assigned.values()]:
        raise InputError(
            "splits",
            found=f"no image in {', '.join(empty)} ({len(assigned)} images)",
            expected="at least one image in every split",
            mend="use more images, or larger fractions for these splits",
        )
    return assigned
