from pathlib import Path

from crosslens.lens.tuned import fit_lenses
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: fit_lenses(
        model=job.local["model"],
        datasets=job.one_by("dataset", "language"),
        images=Path(job.local["images"]) if job.local["images"] else None,
        out=out["lenses"],
        **{name: value for name, value in job.params.items() if name not in ("model", "languages")},
    )
)
