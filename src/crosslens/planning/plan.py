"""The plan of a study: what every stage stores, and what its jobs take."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from crosslens.planning import memory
from crosslens.planning.counts import Counts, count_tokens, padded
from crosslens.planning.outline import Outline, outline
from crosslens.planning.rates import Rates
from crosslens.sae.settings import Settings
from crosslens.study import Study
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


class Jobs(NamedTuple):
    """The jobs of one rule."""

    rule: str
    count: int
    device: str
    """"gpu" or "cpu"."""
    hours: float
    """Of all of them together."""
    memory_mb: int
    """That each asks for."""
    basis: str


@dataclass
class Plan:
    """What a study will take."""

    study: str
    model: str
    model_basis: str
    parameters: int
    d_model: int
    samples: int
    """Of one language."""
    counts: dict[str, Counts]
    stored: list[Stored] = field(default_factory=list)
    jobs: list[Jobs] = field(default_factory=list)

    @property
    def rows(self) -> dict[str, int]:
        """Stored tokens by language."""
        return {language: int(counts.stored.sum()) for language, counts in self.counts.items()}

    def bytes_of(self, prefix: str) -> int:
        """Of the kinds of artifacts whose name begins so."""
        return sum(stored.bytes for stored in self.stored if stored.what.startswith(prefix))

    def hours(self, device: str) -> float:
        """Of all jobs on that kind of device."""
        return sum(jobs.hours for jobs in self.jobs if jobs.device == device)


def make_plan(
    study: Study,
    rates: Rates,
    *,
    config: Path | None = None,
    samples: int | None = None,
    tokens: int | None = None,
    gpu: bool = True,
) -> Plan:
    """Plan `study` with `rates`.

    config: the model's config.json, where it is not on this machine. samples, tokens: of one language, and text tokens
    of each, to assume where there are no captions yet. gpu: GPU rules run on one; otherwise on CPUs.
    """
    model = outline(study, config)
    counts = {
        language: count_tokens(study, model, rates, language, samples=samples, tokens=tokens)
        for language in study.languages
    }
    plan = Plan(
        study.name,
        study.model_name,
        model.basis,
        model.parameters,
        model.d_model,
        len(next(iter(counts.values())).all),
        counts,
    )
    settings = Settings.from_dict(
        {
            name: value
            for name, value in study.settings["sae"].items()
            if name not in ("corpora", "sites", "seeds", "pretrained", "at_once")
        }
    ).resolve(d_model=model.d_model, tokens=1)
    _plan_activations(plan, study, rates)
    _plan_saes(plan, study, rates, model, settings)
    _plan_jobs(plan, study, rates, model, settings, "gpu" if gpu else "cpu")
    return plan


def _parts(study: Study, counts: Counts) -> list[np.ndarray]:
    size = study.settings["activations"]["part_rows"]
    return [counts.stored[first : first + size] for first in range(0, len(counts.stored), size)]


def _plan_activations(plan: Plan, study: Study, rates: Rates) -> None:
    stored = study.settings["activations"]
    width = 2 if stored["dtype"] == "bfloat16" else 4
    value, column = rates.find(f"stored_share/{stored['dtype']}"), rates.find("stored_share/columns")
    shard_bytes = round(stored["shard_mb"] * 2**20)
    for language, counts in plan.counts.items():
        parts = [int(part.sum()) for part in _parts(study, counts)]
        rows, sites = sum(parts), len(study.sites)
        one = round(
            rows * (plan.d_model * width * value.value + NORM_BYTES * rates.find("stored_share/norms").value)
        )
        files = sum(
            3 + sum(_shards(part, row, shard_bytes) for row in (width * plan.d_model, NORM_BYTES))
            for part in parts
        )
        plan.stored += [
            Stored(
                f"activations {language}",
                sites * len(parts),
                sites * one,
                sites * files,
                f"{one / 1e9:.3f} GB a site: {plan.d_model:,} × {width} bytes a row, stored as {value.value:.2f} of it: "
                f"{value.basis}",
            ),
            Stored(
                f"tokens {language}",
                len(parts),
                round(rows * TOKEN_BYTES * column.value),
                15 * len(parts),
                f"{TOKEN_BYTES} bytes a row, stored as {column.value:.2f} of it: {column.basis}",
            ),
        ]


def _shards(rows: int, row_bytes: int, shard_bytes: int) -> int:
    return -(-rows // rows_at_once(row_bytes, shard_bytes, rows)[1])


def _plan_saes(plan: Plan, study: Study, rates: Rates, model: Outline, settings: Settings) -> None:
    per_site = len(study.corpora) * (len(study.seeds) + len(study.variants))
    count = per_site * len(study.sae_sites)
    weights = 4 * (2 * settings.d_sae * plan.d_model + settings.d_sae + plan.d_model)
    together = min(per_site, study.settings["sae"]["at_once"])
    plan.stored += [
        Stored("SAEs", count, count * weights, 3 * count, "float32: exact"),
        Stored(
            "checkpoints, while training",
            count,
            3 * together * len(study.sae_sites) * weights,
            count,
            "weights and Adam's two moments; all sites at once",
        ),
    ]
    share, active = rates.find("stored_share/codes"), _active(settings)
    read = [
        int(plan.counts[language].trained.sum())
        for language in study.languages
        for _ in _corpora(study, language)
    ]
    files = sum(
        5
        + 2 * _shards(rows * active, CODE_BYTES // 2, COLUMN_SHARD_BYTES)
        + _shards(rows, 8, COLUMN_SHARD_BYTES)
        + _shards(rows + 1, 8, COLUMN_SHARD_BYTES)
        for rows in read
    )
    sites = len(study.sae_sites)
    plan.stored.append(
        Stored(
            "codes",
            len(read) * sites,
            round(sum(read) * active * CODE_BYTES * share.value) * sites,
            files * sites,
            f"{active} entries a row of {CODE_BYTES} bytes, stored as {share.value:.2f} of it: {share.basis}",
        )
    )


def _corpora(study: Study, language: str) -> Sequence[str]:
    """The corpora whose SAE reads a language."""
    return [corpus for corpus in study.corpora if corpus in ("joint", language)]


def _active(settings: Settings) -> int:
    """Entries of a token's code: k, or what the L1 penalty leaves."""
    return round(1 / (2 * settings.l1**2)) if settings.architecture in ("relu", "gated") else settings.k


