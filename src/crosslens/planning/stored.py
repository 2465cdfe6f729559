"""What a study stores: artifacts, bytes and files."""

from typing import NamedTuple

from crosslens.planning.jobs import readers
from crosslens.planning.memory import saes_per_site
from crosslens.planning.rates import Rates
from crosslens.planning.reading import Reading
from crosslens.sae.settings import Settings
from crosslens.tables.arrays import rows_at_once

NORM_BYTES, TOKEN_BYTES, CODE_BYTES = 4, 21, 8
"""Raw, of a stored row's norm, of a row of the token table, and of an entry of the codes."""
COLUMN_SHARD_BYTES = 64 << 20
"""Of columns and codes."""


class Stored(NamedTuple):
    """One kind of artifact on disk."""

    what: str
    count: int
    """Artifacts."""
    bytes: int
    """Of all of them."""
    files: int
    """Of all of them; every artifact takes two more places in the store, a link and its record."""
    basis: str


def stored_activations(reading: Reading, rates: Rates, languages: list[str], of: str = "") -> list[Stored]:
    """Activations and token tables of these languages; `of` names the study where it is another one."""
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
                f"activations {language}{of}",
                sites * len(parts),
                sites * one,
                sites * files,
                f"{one / 1e9:.3f} GB a site: {reading.model.d_model:,} × {width} bytes a row, stored as "
                f"{value.value:.2f} of it: {value.basis}",
            ),
            Stored(
                f"tokens {language}{of}",
                len(parts),
                round(sum(parts) * TOKEN_BYTES * column.value),
                15 * len(parts),
                f"{TOKEN_BYTES} bytes a row, stored as {column.value:.2f} of it: {column.basis}",
            ),
        ]
    return found


def stored_saes(reading: Reading, settings: Settings) -> list[Stored]:
    """SAEs, those of a sweep too, and their checkpoints."""
    study, d_model = reading.study, reading.model.d_model
    count = saes_per_site(study) * len(study.sae_sites)
    weights = 4 * (2 * settings.d_sae * d_model + settings.d_sae + d_model)
    together = min(saes_per_site(study), study.settings["sae"]["at_once"]) * len(study.sae_sites)
    return [
        Stored("SAEs", count, count * weights, 3 * count, "float32: exact"),
        Stored(
            "checkpoints, while training",
            count,
            3 * together * weights,
            count,
            "weights and Adam's two moments; all sites at once",
        ),
    ]


def stored_codes(reading: Reading, rates: Rates, active: int) -> Stored:
    """Of every SAE that is analysed in every language that it is read in; active: entries of a token."""
    study, share = reading.study, rates.find("stored_share/codes")
    rows = [
        int(reading.counts[language].trained.sum())
        for site in study.sites
        for corpus in study.corpora_at(site)
        for language in readers(study, corpus)
    ]
    files = sum(
        5
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


def _shards(rows: int, row_bytes: int, shard_bytes: int) -> int:
    return -(-rows // rows_at_once(row_bytes, shard_bytes, rows)[1])
