"""How good an SAE is on held-out test tokens, next to baselines fitted on train tokens (methods 4)."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crosslens.errors import InputError
from crosslens.features.baselines import PCA, Covariance, RandomDictionary, TokenMeans
from crosslens.features.decoder import decoder_cosine
from crosslens.features.encode import block_rows, open_sae
from crosslens.features.metrics import FiringCounts, L0Counts, ReconstructionSums
from crosslens.pooling.rows import blocks, of_split
from crosslens.sae.io import sae_digest, sae_origin
from crosslens.sae.model import SAE
from crosslens.tables.activations import Activations, sinks
from crosslens.tables.documents import read_table, write_json
from crosslens.tables.roles import SINK_FACTOR
from crosslens.tables.tokens import TokenTable, read_tokens

log = logging.getLogger(__name__)


@torch.inference_mode()
def measure_quality(
    *,
    dataset: Path,
    sae: Path,
    tokens: Sequence[Path],
    activations: Sequence[Path],
    roles: Sequence[str],
    seed: int,
    out: Path,
    sink_factor: float | None = SINK_FACTOR,
    device: str = "cpu",
) -> None:
    """Write reconstruction, sparsity, baselines and gates of the SAE in `sae` as JSON of kind `quality`.

    All numbers are from tokens of `roles` in the test split, but for `select`, by which settings are compared; baselines
    are fitted on the train split. Sinks, with a norm above `sink_factor` times the median of the train tokens, are left
    out of all, as in SAE training (None keeps them). Sums are in double precision. `seed` draws the random dictionary and
    the features whose decoder rows are compared. Raises InputError where a split has no token, at a NaN, and where the
    SAE does not belong to the activations.
    """
    table, stored = read_tokens(tokens), Activations(activations)
    frame = read_table(dataset, "dataset", ["sample_id", "split"])
    model = open_sae(sae, stored, device)
    declared = table.has_role(roles)
    splits = {split: declared & of_split(table, frame, split) for split in ("train", "select", "test")}
    norm = stored.norms()
    sink = sinks(norm, norm[splits["train"]], sink_factor)
    for split, keep in splits.items():
        if not (keep & ~sink).any():
            raise InputError(
                dataset,
                found=f"no token of the roles {list(roles)} in split {split}",
                expected="at least one",
                mend="give the study more samples or other roles",
            )
    test, select, train = (splits[split] & ~sink for split in ("test", "select", "train"))

    reconstruction, l0, firing = measure_sae(model, stored, table, test, device)
    sparsity = l0.compute()
    fired = firing.compute()
    rank = max(1, round(sparsity["mean"]))
    baselines, covariance = measure_baselines(
        stored,
        table,
        train=train,
        test=test,
        rank=rank,
        d_sae=model.d_sae,
        seed=seed,
        test_sums=reconstruction,
    )
    measured = reconstruction.compute()
    write_json(
        out,
        "quality",
        {
            "site": stored.attributes["site"],
            "language": stored.attributes["language"],
            "sae": sae_digest(sae),
            "architecture": sae_origin(sae)[0],
            "d_model": model.d_in,
            "d_sae": model.d_sae,
            "roles": list(roles),
            "split": "test",
            "tokens": int(test.sum()),
            "samples": len(np.unique(table.sample[test])),
            "sinks": {
                "factor": sink_factor,
                "test_tokens_left_out": int((splits["test"] & sink).sum()),
                "train_tokens_left_out": int((splits["train"] & sink).sum()),
            },
            **measured,
            "l0": sparsity,
            "dead_means": "fires on none of the test tokens counted here",
            **fired,
            "decoder_cosine": decoder_cosine(model.W_dec, seed=seed),
            "baselines": baselines,
            "gates": gates(measured, sparsity["mean"], fired, model.d_sae, baselines["pca"]["ev"], rank),
            "select": measure_select(model, stored, table, select, covariance, device),
        },
    )


def measure_sae(
    model: SAE, stored: Activations, table: TokenTable, keep: np.ndarray, device: str
) -> tuple[ReconstructionSums, L0Counts, FiringCounts]:
    """Reconstruction, L0 and firing counts of `model` on the tokens with `keep` (N)."""
    reconstruction, l0, firing = ReconstructionSums(model.d_in), L0Counts(), FiringCounts(model.d_sae)
    for rows, x in blocks(stored, table, keep, rows=block_rows(model.d_sae)):
        read = torch.from_numpy(x).to(device)
        values, indices = model.encode(read)
        reconstruction.update(x, model.decode(values, indices, read).cpu().numpy())
        active = values > 0
        l0.update(active.sum(dim=1).cpu().numpy())
        firing.update(indices[active].cpu().numpy(), len(rows))
    return reconstruction, l0, firing


def measure_select(
    model: SAE,
    stored: Activations,
    table: TokenTable,
    select: np.ndarray,
    covariance: Covariance,
    device: str,
) -> dict[str, Any]:
    """What settings are chosen by: FVU, L0 and gates on the tokens with `select` (N); covariance: that of train."""
    reconstruction, l0, firing = measure_sae(model, stored, table, select, device)
    measured, sparsity, fired = reconstruction.compute(), l0.compute()["mean"], firing.compute()
    rank = max(1, round(sparsity))
    pca, by_pca = PCA(covariance, rank), ReconstructionSums(stored.d_model)
    for _, x in blocks(stored, table, select):
        by_pca.update(x, pca.reconstruct(x))
    return {
        "tokens": int(select.sum()),
        "fvu": measured["fvu"],
        "l0": sparsity,
        "gates": gates(measured, sparsity, fired, model.d_sae, by_pca.compute()["ev"], rank),
    }


def measure_baselines(
    stored: Activations,
    table: TokenTable,
    *,
    train: np.ndarray,
    test: np.ndarray,
    rank: int,
    d_sae: int,
    seed: int,
    test_sums: ReconstructionSums,
) -> tuple[dict[str, Any], Covariance]:
    """Reconstruction of the test tokens by PCA, a random dictionary, token means and the train mean; the train covariance."""
    covariance = Covariance()
    token_means = TokenMeans(table.token_id[test], stored.d_model)
    for rows, x in blocks(stored, table, train):
        covariance.update(x)
        token_means.update(table.token_id[rows], x)
    pca = PCA(covariance, rank)
    dictionary = RandomDictionary(covariance.mean(), d_sae=d_sae, k=rank, seed=seed)
    names = ("pca", "random_dictionary", "token_mean", "train_mean", "test_mean")
    sums = {name: ReconstructionSums(stored.d_model) for name in names}
    test_mean = test_sums.sum_x / test_sums.n
    unseen = 0
    for rows, x in blocks(stored, table, test):
        token_id = table.token_id[rows]
        unseen += int((~token_means.seen(token_id)).sum())
        sums["pca"].update(x, pca.reconstruct(x))
        sums["random_dictionary"].update(x, dictionary.reconstruct(x))
        sums["token_mean"].update(x, token_means.reconstruct(token_id, covariance.mean()))
        sums["train_mean"].update(x, np.broadcast_to(covariance.mean(), x.shape))
        sums["test_mean"].update(x, np.broadcast_to(test_mean, x.shape))
    results = {name: total.compute() for name, total in sums.items()}
    check = results.pop("test_mean")["ev"]
    if check is not None and abs(check) > 1e-6:
        raise RuntimeError(f"the mean of the test tokens has EV {check} instead of 0: the sums are wrong")
    found = {
        "pca": {"rank": min(rank, stored.d_model), **results["pca"]},
        "random_dictionary": {
            "k": dictionary.k,
            "directions": d_sae,
            "seed": seed,
            "selection": "k largest |projection| of x minus the train mean, coefficients by least squares",
            **results["random_dictionary"],
        },
        "token_mean": {"unseen_share": unseen / int(test.sum()), **results["token_mean"]},
        "train_mean": results["train_mean"],
        "test_mean_ev": check,
    }
    return found, covariance


def gates(
    measured: dict, l0: float, fired: dict, d_sae: int, pca_ev: float | None, rank: int
) -> dict[str, dict]:
    """The quality gates of methods 4: `passed` and what it says in words."""
    live, dead = fired["live"], fired["dead"]
    sparse = live > 0 and l0 < 0.5 * live
    beats = None if measured["ev"] is None or pca_ev is None else measured["ev"] > pca_ev
    ev = "undefined" if beats is None else f"{measured['ev']:.4f} against {pca_ev:.4f}"
    return {
        "sparse": {
            "passed": sparse,
            "says": f"{l0:.1f} of {live} live features fire on a token; sparse means fewer than half",
        },
        "beats_pca": {
            "passed": beats,
            "says": f"explained variance {ev} of a linear PCA of rank {rank}, the mean L0",
        },
        "alive": {
            "passed": dead <= 0.5 * d_sae,
            "says": f"{dead} of {d_sae} features fire on no token counted here; at most half may",
        },
    }
