"""What a reader is shown of every feature beside its numbers: examples, a histogram, its nearest features."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csc_array, csr_array

from crosslens.alignment.assignment import nearest, unit_rows
from crosslens.alignment.dictionaries import check_digest, read_decoder
from crosslens.errors import InputError
from crosslens.pooling.pool import without_sinks
from crosslens.pooling.rows import aligned
from crosslens.stats.resampling import stream
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_table, write_json, write_table
from crosslens.tables.roles import ROLES
from crosslens.tables.tokens import TokenTable, read_tokens

SPLIT = "test"
SAMPLES = 20_000
"""Of the split, at most: of more, so many are drawn."""
STRATA = 4
"""Equal parts by rank of the samples that are not among the strongest."""
TOKENS = 32
"""Shown of an example at most, the strongest."""
BINS = 20
NEIGHBOURS = 8
NOTHING = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32))
"""No entry: token, feature, activation."""


class Shown(NamedTuple):
    """How many examples of a feature and language."""

    top: int
    of_stratum: int
    random: int
    """Of any that are left."""
    silent: int
    """In which it does not fire."""

    @classmethod
    def of(cls, examples: int) -> "Shown":
        """By the number of the strongest."""
        return cls(examples, max(1, 2 * examples // 5), max(1, 3 * examples // 5), max(1, 3 * examples // 5))


@dataclass(frozen=True)
class Side:
    """One language: the samples that are looked through, and what fires in them."""

    tokens: TokenTable
    codes: Codes
    keep: np.ndarray
    """(M) bool: the encoded tokens of these samples, sinks left out."""
    peaks: csc_array
    """(n, F) float32: each feature's largest activation in each sample of the token table; silent ones have none."""
    image: np.ndarray
    """(n) int: what an image is called by, and likewise a caption: those of one number come once."""
    caption: np.ndarray

    @property
    def samples(self) -> int:
        """Those with a token that is looked at."""
        return len(np.unique(self.tokens.sample[self.codes.token[self.keep]]))

    def entries(self, wanted: csr_array | None = None) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """(token rows, features, activations) of the kept tokens, block by block; wanted (n, F): of these samples' features."""
        for start, block in self.codes.blocks():
            rows = np.flatnonzero(self.keep[start : start + block.shape[0]])
            token, codes = self.codes.token[start + rows], block[rows]
            if wanted is not None:
                codes = codes.multiply(wanted[self.tokens.sample[token]])
            found = csr_array(codes).tocoo()
            yield token[found.coords[0]], found.coords[1], found.data


def feature_dashboards(
    *,
    datasets: dict[str, Path],
    tokens: dict[str, Sequence[Path]],
    codes: dict[str, Path],
    sae: Path,
    corpus: str,
    examples: int,
    seed: int,
    out: Path,
) -> None:
    """Write the folder `out`: examples.parquet, tokens.parquet, histograms.parquet, neighbours.parquet, dashboards.json.

    datasets, tokens, codes: by language, all of the SAE in the folder `sae`. Examples of a feature and language are samples of
    test in which it fires: the strongest, as many as `examples`; of the others some of each of STRATA equal parts by rank, and
    some of what is left (see `Shown`); and some in which it does not fire. Each is told in all languages, as what fires in its
    translation. Raises InputError for codes of another SAE.
    """
    ids = drawn_samples(datasets, seed)
    sides = {
        language: read_side(datasets[language], tokens[language], codes[language], ids) for language in codes
    }
    first = next(iter(sides.values())).codes
    for side in sides.values():
        check_digest(sae, side.codes.attributes["sae"])
    out.mkdir(parents=True, exist_ok=True)
    many = Shown.of(examples)
    table = pd.concat(
        [_examples(side, language, many, seed) for language, side in sides.items()], ignore_index=True
    )
    shown = [_tokens(side, language, table) for language, side in sides.items()]
    write_table(out / "examples.parquet", "feature_examples", table)
    write_table(out / "tokens.parquet", "feature_tokens", pd.concat(shown, ignore_index=True))
    histograms = [_histograms(side, language) for language, side in sides.items()]
    write_table(out / "histograms.parquet", "feature_histograms", pd.concat(histograms, ignore_index=True))
    write_table(out / "neighbours.parquet", "feature_neighbours", neighbours(read_decoder(sae)))
    document = {
        "corpus": corpus,
        **{name: first.attributes[name] for name in ("site", "sae", "d_sae", "roles")},
        "split": SPLIT,
        "languages": list(sides),
        "samples": {language: side.samples for language, side in sides.items()},
        "tokens": {language: int(side.keep.sum()) for language, side in sides.items()},
        "examples": examples,
        "seed": seed,
    }
    write_json(out / "dashboards.json", "dashboards", document)


