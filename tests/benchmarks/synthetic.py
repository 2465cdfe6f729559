"""Every architecture against SAELens' own trainer on SAELens' synthetic data, both with the same time.

`python tests/benchmarks/synthetic.py [--seconds 30] [--architectures topk relu] [--seed 0] [--json]` prints for each of
the two trainers what `sae_lens.synthetic.eval_sae_on_synthetic_data` says of the SAE it saved, loaded by SAELens. With
`--json` the last line of stdout is one object, {architecture: {"ours": {…}, "saelens": {…}, "verdict": {…}}, …}. Ends
with 1 where ours is below by more than TOLERANCES. Needs `sae-lens` (the `peers` extra).

- The data is drawn beforehand; a run's steps are what fits `--seconds` of processor time on one thread, by the speed
  of its first steps, and the schedules (learning rate, penalty's warm-up, when a feature is dead) are shares of them.
- k is the data's own L0. Where a coefficient decides L0, each side's is searched until L0 is k, by whole runs.
- Ours learns at its default rate; SAELens at its default and at ours, and the better MCC counts.
"""

import argparse
import json
import logging
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

os.environ["TQDM_DISABLE"] = "1"  # read when tqdm is imported

import sae_lens
import torch
from sae_lens.config import LoggingConfig, SAETrainerConfig
from sae_lens.synthetic import SyntheticModel, SyntheticModelConfig, eval_sae_on_synthetic_data
from sae_lens.training.sae_trainer import SAETrainer
from torch import Tensor

from crosslens.memory import memory_kept
from crosslens.sae.io import IDENTITY, save_sae
from crosslens.sae.settings import ARCHITECTURES, Settings, reads
from crosslens.sae.step import fresh_state, normalisations, train_step

BATCH = 1024
POOL_BATCHES = 256
"""Distinct batches of data; a run goes round them."""
TRIED_STEPS = 40
"""Steps that tell a trainer's speed, half of them to warm up."""
PEER_LR = 3e-4
"""The default of SAELens' synthetic runner."""
TRIES, LEAP = 5, math.log(8)
"""Runs at most in search of a coefficient, and the largest change of its logarithm from one to the next."""
L0_TOLERANCE = 0.05
TOLERANCES = {"mcc": 0.005, "f1": 0.01, "explained_variance": 0.01}
"""How far below SAELens ours may be: the scatter between seeds."""
PEERS: dict[str, tuple[str, dict[str, Any], dict[str, float]]] = {
    "topk": ("TopK", {}, {}),
    "batchtopk": ("BatchTopK", {}, {}),
    "relu": ("Standard", {"l1_warm_up_steps": 0.1}, {"l1_coefficient": 1.0}),
    "jumprelu": ("JumpReLU", {"l0_warm_up_steps": 0.1}, {"l0_coefficient": 1.0}),
    "gated": ("Gated", {"l1_warm_up_steps": 0.1}, {"l1_coefficient": 1.0}),
    "matryoshka": ("MatryoshkaBatchTopK", {}, {}),
}
"""SAELens' name, settings that are shares of the steps, and the coefficient to search with where it begins."""
log = logging.getLogger("synthetic")


class Task(NamedTuple):
    """What both trainers are given."""

    model: SyntheticModel
    pool: list[Tensor]
    """Batches (BATCH, d) float32, raw."""
    k: int
    d_sae: int
    seconds: float
    seed: int

    @property
    def d_model(self) -> int:
        """Width of the activations."""
        return self.pool[0].shape[1]

    def batches(self) -> Iterator[Tensor]:
        """The data, over and over."""
        return cycle(self.pool)

    def evaluated(self, folder: Path) -> dict[str, float]:
        """What SAELens says of the SAE saved in `folder`, on held-out data."""
        torch.manual_seed(10_000 + self.seed)
        sae = sae_lens.SAE.load_from_disk(folder)
        result = eval_sae_on_synthetic_data(
            sae, self.model.feature_dict, self.model.activation_generator, num_samples=65536, batch_size=4096
        )
        return {
            "l0": result.sae_l0,
            "explained_variance": result.explained_variance,
            "mcc": result.mcc,
            "uniqueness": result.uniqueness,
            "precision": result.classification.precision,
            "recall": result.classification.recall,
            "f1": result.classification.f1_score,
            "dead": result.dead_latents,
            "shrinkage": result.shrinkage,
        }


