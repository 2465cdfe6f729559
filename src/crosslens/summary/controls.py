"""The same measures of a study and of its controls, layer by layer."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from crosslens.summary.names import main_corpora
from crosslens.summary.reading import Document
from crosslens.tables.documents import write_json

Record = dict[str, Any]
RAW = "activations"
"""What records call activations in the place of an SAE's corpus."""


class Measure(NamedTuple):
    """A number that a control can put in doubt."""

    name: str
    records: str
    """The list of records of a summary that it is read from."""
    field: str
    bounds: tuple[str, str] | None
    """The fields of its 95 % interval; None where there is none."""
    chosen: Callable[[Record], bool]
    """Which of the records."""
    of: tuple[str, ...]
    """The fields that tell the records of one site apart."""


def masked(record: Record) -> bool:
    """What is read of a caption without its label words."""
    return record["condition"] == "caption"


MEASURES = (
    Measure("explained_variance", "saes", "ev", None, lambda r: True, ("language",)),
    Measure("gendered", "gender", "share", None, masked, ("language",)),
    Measure(
        "probe",
        "probes",
        "auroc",
        ("auroc_low", "auroc_high"),
        lambda r: masked(r) and r["corpus"] == RAW,
        ("language",),
    ),
    Measure(
        "transfer",
        "transfer",
        "auroc",
        ("auroc_low", "auroc_high"),
        lambda r: masked(r) and r["method"] == "difference_of_means" and r["source"] != r["target"],
        ("source", "target"),
    ),
    Measure(
        "effects",
        "cross_lingual",
        "r",
        ("low", "high"),
        lambda r: masked(r) and (r["family"], r["method"]) == ("live", "pearson"),
        ("languages",),
    ),
    Measure("shared", "sharing", "share", None, lambda r: True, ("languages",)),
    Measure(
        "retrieval",
        "retrieval",
        "r1",
        ("r1_low", "r1_high"),
        lambda r: r["centred"] and r["q_family"] is not None,
        ("source", "target"),
    ),
    Measure("cka", "cka", "unbiased", None, lambda r: r["q_family"] is not None, ("languages",)),
)


def compare_controls(*, summaries: Sequence[Path], controls: Sequence[str], out: Path) -> None:
    """Write JSON of kind controls: `records` of (measure, of, site, control, value, low, high).

    summaries: of the study, then of its `controls` in their order; `control` is empty for the study itself. What is
    measured of SAEs is of the one that stands for a language (see names.main_corpora). Raises InputError where a field is
    missing.
    """
    records = [
        {"control": control, **record}
        for control, path in zip(["", *controls], summaries, strict=True)
        for record in measured(Document(path, "summary")("records"))
    ]
    found = {record["measure"] for record in records}
    measures = [measure.name for measure in MEASURES if measure.name in found]
    write_json(out, "controls", {"controls": list(controls), "measures": measures, "records": records})


def measured(records: dict[str, list[Record]]) -> Iterator[Record]:
    """The measures of one summary."""
    corpora = main_corpora(records.get("saes", []))
    for measure in MEASURES:
        for record in records.get(measure.records, []):
            if not (measure.chosen(record) and is_main(record, corpora)):
                continue
            low, high = (record[name] for name in measure.bounds) if measure.bounds else (None, None)
            of = [record[name] for name in measure.of]
            yield {
                "measure": measure.name,
                "of": of[0] if isinstance(of[0], list) else of,
                "site": record["site"],
                "value": share(record) if measure.field == "share" else record[measure.field],
                "low": low,
                "high": high,
            }


def is_main(record: Record, corpora: dict[str, str]) -> bool:
    """Whether it is of activations, or of the one SAE that stands for its language or languages."""
    corpus = record.get("corpus", RAW)
    shown = [corpora.get(record["language"])] if "language" in record else corpora.values()
    return corpus == RAW or corpus in shown


def share(record: Record) -> float | None:
    """What was found among the features that could be tested: gendered, or shared by two languages."""
    found, features = ("significant", "testable") if "significant" in record else ("found", "features")
    return record[found] / record[features] if record["tested"] and record[features] else None
