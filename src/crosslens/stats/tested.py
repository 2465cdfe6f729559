"""What was not tested, and why: no p there is no null result."""

from math import inf
from typing import Any


def tested(because: str | None = None) -> dict[str, Any]:
    """`tested` and `because` of a document: not tested where there is a reason, in words that follow "not tested, because"."""
    return {"tested": because is None, "because": because}


def permutation_floor(permutations: int, *, tails: int = 1, arrangements: float = inf) -> float:
    """The least p that so many permutations can give: (1 + 0) / (1 + permutations), of one tail or twice it.

    arrangements: how many there are of what is permuted; where they are few, even the plainest one is that share of all.
    """
    return min(1.0, max(tails / (1 + permutations), tails / arrangements))


def too_few_permutations(permutations: int, alpha: float, *, tails: int = 1) -> str | None:
    """Why no p of so many permutations can reach the level alpha; None where one can."""
    floor = permutation_floor(permutations, tails=tails)
    if floor <= alpha:
        return None
    return f"{permutations} permutations give no p below {floor:.3g}, and the level is {alpha:g}"


def too_few_units(counts: dict[str, int], least: int, units: str = "images") -> str | None:
    """Why two classes cannot be compared: one has fewer than `least` units; None where both have as many."""
    few = [f"{number} {name}" for name, number in counts.items() if number < least]
    if not few:
        return None
    return f"there are {' and '.join(few)} {units}, and it takes {least} of each"
