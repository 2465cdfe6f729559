from pathlib import Path

from crosslens.lens.reading import read_lenses
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: read_lenses(
        lenses=job.path("lenses"),
        dataset=job.path("dataset"),
        images=Path(job.local["images"]) if job.local["images"] else None,
        **job.params | {"model": job.local["model"]},
        out=out["lens_reading"],
    )
)
