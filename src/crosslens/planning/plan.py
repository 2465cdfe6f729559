"""The plan of a study: what every stage stores, and what its jobs take."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from crosslens.artifacts.kinds import Need
from crosslens.artifacts.table import Studies, Table
from crosslens.data.warnings import Warned
from crosslens.planning.counts import Counts
from crosslens.planning.rates import Rates
from crosslens.planning.reading import Reading, read_study
from crosslens.planning.samples import known_warnings
from crosslens.planning.stored import (
    CODES,
    Stored,
    stored_activations,
    stored_codes,
    stored_inputs,
    stored_results,
    stored_saes,
)
from crosslens.study.study import Study


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
    warnings: list[Warned] = field(default_factory=list)
    """What is known of the data before anything runs."""

    @property
    def rows(self) -> dict[str, int]:
        """Stored tokens by language."""
        return {language: int(counts.stored.sum()) for language, counts in self.counts.items()}

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

    compared: the studies that its `compare.with` names, and its controls. config: the model's config.json, where it is
    not on this machine. samples, tokens: of one language, and text tokens of each, to assume where there are no captions
    yet. gpu: GPU rules run on one; otherwise on CPUs.
    """
    readings = {
        study.name: read_study(study, rates, config=config, samples=samples, tokens=tokens),
        **{
            other.name: read_study(other, rates, config=None, samples=samples, tokens=tokens)
            for other in compared
        },
    }
    reading = readings[study.name]
    table = table_of(readings)
    artifacts = table.everything(study.name)
    stored = [
        one._replace(what=one.what + ("" if other is reading else f", {name}"))
        for name, other in readings.items()
        for one in _stored(table, [need for need in artifacts if need[1]["study"] == name], other, rates)
    ]
    return Plan(
        study.name,
        study.model.name,
        reading.model.basis,
        reading.model.parameters,
        reading.model.d_model,
        reading.samples,
        reading.counts,
        stored,
        [
            _timed(
                table,
                rule,
                [need for need in artifacts if table.kinds[need[0]].by == rule],
                readings,
                rates,
                gpu,
            )
            for rule in table.jobs(artifacts)
        ],
        known_warnings(study) if samples is None else [],
    )


def _stored(table: Table, artifacts: list[Need], reading: Reading, rates: Rates) -> list[Stored]:
    """What the artifacts of one study take."""
    counts, settings = Counter(kind for kind, _ in artifacts), reading.sae_settings({})
    languages = {wildcards["language"] for kind, wildcards in artifacts if kind == "tokens"}
    codes = [need for need in artifacts if need[0] in CODES]
    found = [
        *stored_inputs(reading, rates),
        *stored_activations(reading, rates, [name for name in reading.study.languages if name in languages]),
        *stored_saes(reading, counts, settings),
        stored_codes(reading, rates, codes),
        *stored_results(counts, table.kinds, rates, settings.d_sae),
    ]
    return [one for one in found if one.count]


def table_of(readings: dict[str, Reading]) -> Table:
    """The artifacts of these studies, whose data need not be there."""

    def read(name: str) -> Study:
        return readings[name].study

    return Table(Studies(read, {name: reading.parts for name, reading in readings.items()}))


def _timed(
    table: Table, rule: str, made: list[Need], readings: dict[str, Reading], rates: Rates, gpu: bool
) -> Jobs:
    """The jobs of one rule, which make these artifacts."""
    count, memory = table.jobs(made)[rule], max(table.megabytes(rule, wildcards) for _, wildcards in made)
    device, start = "gpu" if gpu and table.works[rule].gpu else "cpu", rates.find("job_start")
    seconds = count * start.value
    amounts = [table.kinds[kind].amount(table.at(w), readings[w["study"]]) for kind, w in made]
    told = []
    for name in dict.fromkeys(amount.rate for amount in amounts if amount is not None):
        rate, own = rates.find(name, device), [one for one in amounts if one is not None and one.rate == name]
        seconds += sum(rates.seconds(one, device) for one in own)
        total = sum(one.amount for one in own)
        told.append(f"{total:.2g} at {rate.value:.2g} {rate.unit} ({rate.device}): {rate.basis}")
    basis = "; ".join(told) or start.basis
    return Jobs(rule, count, device, seconds / 3600, memory, basis)
