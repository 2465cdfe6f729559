"""How long it takes to match two large dictionaries, and in how much memory.

`python tests/benchmarks/matching.py [--d-sae 20480] [--d-model 2560] [--json]` draws two dictionaries of which half of the
features have a noisy partner, matches them by decoder and encoder, and says whether the partners were found. Wall and
CPU seconds are of the matching alone, the peak is the process's. With `--json` the last line of stdout is one object. Ends
with 1 where a partner was missed, or, at the default size, beyond 2 minutes or 4 GB.
"""

import argparse
import json
import resource
import sys
import time

import numpy as np

from crosslens.alignment.assignment import unit_rows
from crosslens.alignment.dictionaries import Dictionary
from crosslens.alignment.matching import compare

SIZE = (20_480, 2560)
SECONDS, MEGABYTES = 120, 4000
NOISE = 0.5
"""Length of what is added to a partner of length 1: a cosine of .89."""


def drawn(features: int, width: int) -> tuple[Dictionary, Dictionary, np.ndarray]:
    """Two dictionaries, and where in the second the partners of the first half stand."""
    rng = np.random.default_rng(0)
    sides = {
        name: unit_rows(rng.standard_normal((features, width), dtype=np.float32))
        for name in ("decoder", "encoder")
    }
    order = rng.permutation(features)
    others = {}
    for name, rows in sides.items():
        other = rng.standard_normal(rows.shape, dtype=np.float32) / np.float32(np.sqrt(width))
        half = order[: features // 2]
        other[half] = rows[: features // 2] + np.float32(NOISE) * other[half]
        others[name] = unit_rows(other)
    return Dictionary("first", "", **sides), Dictionary("second", "", **others), order


def main() -> int:
    """Match, and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--d-sae", type=int, default=SIZE[0])
    parser.add_argument("--d-model", type=int, default=SIZE[1])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    first, second, order = drawn(options.d_sae, options.d_model)
    wall, cpu = time.monotonic(), time.process_time()
    table, told = compare("languages", first, second)
    half = options.d_sae // 2
    results = {
        "seconds": time.monotonic() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "partners_found": float((table["partner"].to_numpy()[:half] == order[:half]).mean()),
        "shared": told["shared"] / half,
    }
    print(f"{options.d_sae:,} × {options.d_sae:,} features of width {options.d_model:,}")
    for name, value in results.items():
        print(f"  {name:14} {value:,.3f}")
    if options.json:
        print(json.dumps(results))
    beyond = (options.d_sae, options.d_model) == SIZE and (
        results["seconds"] > SECONDS or results["peak_mb"] > MEGABYTES
    )
    return int(beyond or results["partners_found"] < 0.99)


if __name__ == "__main__":
    sys.exit(main())
