"""The stage `compare_models`: how alike the sites of several models represent the same texts (CKA)."""

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from crosslens.alignment.cka import cka_with_null
from crosslens.errors import InputError
from crosslens.figures.model_comparison import comparison_figure
from crosslens.figures.style import save
from crosslens.pooling.pool import sample_means, without_sinks
from crosslens.pooling.rows import check_same_rows
from crosslens.progress import Progress
from crosslens.tables.activations import Activations
from crosslens.tables.documents import read_table, write_json
from crosslens.tables.roles import ROLES
from crosslens.tables.tokens import TokenTable, read_tokens

_READ_WITH = {"prompt": "prompt", "caption": "caption", "generated": "caption", "image": "image_sha256"}
"""Role → the dataset's column that must be the same for all models."""


def compare_models(
    *,
    tokens: Mapping[str, Sequence[Path]],
    activations: Mapping[str, Mapping[str, Sequence[Path]]],
    datasets: Mapping[str, Path],
    roles: Sequence[str],
    out: Path,
    draws: int = 20,
    max_samples: int = 1000,
    seed: int = 0,
) -> None:
    """Write comparison.json (kind model_comparison) and comparison.png to the folder `out`.

    tokens: model → its token tables; activations: model → site → the parts of that site, in the same order; datasets:
    model → dataset parquet of the samples. Each sample is the mean activation of its tokens of `roles` without sinks;
    every site is compared with every site, of other models and of the same one, by linear and by unbiased CKA, beside
    `draws` random pairings of the samples. At most `max_samples` samples, drawn with `seed`, are compared: a pair
    takes time with their square. Memory: a block of one site's rows and the pooled samples of two sites; the others
    lie in a temporary folder. Raises InputError unless all models have the same samples with the same texts and tokens
    of those roles.
    """
    _check(tokens, activations, datasets, roles)
    tables = {model: read_tokens(list(paths)) for model, paths in tokens.items()}
    _check_same_texts(tables, datasets, roles)
    ids = sorted(next(iter(tables.values())).sample_ids)
    rng = np.random.default_rng(seed)
    chosen = ids
    if len(ids) > max_samples:
        chosen = [ids[i] for i in np.sort(rng.choice(len(ids), max_samples, replace=False))]
    with TemporaryDirectory(dir=out.parent) as folder:
        places: dict[tuple[str, str], Path] = {}
        sinks: dict[str, dict[str, int]] = {model: {} for model in activations}
        for model, sites in activations.items():
            for site, parts in sites.items():
                place = places[model, site] = Path(folder) / f"{len(places)}.npy"
                values, sinks[model][site] = pooled(Activations(list(parts)), tables[model], chosen, roles)
                np.save(place, values)
        pairs = _pairs(places, draws, rng)
    document = {
        "roles": list(roles),
        "samples": len(chosen),
        "samples_available": len(ids),
        "draws": draws,
        "seed": seed,
        "models": {
            model: {
                "sites": list(sites),
                "d_model": {site: Activations(list(parts)).d_model for site, parts in sites.items()},
                "sinks": sinks[model],
            }
            for model, sites in activations.items()
        },
        "pairs": pairs,
    }
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "comparison.json", "model_comparison", document)
    table = pd.DataFrame(pairs)
    figure = comparison_figure(table, samples=len(chosen), roles=roles, draws=draws)
    save(figure, out / "comparison.png", table)