def _plan_jobs(
    plan: Plan, study: Study, rates: Rates, model: Outline, settings: Settings, device: str
) -> None:
    start = rates.find("job_start")
    share = study.settings["splits"]
    products = settings.d_sae * plan.d_model
    saes = len(study.seeds) + len(study.variants)
    pairs = [
        language for language in study.languages for _ in _corpora(study, language) for _ in study.sae_sites
    ]
    read = sum(int(plan.counts[language].trained.sum()) for language in pairs)
    flops = _extraction_flops(plan, study, model)
    codes_mb, forward_mb = memory.codes_mb(study), memory.model_mb(study) + 2000

    def add(
        rule: str, count: int, where: str, work: float, rate: str | None, memory_mb: int, why: str
    ) -> None:
        if not count:
            return
        found = rates.find(rate, where) if rate else start
        seconds = count * start.value
        if rate:
            seconds += work * found.value if found.unit.startswith("s ") else work / found.value
            why = f"{why} at {found.value:.2g} {found.unit} ({found.device}): {found.basis}"
        plan.jobs.append(Jobs(rule, count, where, seconds / 3600, memory_mb, why or start.basis))

    add("build_dataset", 1, "cpu", 0, None, 1500, "")
    add(
        "extract",
        sum(len(_parts(study, counts)) for counts in plan.counts.values()),
        device,
        sum(flops.values()),
        "forward",
        memory.extract_mb(study),
        f"{sum(flops.values()):.2g} FLOP",
    )
    tokens = saes * share["train"] * settings.epochs * read
    add(
        "train_saes",
        len(study.sae_sites) if study.corpora else 0,
        device,
        tokens * products,
        "sae_training",
        memory.sae_mb(study, len(study.corpora) * saes),
        f"{tokens:,.0f} tokens × {plan.d_model:,} × {settings.d_sae:,}",
    )
    add("encode", len(pairs), "cpu", read * products, "encoding", codes_mb, f"{read:,} tokens")
    held_out = 2 * share["test"] * read
    add(
        "measure_quality",
        len(pairs),
        "cpu",
        held_out * products,
        "encoding",
        codes_mb,
        f"{held_out:,.0f} tokens, those of test by the SAE and by its random baseline,",
    )
    spliced = min(study.settings["quality"]["spliced_samples"], plan.samples * share["test"])
    passes = sum(4 * spliced / plan.samples * flops[language] for language in pairs)
    add(
        "measure_splice",
        len(pairs),
        device,
        passes,
        "forward",
        forward_mb,
        f"4 passes of {spliced:.0f} samples: {passes:.2g} FLOP",
    )
    entries = read * _active(settings)
    gendered = ("gender_effects", "fit_probe_codes") if study.has_gender else ()
    for rule in ("feature_statistics", *gendered):
        add(rule, len(pairs), "cpu", entries, "analysis", codes_mb, f"{entries:,} entries of codes")
    if study.has_gender:
        values = sum(plan.rows.values()) * len(study.sites) * _active(settings)
        probes = len(study.languages) * len(study.sites)
        add(
            "fit_probe_activations",
            probes,
            "cpu",
            values,
            "analysis",
            2000,
            f"as {values:,} entries of codes",
        )
    if study.is_planted or study.images:
        texts = study.settings["stereotype"]
        new = plan.samples * share["test"] * texts["samples_per_image"] * texts["max_new_tokens"]
        new *= len(study.languages)
        add(
            "generate_captions",
            len(study.languages),
            device,
            new * plan.parameters,
            "generation",
            forward_mb,
            f"at most {new:,.0f} tokens, were the gender of every test picture hidden, × {plan.parameters:,} parameters",
        )
    add("summaries, figures and page", 3 * len(study.sites) + 4, "cpu", 0, None, 2000, "")


def _extraction_flops(plan: Plan, study: Study, model: Outline) -> dict[str, float]:
    """By language: the blocks up to the deepest site over all padded tokens, and the vision tower for each picture."""
    stored = study.settings["activations"]
    blocks = 1 + max(int(site.split(".")[0]) for site in study.sites)
    found = {}
    for language, counts in plan.counts.items():
        samples = len(counts.all)
        mean = padded(counts, stored["batch_tokens"], stored["part_rows"]) / samples
        found[language] = samples * model.text_flops(mean, blocks) + counts.pictures * model.image_flops()
    return found
