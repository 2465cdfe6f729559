"""When does a model know the gender? Its lenses read, block by block, the words that it is about to write."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from crosslens.features.splice import choose
from crosslens.lens.causal import CHECKED, JACOBIAN, QUANTITIES, RANDOM, ablations, rows_read
from crosslens.lens.jacobian import FIRST, directions
from crosslens.lens.lenses import LENSES, ROWS_FILE, Reader, Translators
from crosslens.lens.odds import Told, log_odds, told_of
from crosslens.lens.places import GenderPlace, drawn, places_of
from crosslens.lens.summary import Readings, against_null, correlation, mean_bits
from crosslens.lens.tuned import divergences, states_of
from crosslens.memory import memory_kept
from crosslens.models.head import Head
from crosslens.models.load import LoadedModel, load_model
from crosslens.stats.resampling import stream
from crosslens.tables.documents import read_table, write_json, write_table

log = logging.getLogger(__name__)

MOST_CHECKED = 48
"""Places of the causal check, spread evenly over those that are read: each is a pass for every block and direction."""
COLUMNS = {
    **dict.fromkeys(("group", "gender", "pair", "female", "male"), "str"),
    **dict.fromkeys(("pieces_female", "pieces_male"), "int64"),
    "lens": "str",
    "layer": "int64",
    "log_odds": "float64",
}


def read_lenses(
    *,
    model: dict[str, Any],
    lenses: Path,
    dataset: Path,
    images: Path | None,
    language: str,
    samples: int,
    batch: int,
    bootstraps: int,
    permutations: int,
    seed: int,
    out: Path,
) -> None:
    """Write `lens.json` (kind lens_reading), `readings.parquet` (kind lens_readings, a row a test place, lens and block) and
    `jacobian.safetensors` (`rows` (L, d), see crosslens.lens.jacobian) to the folder `out`.

    model: keyword arguments of load_model. lenses: folder of kind lenses. Read are test places of at most `samples` groups of
    each gender; directions come from as many of train. Bits are of as many test samples.
    """
    loaded = load_model(**model)
    reader = Reader(Head(loaded), Translators.load(lenses, loaded))
    frame = read_table(dataset, "dataset")
    rng = stream(seed, "lens", language)
    places = places_of(frame)
    with memory_kept():
        bits = _bits(loaded, reader, frame, images, samples, batch, bootstraps, seed, rng)
        gender, table, rows = _gender(
            loaded, reader, places.places, images, samples, batch, bootstraps, permutations, seed, rng
        )
    out.mkdir(parents=True, exist_ok=True)
    save_file({"rows": rows.contiguous()}, out / ROWS_FILE)
    write_table(out / "readings.parquet", "lens_readings", table)
    because = places.because or (None if gender else "there is no such place in both train and test")
    write_json(
        out / "lens.json",
        "lens_reading",
        {
            "language": language,
            "layers": loaded.n_layers,
            "split": "test",
            "bootstraps": bootstraps,
            "permutations": permutations,
            "seed": seed,
            "bits": bits,
            "tested": gender is not None,
            "because": because,
            "gender": gender and {"places": places.kind, "words": places.words, **gender},
        },
    )


def _bits(
    loaded: LoadedModel,
    reader: Reader,
    frame: pd.DataFrame,
    images: Path | None,
    samples: int,
    batch: int,
    bootstraps: int,
    seed: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """KL(model ‖ lens) of test tokens, per block."""
    states = states_of(loaded, choose(frame[frame["split"] == "test"], samples, seed), images, batch)
    return {"tokens": len(states.group), "groups": len({*states.group})} | {
        lens: [
            mean_bits(of.numpy(), states.group, bootstraps, rng)
            for of in divergences(reader.head, reader.translators, lens, states.residual)
        ]
        for lens in LENSES
    }


def _gender(
    loaded: LoadedModel,
    reader: Reader,
    places: list[GenderPlace],
    images: Path | None,
    samples: int,
    batch: int,
    bootstraps: int,
    permutations: int,
    seed: int,
    rng: np.random.Generator,
) -> tuple[dict[str, Any] | None, pd.DataFrame, torch.Tensor]:
    """What the document says of gender (None where train or test has no place), the table, and the Jacobian lens' rows."""
    told: dict[str, list[tuple[GenderPlace, Told]]] = {}
    for split in ("train", "test"):
        chosen = drawn(places, split, samples)
        found = told_of(loaded, chosen, images)
        # where words part in the very first token, nothing was read
        told[split] = [pair for pair in zip(chosen, found, strict=True) if pair[1].texts[0].start > 0]
    if not told["train"] or not told["test"]:
        none = torch.zeros(loaded.n_layers, loaded.d_model)
        return None, _table([], {}), none
    contrasts = {split: [one.contrast for _, one in of] for split, of in told.items()}
    found = directions(loaded, reader, contrasts["train"], images=images, batch=batch)
    by_row = rows_read(loaded, found, contrasts["test"], images=images, batch=batch)
    some = np.unique(np.linspace(0, len(told["test"]) - 1, MOST_CHECKED).round().astype(int))
    checked = [contrasts["test"][i] for i in some]
    values = ablations(loaded, reader, found, checked, images=images, batch=batch, seed=seed)
    odds = log_odds(loaded, reader, [one for _, one in told["test"]], images=images, batch=batch)
    chosen = [place for place, _ in told["test"]]
    known = {
        name: np.array([getattr(place, name) for place in chosen], dtype=object)
        for name in ("gender", "group", "pair")
    }
    read = {lens: odds[:, i] for i, lens in enumerate(LENSES)} | {JACOBIAN: by_row}
    answer = odds[:, 0, -1]
    document = {
        "counts": Readings(odds[:, 0], **known).counts(),
        "pieces": {
            "several": int(sum(max(_pieces(one)) > 1 for _, one in told["test"])),
            "of": len(chosen),
        },
        "jacobian": {"prompts": found.prompts, "sources": found.sources, "first": FIRST},
        "of": {
            lens: _summed(Readings(of, **known), answer, bootstraps, permutations, rng)
            for lens, of in read.items()
        },
        "causal": {"places": len(some), "of": _causal(values, known["group"][some], bootstraps, rng)},
    }
    return document, _table(told["test"], read), found.rows


