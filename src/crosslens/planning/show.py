"""A plan as text and as a document."""

from dataclasses import asdict
from typing import Any

from crosslens.planning.plan import Plan
from crosslens.tables.documents import SCHEMA


def as_document(plan: Plan) -> dict[str, Any]:
    """All of a plan as JSON-able values; the counts of samples as their sums."""
    return {
        "schema": SCHEMA,
        "kind": "plan",
        **{
            name: value
            for name, value in asdict(plan).items()
            if name not in ("counts", "stored", "jobs", "warnings")
        },
        "languages": {
            language: {
                "rows": int(counts.stored.sum()),
                "forward_tokens": int(counts.all.sum()),
                "pictures": counts.pictures,
                "basis": counts.basis,
            }
            for language, counts in plan.counts.items()
        },
        "stored": [stored._asdict() for stored in plan.stored],
        "jobs": [jobs._asdict() for jobs in plan.jobs],
        "total": _totals(plan),
        "warnings": [warning._asdict() for warning in plan.warnings],
    }


def as_text(plan: Plan) -> str:
    """A plan as tables, every figure with its basis below."""
    lines = [
        f"{plan.study}: {plan.model}, {plan.parameters / 1e9:.3g} billion parameters, d_model {plan.d_model:,} "
        f"({plan.model_basis})",
        "",
        *(f"Note: {warning.message}" for warning in plan.warnings),
        *([""] if plan.warnings else []),
    ]
    lines += _table(
        ["language", "samples", "tokens a sample", "rows stored", "rows a sample"],
        [
            [
                language,
                f"{len(counts.all):,}",
                f"{counts.all.mean():.1f}",
                f"{int(counts.stored.sum()):,}",
                f"{counts.stored.mean():.1f}",
            ]
            for language, counts in plan.counts.items()
        ],
    )
    lines += [f"  {language}: {counts.basis}" for language, counts in plan.counts.items()] + [""]
    notes: list[str] = []
    lines += _table(
        ["stored", "artifacts", "GB", "GB each", "files"],
        [
            [
                f"{stored.what} {_note(notes, stored.basis)}",
                f"{stored.count:,}",
                f"{stored.bytes / 1e9:.3f}",
                f"{stored.bytes / max(1, stored.count) / 1e9:.4f}",
                f"{stored.files:,}",
            ]
            for stored in plan.stored
        ],
    )
    total = _totals(plan)
    lines += [
        f"  in all {total['gb']:.2f} GB, {total['inodes']:,} inodes (files, links, records, folders and logs)",
        "",
    ]
    lines += _table(
        ["jobs", "count", "on", "hours in all", "hours each", "MB each"],
        [
            [
                f"{jobs.rule} {_note(notes, jobs.basis)}",
                f"{jobs.count:,}",
                jobs.device,
                f"{jobs.hours:.2f}",
                f"{jobs.hours / max(1, jobs.count):.3f}",
                f"{jobs.memory_mb:,}",
            ]
            for jobs in plan.jobs
        ],
    )
    lines += [
        f"  in all {total['jobs']:,} jobs, {total['gpu_hours']:.2f} GPU hours, {total['cpu_hours']:.2f} CPU hours",
        "",
        *(f"[{number}] {note}" for number, note in enumerate(notes, start=1)),
    ]
    return "\n".join(lines)


def _totals(plan: Plan) -> dict[str, float]:
    return {
        "gb": sum(stored.bytes for stored in plan.stored) / 1e9,
        "inodes": sum(stored.inodes for stored in plan.stored),
        "jobs": sum(jobs.count for jobs in plan.jobs),
        "gpu_hours": plan.hours("gpu"),
        "cpu_hours": plan.hours("cpu"),
    }


def _note(notes: list[str], basis: str) -> str:
    """The number under which `basis` stands below."""
    if basis not in notes:
        notes.append(basis)
    return f"[{notes.index(basis) + 1}]"


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [header, ["-" * width for width in widths], *rows]
    ]