class Trained(NamedTuple):
    """One run: how it was made and what it came to."""

    seconds: float
    steps: int
    lr: float
    coefficient: float | None
    scores: dict[str, float]

    @property
    def record(self) -> dict[str, Any]:
        """All of it as one flat object."""
        run = self._asdict()
        return run | run.pop("scores")


def train_ours(task: Task, architecture: str, coefficient: float | None = None) -> Trained:
    """Train by `train_step`; `coefficient` is that of the architecture's penalty, None: its default."""
    penalty = (
        {} if coefficient is None else {"l1" if "l1" in reads(architecture) else "l0_weight": coefficient}
    )

    def prepared(steps: int) -> tuple[Settings, Callable[[], Any]]:
        tokens = BATCH * steps
        settings = Settings(
            architecture=architecture, k=task.k, d_sae=task.d_sae, batch_tokens=BATCH, **penalty
        ).resolve(d_model=task.d_model, tokens=tokens)
        reads = normalisations(torch.cat(task.pool[:8]), task.d_model)[0]
        state = fresh_state(settings, reads, seed=task.seed)

        def run() -> Any:
            for x in islice(task.batches(), steps):
                train_step(state, x, steps=steps)
            return state

        return settings, run

    with memory_kept():
        settings, run = prepared(steps := steps_that_fit(task.seconds, lambda n: prepared(n)[1]))
        seconds, state = timed(run)
    identity = {**dict.fromkeys(IDENTITY, "synthetic"), "site": "0", "seed": task.seed}
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "sae"
        save_sae(saved, state.exported(), identity=identity)
        return Trained(seconds, steps, settings.lr, coefficient, task.evaluated(saved))


