"""The plan of a study: what every stage stores, and what its jobs take."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from crosslens.planning.counts import Counts
from crosslens.planning.jobs import common_languages, count_jobs
from crosslens.planning.memory import job_mb
from crosslens.planning.rates import Rates
from crosslens.planning.reading import read_study
from crosslens.planning.stored import (
    Stored,
    stored_activations,
    stored_codes,
    stored_inputs,
    stored_results,
    stored_saes,
)
from crosslens.planning.work import Work, active_entries, settings_of, work_of_rules
from crosslens.study import Study

GPU_RULES = (
    "generate_texts",
    "extract",
    "train_saes",
    "splice_saes",
    "splice_swept_saes",
    "generate_captions",
    "inspect_tokens",
)
"""Those that ask for a GPU."""


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
    compared: Sequence[Study] = (),
    config: Path | None = None,
    samples: int | None = None,
    tokens: int | None = None,
    gpu: bool = True,
) -> Plan:
    """Plan `study` with `rates`: what `snakemake --config run=STUDY` makes where nothing is built yet.

    compared: the studies that its `compare.with` names. config: the model's config.json, where it is not on this
    machine. samples, tokens: of one language, and text tokens of each, to assume where there are no captions yet. gpu:
    GPU rules run on one; otherwise on CPUs.
    """
    reading = read_study(study, rates, config=config, samples=samples, tokens=tokens)
    others = [
        (
            read_study(other, rates, config=None, samples=samples, tokens=tokens),
            common_languages(study, other),
        )
        for other in compared
    ]
    model, own = reading.model, settings_of(reading)
    counted = count_jobs(study, reading.parts, [(other.study, other.parts) for other, _ in others])
    stored = [*stored_inputs(reading, rates), *stored_activations(reading, rates, study.languages)]
    for other, languages in others:
        of = f", {other.study.name}"
        stored += [*stored_inputs(other, rates, of), *stored_activations(other, rates, languages, of)]
    stored += [*stored_saes(reading, own), stored_codes(reading, rates, active_entries(own))]
    stored += stored_results(counted, rates, own.d_sae)
    work = work_of_rules(reading, others)
    return Plan(
        study.name,
        study.model_name,
        model.basis,
        model.parameters,
        model.d_model,
        reading.samples,
        reading.counts,
        stored,
        [
            _timed(study, rule, count, work.get(rule), rates, gpu and rule in GPU_RULES)
            for rule, count in counted.items()
        ],
    )


def _timed(study: Study, rule: str, count: int, work: Work | None, rates: Rates, gpu: bool) -> Jobs:
    device, start = "gpu" if gpu else "cpu", rates.find("job_start")
    seconds, basis = count * start.value, start.basis
    if work is not None:
        rate = rates.find(work.rate, device)
        seconds += work.amount * rate.value if rate.unit.startswith("s ") else work.amount / rate.value
        seconds += work.batches * rates.find("batch", device).value
        basis = f"{work.what} at {rate.value:.2g} {rate.unit} ({rate.device}): {rate.basis}"
    return Jobs(rule, count, device, seconds / 3600, job_mb(rule, study), basis)