def drawn_samples(datasets: dict[str, Path], seed: int) -> set[str]:
    """Ids of the samples of the split, in whichever language; of more than SAMPLES so many, drawn."""
    ids: set[str] = set()
    for dataset in datasets.values():
        table = read_table(dataset, "dataset", ["sample_id", "split"])
        ids |= {*table.loc[table["split"] == SPLIT, "sample_id"]}
    if len(ids) <= SAMPLES:
        return ids
    return {*stream(seed, "samples").choice(sorted(ids), SAMPLES, replace=False).tolist()}


def read_side(dataset: Path, tokens: Sequence[Path], codes: Path, ids: set[str]) -> Side:
    """What fires in the samples `ids` of one language."""
    frame, table, store = read_table(dataset, "dataset"), read_tokens(tokens), Codes(codes)
    wanted = np.array([sample_id in ids for sample_id in table.sample_ids], dtype=bool)
    keep = wanted[table.sample[store.token]]
    keep = without_sinks(store.norm, table.role[store.token], keep)
    numbers = {name: pd.factorize(aligned(table, frame, name))[0] for name in ("image_id", "caption")}
    n = len(table.sample_ids)
    side = Side(table, store, keep, csc_array((n, store.d_sae)), numbers["image_id"], numbers["caption"])
    cells, values = [NOTHING[0]], [NOTHING[2]]
    for token, feature, activation in side.entries():
        cell, largest = _largest(table.sample[token].astype(np.int64) * store.d_sae + feature, activation)
        cells.append(cell)
        values.append(largest)
    # a block may have cut a sample
    cell, largest = _largest(np.concatenate(cells), np.concatenate(values))
    peaks = csc_array((largest, np.divmod(cell, store.d_sae)), shape=(n, store.d_sae))
    return Side(table, store, keep, peaks, numbers["image_id"], numbers["caption"])