def pooled(
    activations: Activations,
    tokens: TokenTable,
    ids: Sequence[str],
    roles: Sequence[str],
    *,
    rows: int = 16384,
) -> tuple[np.ndarray, int]:
    """(len(ids), d_model) float32: each sample's mean over its tokens of `roles`, without sinks; and how many those are.

    Memory: the means, and a block of `rows`.
    """
    index = {sample_id: i for i, sample_id in enumerate(tokens.sample_ids)}
    order = np.array([index[sample_id] for sample_id in ids])
    declared = tokens.has_role(roles) & np.isin(tokens.sample, order)
    check_same_rows(activations, tokens)
    keep = without_sinks(activations.norms(), tokens.role, declared)
    means, having = sample_means(activations, tokens, keep, rows=rows)
    values = np.full((len(ids), activations.d_model), np.nan, dtype=np.float32)
    present = np.isin(order, having)
    values[present] = means[np.searchsorted(having, order[present])]
    if (bad := np.flatnonzero(~np.isfinite(values).all(axis=1))).size:
        raise InputError(
            activations.paths[0],
            found=f"no finite mean for sample {ids[int(bad[0])]}, and so for {len(bad)} samples",
            expected=f"tokens of the roles {', '.join(roles)} with finite activations, and no sinks, in every sample",
            mend="name roles that are stored, or extract the part again",
        )
    return values, int(declared.sum() - keep.sum())


def _pairs(places: Mapping[tuple[str, str], Path], draws: int, rng: np.random.Generator) -> list[dict]:
    pairs = []
    progress = Progress("model comparison", len(places) * (len(places) + 1) // 2, "pairs of sites")
    for first, second in combinations_with_replacement(places, 2):
        x, y = (np.load(places[side]) for side in (first, second))
        pair = {"model_a": first[0], "site_a": first[1], "model_b": second[0], "site_b": second[1]}
        for name, (value, null) in cka_with_null(x, y, draws=draws, rng=rng).items():
            undefined = np.isnan(value)
            pair[f"{name}_cka"] = None if undefined else round(value, 6)
            pair[f"{name}_null_mean"] = None if undefined else round(float(null.mean()), 6)
            pair[f"{name}_null_max"] = None if undefined else round(float(null.max()), 6)
            pair[f"{name}_p"] = None if undefined else (1 + int((null >= value).sum())) / (1 + draws)
        pairs.append(pair)
        progress.update(1)
    return pairs


def _check(
    tokens: Mapping[str, Sequence[Path]],
    activations: Mapping[str, Mapping[str, Sequence[Path]]],
    datasets: Mapping[str, Path],
    roles: Sequence[str],
) -> None:
    if not tokens or not tokens.keys() == activations.keys() == datasets.keys():
        raise InputError(
            "models to compare",
            found=f"tokens of {sorted(tokens)}, activations of {sorted(activations)}, datasets of {sorted(datasets)}",
            expected="all three of the same models",
            mend="name the files of every model",
        )
    if not roles or set(roles) - set(ROLES):
        raise InputError(
            "roles", found=list(roles), expected=f"some of {', '.join(ROLES)}", mend="correct the roles"
        )


def _check_same_texts(
    tables: Mapping[str, TokenTable], datasets: Mapping[str, Path], roles: Sequence[str]
) -> None:
    """InputError unless every model was shown the same texts under the same ids."""
    reference = None
    columns = sorted({column for role, column in _READ_WITH.items() if role in roles})
    for model, table in tables.items():
        frame = read_table(datasets[model], "dataset", columns=["sample_id", *columns]).set_index("sample_id")
        if missing := sorted(set(table.sample_ids) - set(frame.index)):
            raise InputError(
                datasets[model],
                found=f"no sample {missing[0]}, which the activations of {model} have",
                expected="every sample whose activations are stored",
                mend="give the dataset from which they were made",
            )
        frame = frame.loc[sorted(table.sample_ids)]
        if reference is None:
            first, reference = model, frame
            continue
        if differing := sorted(set(frame.index) ^ set(reference.index)):
            raise InputError(
                f"models {first} and {model}",
                found=f"{len(differing)} samples that only one of them has, {differing[0]} among them",
                expected="the same samples",
                mend="extract the same rows of the same dataset with both",
            )
        if (unlike := (frame != reference).any(axis=1)).any():
            sample = frame.index[int(np.flatnonzero(unlike)[0])]
            column = next(name for name in columns if frame.at[sample, name] != reference.at[sample, name])
            raise InputError(
                f"models {first} and {model}, sample {sample}",
                found=f"{column} {reference.at[sample, column]!r} and {frame.at[sample, column]!r}",
                expected="the same text",
                mend="compare models on one language of one dataset",
            )
