"""What AuxK does against dead features, on the activations of a study.

`python tests/benchmarks/dead_features.py [--activations results/planted/activations/*/layer_4/part_*.zarr] [--d-sae 2048]
[--lr 5e-3] [--steps 2000] [--json]` trains a TopK SAE with and without AuxK on the same batches, and prints the share
of its features that fire on none of the training tokens, and the held-out FVU. The default learning rate of a study
leaves next to no feature dead; this one is some ten times higher, so that there is something to mend. With `--json` the
last line of stdout is one object. Ends with 1 where AuxK leaves more features dead than it finds.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from crosslens.memory import memory_kept
from crosslens.sae.model import SAE
from crosslens.sae.settings import Settings
from crosslens.sae.step import fresh_state, normalisations, train_step
from crosslens.tables.activations import Activations

DEFAULT = "results/planted/activations/*/layer_4/part_*.zarr"
BATCH, HELD_OUT, SINK = 1024, 4000, 10.0


def read(pattern: str) -> tuple[Tensor, Tensor]:
    """Training and held-out tokens (N, d) float32 in a seeded order, without sinks."""
    parts = [Activations(path) for path in sorted(Path().glob(pattern))]
    if not parts:
        sys.exit(f"{pattern}: found no activations; build a study first, or name those of another")
    x = torch.cat([torch.tensor(part.read(0, len(part))) for part in parts])
    norms = x.norm(dim=1)
    x = x[norms <= SINK * norms.median()]
    x = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]
    return x[HELD_OUT:], x[:HELD_OUT]


def trained(x: Tensor, aux_k: int | None, options: argparse.Namespace) -> SAE:
    """An SAE of x (N, d), with AuxK (None: of the default width) or without (0)."""
    total = options.steps * BATCH
    config = Settings(
        k=options.k, d_sae=options.d_sae, lr=options.lr, aux_k=aux_k, batch_tokens=BATCH, train_tokens=total
    ).resolve(d_model=x.shape[1], tokens=total)
    state = fresh_state(config, *normalisations(x[:32_768], x.shape[1]), seed=0)
    draws = torch.Generator().manual_seed(1)
    with memory_kept():
        for _ in range(options.steps):
            train_step(state, x[torch.randint(len(x), (BATCH,), generator=draws)], steps=options.steps)
    return state.exported()


@torch.no_grad()
def measured(sae: SAE, x: Tensor, held_out: Tensor) -> Iterator[tuple[str, float]]:
    """Share of features that fire on none of x, and the FVU of the held-out tokens."""
    fired = torch.zeros(sae.d_sae, dtype=torch.bool)
    for block in x.split(4096):
        values, indices = sae.encode(block)
        fired[indices[values > 0]] = True
    yield "dead_share", 1 - fired.double().mean().item()
    error, spread = held_out - sae(held_out), held_out - held_out.mean(0)
    yield "fvu", (error.double().square().sum() / spread.double().square().sum()).item()


def main() -> int:
    """Train both, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--activations", default=DEFAULT)
    parser.add_argument("--d-sae", type=int, default=2048)
    parser.add_argument("--k", type=int, default=16)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    x, held_out = read(options.activations)
    print(
        f"{len(x):,} tokens of width {x.shape[1]}, {options.d_sae:,} features, k = {options.k}, lr {options.lr}"
    )
    results = {}
    for name, aux_k in (("auxk", None), ("none", 0)):
        results[name] = dict(measured(trained(x, aux_k, options), x, held_out))
        print(f"  {name:5} dead {results[name]['dead_share']:6.1%}   held-out FVU {results[name]['fvu']:.4f}")
    if options.json:
        print(json.dumps(results))
    return int(results["auxk"]["dead_share"] > results["none"]["dead_share"])


if __name__ == "__main__":
    sys.exit(main())