def train_saelens(task: Task, architecture: str, lr: float, coefficient: float | None = None) -> Trained:
    """Train by SAELens' SAETrainer on activations scaled to E‖x‖ = √d, with the schedules' shares of `train_ours`."""
    name, shares, searched = PEERS[architecture]

    def prepared(steps: int) -> Callable[[], Any]:
        options = {key: round(share * steps) for key, share in shares.items()}
        options |= dict.fromkeys(searched, coefficient)
        if "topk" in architecture or architecture == "matryoshka":
            options["k"] = task.k
        if architecture == "matryoshka":
            options["matryoshka_widths"] = [round(task.d_sae * s) for s in Settings().matryoshka_fractions]
        torch.manual_seed(task.seed)
        config = getattr(sae_lens, f"{name}TrainingSAEConfig")(
            d_in=task.d_model,
            d_sae=task.d_sae,
            normalize_activations="expected_average_only_in",
            **options,
        )
        trainer = SAETrainer(
            cfg=SAETrainerConfig(
                n_checkpoints=0,
                checkpoint_path=None,
                save_final_checkpoint=False,
                total_training_samples=steps * BATCH,
                train_batch_size_samples=BATCH,
                device="cpu",
                autocast=False,
                lr=lr,
                lr_end=lr,
                lr_scheduler_name="constant",
                lr_warm_up_steps=round(0.05 * steps),
                lr_decay_steps=round(0.2 * steps),
                adam_beta1=0.9,
                adam_beta2=0.999,
                n_restart_cycles=1,
                dead_feature_window=max(1, steps // 10),
                feature_sampling_window=2000,
                n_batches_for_norm_estimate=8,
                logger=LoggingConfig(log_to_wandb=False),
            ),
            sae=getattr(sae_lens, f"{name}TrainingSAE")(config),
            data_provider=task.batches(),
        )
        return trainer.fit

    seconds, sae = timed(prepared(steps := steps_that_fit(task.seconds, prepared)))
    with tempfile.TemporaryDirectory() as folder:
        sae.save_inference_model(folder)
        return Trained(seconds, steps, lr, coefficient, task.evaluated(Path(folder)))


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of processor time, and the result: what else the machine does is not counted."""
    began = time.process_time()
    result = run()
    return time.process_time() - began, result


def steps_that_fit(seconds: float, prepared: Callable[[int], Callable[[], Any]]) -> int:
    """How many steps take so long, by two short runs: what is done once for a run cancels out."""
    short, long = (timed(prepared(steps))[0] for steps in (TRIED_STEPS, 3 * TRIED_STEPS))
    return max(TRIED_STEPS, round(seconds / (max(long - short, 1e-6) / (2 * TRIED_STEPS))))


def at_l0(k: int, first: float, train: Callable[[float], Trained]) -> Trained:
    """The run whose L0 is nearest k, its coefficient found by the secant rule on logarithms."""
    runs: list[Trained] = []
    coefficient = first
    for _ in range(TRIES):
        runs.append(train(coefficient))
        points = [(math.log(run.coefficient), math.log(max(run.scores["l0"], 1e-3) / k)) for run in runs]
        (x, y), nearest = points[-1], min(points, key=lambda point: abs(point[1]))
        log.info("  coefficient %.4g: L0 %.2f", coefficient, runs[-1].scores["l0"])
        if abs(nearest[1]) < math.log1p(L0_TOLERANCE):
            break
        slope = -0.7
        if len(points) > 1:
            slope = min(-0.2, max(-3.0, (y - points[-2][1]) / (x - points[-2][0])))
        coefficient = math.exp(x + min(LEAP, max(-LEAP, -y / slope)))
    return min(runs, key=lambda run: abs(math.log(max(run.scores["l0"], 1e-3) / k)))


def compare(task: Task, architecture: str) -> dict[str, Any]:
    """Both trainers' runs of one architecture, and by how much ours is above."""
    if "l1" in reads(architecture):
        ours = at_l0(task.k, (2 * task.k) ** -0.5, lambda c: train_ours(task, architecture, c))
    else:
        ours = train_ours(task, architecture)
    searched = PEERS[architecture][2]
    theirs = [
        at_l0(task.k, *searched.values(), lambda c, lr=lr: train_saelens(task, architecture, lr, c))
        if searched
        else train_saelens(task, architecture, lr)
        for lr in (PEER_LR, ours.lr)
    ]
    best = max(theirs, key=lambda run: run.scores["mcc"])
    margins = {name: ours.scores[name] - best.scores[name] for name in TOLERANCES}
    passes = all(margin >= -TOLERANCES[name] for name, margin in margins.items())
    return {"ours": ours.record, "saelens": best.record, "verdict": {"passes": passes, **margins}}


def printed(architecture: str, result: dict[str, Any]) -> None:
    """One architecture's lines of the table."""
    for side in ("ours", "saelens"):
        run = result[side]
        print(
            f"{architecture:11s} {side:8s} {run['steps']:6d} {run['seconds']:6.1f} {run['lr']:8.1e} {run['l0']:6.2f} "
            f"{run['explained_variance']:7.4f} {run['mcc']:6.4f} {run['uniqueness']:6.4f} {run['precision']:6.4f} "
            f"{run['recall']:6.4f} {run['f1']:6.4f} {run['dead']:5d} {run['shrinkage']:6.3f}",
            flush=True,
        )
    verdict = "at or above" if result["verdict"]["passes"] else "BELOW"
    margins = ", ".join(f"{name} {result['verdict'][name]:+.4f}" for name in TOLERANCES)
    print(f"{architecture:11s} {verdict}: {margins}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--architectures", nargs="+", choices=ARCHITECTURES, default=ARCHITECTURES)
    parser.add_argument("--seconds", type=float, default=30.0, help="processor time of each run")
    parser.add_argument("--features", type=int, default=512, help="true features")
    parser.add_argument("--d-model", type=int, default=128)
    parser.add_argument("--d-sae", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    log.setLevel(logging.INFO)
    torch.set_num_threads(1)

    model = SyntheticModel(
        SyntheticModelConfig(options.features, options.d_model, std_firing_magnitudes=0.3, seed=options.seed)
    )
    torch.manual_seed(options.seed)
    with torch.no_grad():
        pool = [model.sample(BATCH) for _ in range(POOL_BATCHES)]
        true_l0 = (model.activation_generator.sample(8 * BATCH) > 0).sum(1).float().mean().item()
    task = Task(model, pool, round(true_l0), options.d_sae, options.seconds, options.seed)
    print(f"{options.features} features in {options.d_model} dimensions, true L0 {true_l0:.2f}, k {task.k}")
    columns = "steps     s       lr     L0      EV    MCC   uniq   prec    rec     F1  dead shrink"
    print(f"{'':20s}  {columns}", flush=True)
    results = {}
    for architecture in options.architectures:
        results[architecture] = compare(task, architecture)
        printed(architecture, results[architecture])
    if options.json:
        print(json.dumps(results))
    return 0 if all(result["verdict"]["passes"] for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
