"""What a study stores: artifacts, bytes and files."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from crosslens.artifacts.kinds import Kind, Need
from crosslens.planning.rates import Rates
from crosslens.planning.reading import Reading
from crosslens.sae.settings import Settings
from crosslens.tables.arrays import rows_at_once

NORM_BYTES, TOKEN_BYTES, CODE_BYTES = 4, 21, 8
"""Raw, of a stored row's norm, of a row of the token table, and of an entry of the codes."""
COLUMN_SHARD_BYTES = 64 << 20
"""Of columns and codes."""
BESIDE = 12
"""Inodes of an artifact beside its files: links, records, folders and logs, as counted in the embedded study."""
MODEL_FILES = 6
"""Of a model that a rule makes: weights in bfloat16, configuration, tokenizer."""
CODES = ("codes", "seed_codes", "swept_codes")
"""Kinds that are the codes of an SAE."""
TABLES = ("features", "gender")
"""Kinds that are a row a feature, and a document."""
SIZED = {
    *(
        "source",
        "collection",
        "model",
        "dataset",
        "dataset_summary",
        "texts",
        "texts_metadata",
        "texts_summary",
    ),
    *("tokens", "activations", "sae", "swept_sae", "pretrained", *CODES, *TABLES),
}
"""Kinds that have a line of their own; the others are small."""


class Stored(NamedTuple):
    """One kind of artifact on disk."""

    what: str
    count: int
    """Artifacts."""
    bytes: int
    """Of all of them."""
    files: int
    """Of all of them, without what is BESIDE each."""
    basis: str

    @property
    def inodes(self) -> int:
        """Of all of them."""
        return self.files + BESIDE * self.count


def stored_activations(reading: Reading, rates: Rates, languages: list[str]) -> list[Stored]:
    """Activations and token tables of these languages."""
    study = reading.study
    settings = study.settings["activations"]
    width = 2 if settings["dtype"] == "bfloat16" else 4
    value, column = rates.find(f"stored_share/{settings['dtype']}"), rates.find("stored_share/columns")
    norm = NORM_BYTES * rates.find("stored_share/norms").value
    shard_bytes = round(settings["shard_mb"] * 2**20)
    row_bytes, sites = width * reading.model.d_model, len(study.sites)
    found = []
    for language in languages:
        parts = reading.rows_of_parts(language)
        one = round(sum(parts) * (row_bytes * value.value + norm))
        files = sum(
            3 + sum(_shards(part, row, shard_bytes) for row in (row_bytes, NORM_BYTES)) for part in parts
        )
        found += [
            Stored(
                f"activations {language}",
                sites * len(parts),
                sites * one,
                sites * files,
                f"{one / 1e9:.3f} GB a site: {reading.model.d_model:,} × {width} bytes a row, stored as "
                f"{value.value:.2f} of it: {value.basis}",
            ),
            Stored(
                f"tokens {language}",
                len(parts),
                round(sum(parts) * TOKEN_BYTES * column.value),
                15 * len(parts),
                f"{TOKEN_BYTES} bytes a row, stored as {column.value:.2f} of it: {column.basis}",
            ),
        ]
    return found


def stored_saes(reading: Reading, counts: Counter[str], settings: Settings) -> list[Stored]:
    """SAEs, those of a sweep too, and their checkpoints; counts: artifacts of each kind."""
    study, d_model = reading.study, reading.model.d_model
    count, others = counts["sae"] + counts["swept_sae"], counts["pretrained"]
    weights = 4 * (2 * settings.d_sae * d_model + settings.d_sae + d_model)
    together = min(count, study.settings["sae"]["at_once"] * len(study.sae_sites))
    adopted = [Stored("SAEs of others", others, others * weights, 2 * others, "assumed: as large as the own")]
    return [
        *(adopted if others else []),
        Stored("SAEs", count, count * weights, 3 * count, "float32: exact"),
        Stored(
            "checkpoints, while training",
            count,
            3 * together * weights,
            count,
            "weights and Adam's two moments; all sites at once",
        ),
    ]


def stored_codes(reading: Reading, rates: Rates, codes: Iterable[Need]) -> Stored:
    """Of every SAE that is analysed in every language that it is read in."""
    share, active = rates.find("stored_share/codes"), reading.sae_settings({}).active_entries
    rows = [reading.trained_rows(wildcards["language"]) for _, wildcards in codes]
    files = sum(
        6
        + _shards(one, 4, COLUMN_SHARD_BYTES)
        + 2 * _shards(one * active, CODE_BYTES // 2, COLUMN_SHARD_BYTES)
        + _shards(one, 8, COLUMN_SHARD_BYTES)
        + _shards(one + 1, 8, COLUMN_SHARD_BYTES)
        for one in rows
    )
    return Stored(
        "codes",
        len(rows),
        round(sum(rows) * active * CODE_BYTES * share.value),
        files,
        f"{active} entries a row of {CODE_BYTES} bytes, stored as {share.value:.2f} of it: {share.basis}",
    )


def stored_inputs(reading: Reading, rates: Rates) -> list[Stored]:
    """What rules make before anything is read: the model, drawn pictures, tables of samples."""
    study, found = reading.study, []
    if study.model.must_be_prepared:
        size = 2 * reading.model.parameters
        found.append(Stored("model", 1, size, MODEL_FILES, "2 bytes a parameter: exact"))
    if side := study.source.drawn_pixels:
        rate = rates.find("picture_bytes")
        pictures = max(counts.pictures for counts in reading.counts.values())
        size = round(pictures * side**2 * rate.value)
        basis = f"{side} pixels square, {rate.value:g} {rate.unit}: {rate.basis}"
        found.append(Stored("drawn pictures", 1, size, pictures + 2, basis))
    rate, tables = rates.find("sample_bytes"), 1 + len(study.languages) + study.source.is_generation
    size = round(reading.samples * len(study.languages) * rate.value)
    return [*found, Stored("samples", tables, size, tables, f"{rate.value:g} {rate.unit}: {rate.basis}")]


def stored_results(counts: Counter[str], kinds: dict[str, Kind], rates: Rates, features: int) -> list[Stored]:
    """What the analyses write; counts: artifacts of each kind; features: of an SAE."""
    rate, small = rates.find("feature_bytes"), rates.find("result_bytes")
    tables = sum(counts[kind] for kind in TABLES)
    results = {kind: number for kind, number in counts.items() if kind not in SIZED}
    count = sum(results.values())
    files = sum(number * max(len(kinds[kind].files), kinds[kind].holds) for kind, number in results.items())
    return [
        Stored(
            "feature tables",
            tables,
            round(tables * features * rate.value),
            2 * tables,
            f"{features:,} features, {rate.value:g} {rate.unit}: {rate.basis}",
        ),
        Stored(
            "documents, figures and page",
            count,
            round(count * small.value),
            files,
            f"{small.value:g} {small.unit}: {small.basis}",
        ),
    ]


def _shards(rows: int, row_bytes: int, shard_bytes: int) -> int:
    return -(-rows // rows_at_once(row_bytes, shard_bytes, rows)[1])