def _largest(cells: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cells (k) that occur, ascending, and the largest of the values (k) of each."""
    order = np.argsort(cells, kind="stable")
    found, starts = np.unique(cells[order], return_index=True)
    return found, np.maximum.reduceat(values[order], starts) if len(found) else values


def _examples(side: Side, language: str, many: Shown, seed: int) -> pd.DataFrame:
    """A row an example: feature, language, group, sample_id, peak."""
    # one order for all features: the same samples come again, and the pages stay small
    priority = stream(seed, language, "examples").permutation(len(side.tokens.sample_ids))
    looked_at = np.unique(side.tokens.sample[side.codes.token[side.keep]])
    drawn = looked_at[np.argsort(priority[looked_at])]
    peaks, rows = side.peaks, []
    for feature in range(peaks.shape[1]):
        part = slice(peaks.indptr[feature], peaks.indptr[feature + 1])
        sample, value = peaks.indices[part], peaks.data[part]
        of = dict(zip(sample.tolist(), value.tolist(), strict=True))
        chosen = _chosen(side, sample, value, priority, drawn, many) if len(sample) else ()
        rows += [(feature, group, i, of.get(i, 0.0)) for group, i in chosen]
    table = pd.DataFrame(rows, columns=["feature", "group", "sample", "peak"]).astype(
        {"feature": "int32", "peak": "float32"}
    )
    ids = np.array(side.tokens.sample_ids, dtype=object)
    table["sample_id"] = ids[table.pop("sample").to_numpy(dtype=np.int64)]
    table.insert(1, "language", language)
    return table[["feature", "language", "group", "sample_id", "peak"]]


def _chosen(
    side: Side, sample: np.ndarray, value: np.ndarray, priority: np.ndarray, drawn: np.ndarray, many: Shown
) -> Iterator[tuple[str, int]]:
    """(group, sample) of one feature, each group in its order: by strength, then drawn; no image and no caption twice.

    drawn: all samples that are looked at, in the order of `priority`.
    """
    seen: set[tuple[str, int]] = set()

    def some(candidates: Iterable[int], count: int) -> Iterator[int]:
        for i in candidates:
            same = {("image", int(side.image[i])), ("caption", int(side.caption[i]))}
            if count and not same & seen:
                seen.update(same)
                count -= 1
                yield int(i)
            if not count:
                return

    order = sample[np.argsort(-value, kind="stable")]
    top = list(some(order, many.top))
    yield from (("top", i) for i in top)
    rest = order[~np.isin(order, top)]
    for stratum, part in enumerate(np.array_split(rest, STRATA), 1):
        yield from ((f"part_{stratum}", i) for i in some(part[np.argsort(priority[part])], many.of_stratum))
    yield from (("random", i) for i in some(rest[np.argsort(priority[rest])], many.random))
    fires = set(sample.tolist())
    yield from (("silent", i) for i in some((i for i in drawn if int(i) not in fires), many.silent))


def _tokens(side: Side, language: str, examples: pd.DataFrame) -> pd.DataFrame:
    """A row a token on which a feature fires in one of its examples, whichever language it was chosen in, as read in this one."""
    index = {sample_id: i for i, sample_id in enumerate(side.tokens.sample_ids)}
    pairs = examples[["feature", "sample_id"]].drop_duplicates()
    pairs = pairs[pairs["sample_id"].isin(index.keys())]
    sample = pairs["sample_id"].map(index).to_numpy(dtype=np.int64)
    cells = (np.ones(len(pairs), dtype=np.float32), (sample, pairs["feature"].to_numpy()))
    found = [NOTHING, *side.entries(csr_array(cells, shape=side.peaks.shape))]
    token, feature, activation = (np.concatenate(parts) for parts in zip(*found, strict=True))
    where = side.tokens
    order = np.lexsort((-activation, where.sample[token], feature))
    place = np.stack([feature[order], where.sample[token[order]]])
    first = np.flatnonzero(np.r_[True, (np.diff(place) != 0).any(axis=0)][: len(order)])
    rank = np.arange(len(order)) - np.repeat(first, np.diff(np.r_[first, len(order)]))
    kept = np.sort(order[rank < TOKENS])
    order = kept[np.lexsort((token[kept], feature[kept]))]
    token, feature, activation = token[order], feature[order], activation[order]
    columns = {
        "feature": feature.astype(np.int32),
        "language": language,
        "sample_id": np.array(where.sample_ids, dtype=object)[where.sample[token]],
        "role": np.array(ROLES, dtype=object)[where.role[token]],
        **{name: getattr(where, name)[token] for name in ("char_start", "char_end", "position")},
        "activation": activation.astype(np.float32),
    }
    return pd.DataFrame(columns)


def _histograms(side: Side, language: str) -> pd.DataFrame:
    """A row a feature that fires: tokens in each of BINS equal parts of what lies between 0 and its largest activation."""
    F = side.peaks.shape[1]
    largest = np.zeros(F, dtype=np.float32)
    np.maximum.at(largest, np.repeat(np.arange(F), np.diff(side.peaks.indptr)), side.peaks.data)
    counts = np.zeros(F * BINS, dtype=np.int64)
    for _, feature, activation in side.entries():
        at = np.minimum((activation / largest[feature] * BINS).astype(np.int64), BINS - 1)
        counts += np.bincount(feature * BINS + at, minlength=F * BINS)
    live = np.flatnonzero(largest)
    table = pd.DataFrame({"feature": live.astype(np.int32), "language": language, "largest": largest[live]})
    for i, column in enumerate(counts.reshape(F, BINS)[live].T):
        table[f"bin_{i:02d}"] = column
    return table


def neighbours(decoder: np.ndarray) -> pd.DataFrame:
    """Of each row of a decoder (F, d) the NEIGHBOURS nearest others by cosine, a row each, rank from 1."""
    F = len(decoder)
    if F < 2:
        raise InputError("SAE", found=f"{F} features", expected="two or more", mend="train a larger one")
    rows = unit_rows(decoder)
    found, _ = nearest(rows, rows, min(NEIGHBOURS + 1, F))
    own = found.index == np.arange(F)[:, None]
    # of rows that are the same, its own may be none of them
    own[~own.any(axis=1), -1] = True
    count = found.index.shape[1] - 1
    return pd.DataFrame(
        {
            "feature": np.repeat(np.arange(F, dtype=np.int32), count),
            "rank": np.tile(np.arange(1, count + 1, dtype=np.int32), F),
            "neighbour": found.index[~own].astype(np.int32),
            "cosine": found.cosine[~own].astype(np.float32),
        }
    )
