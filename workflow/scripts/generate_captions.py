from pathlib import Path

from crosslens.gender.generate import generate_captions
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: generate_captions(
        dataset=job.path("dataset"),
        images=Path(job.local["images"]) if job.local["images"] else None,
        **job.params | {"model": job.local["model"]},
        gender="unknown",
        out=out["generated"],
    )
)