def _pieces(one: Told) -> tuple[int, int]:
    return tuple(text.stop - text.start for text in one.texts)


def _summed(
    readings: Readings, answer: np.ndarray, bootstraps: int, permutations: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """A record a block."""
    difference = readings.difference(bootstraps, rng)
    parts = {
        "difference": difference,
        "null": against_null(difference, readings.null(permutations, rng), readings.ways()),
        "told": readings.told(),
        "likeness": readings.likeness(answer),
        "lean": readings.lean(bootstraps, rng),
        "spread": readings.spread(),
        "likeness_unknown": readings.likeness(answer, unknown=True),
    }
    return [
        {"layer": layer} | {name: of[layer] for name, of in parts.items()}
        for layer in range(readings.values.shape[1])
    ]


def _causal(
    values: np.ndarray, groups: np.ndarray, draws: int, rng: np.random.Generator
) -> dict[str, list[dict[str, Any]]]:
    """Lens -> a record a block, of (n, CHECKED, L, QUANTITIES)."""
    found: dict[str, list[dict[str, Any]]] = {}
    for i, lens in enumerate(CHECKED):
        found[lens] = []
        for layer in range(values.shape[2]):
            of = dict(zip(QUANTITIES, values[:, i, layer].T, strict=True))
            record = {"layer": layer} | {name: float(np.abs(one).mean()) for name, one in of.items()}
            if lens == RANDOM:
                del record["said"]
            else:
                record["correlation"] = correlation(of["said"], of["moved"], groups, draws, rng)
            found[lens].append(record)
    return found


def _table(told: list[tuple[GenderPlace, Told]], read: dict[str, np.ndarray]) -> pd.DataFrame:
    rows = []
    for n, (place, one) in enumerate(told):
        known = (place.group, place.gender, place.pair, place.female, place.male, *_pieces(one))
        for lens, values in read.items():
            rows += [(*known, lens, layer, float(value)) for layer, value in enumerate(values[n])]
    return pd.DataFrame(rows, columns=[*COLUMNS]).astype(COLUMNS)
