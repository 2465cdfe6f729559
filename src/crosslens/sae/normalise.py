"""The centre and scale that bring activations of any site to E‖x‖² = d."""

import math

from torch import Tensor

from crosslens.errors import InputError


def centre_and_scale(x: Tensor) -> tuple[Tensor, float]:
    """The geometric median m (d) of the rows of x (n, d) float32, and the s for which E‖(x − m) s‖² = d."""
    centre = geometric_median(x)
    spread = (x - centre).square().sum(1).double().mean().item()
    if not (math.isfinite(spread) and spread > 0):
        raise InputError(
            "the activations",
            found=f"mean squared distance {spread} from their median",
            expected="a finite number above 0",
            mend="extract them again; they must be finite and not all the same",
        )
    return centre, math.sqrt(x.shape[1] / spread)


def geometric_median(x: Tensor, *, tolerance: float = 1e-6, iterations: int = 200) -> Tensor:
    """(d) the point of least summed distance to the rows of x (n, d), by Weiszfeld's iteration from the mean."""
    point = x.mean(0)
    for _ in range(iterations):
        weight = 1 / (x - point).norm(dim=1).clamp_min(1e-12)
        moved = weight @ x / weight.sum()
        shift = (moved - point).norm()
        point = moved
        if shift <= tolerance * point.norm():
            break
    return point
