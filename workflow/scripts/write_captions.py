from pathlib import Path

from crosslens.generation.captions import write_captions
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: write_captions(
        model=job.local["model"],
        dataset=job.path("dataset"),
        images=Path(job.local["images"]) if job.local["images"] else None,
        rows=tuple(job.params["rows"]),
        max_new_tokens=job.params["max_new_tokens"],
        batch=job.local["batch"],
        language=job.params["language"],
        out=out["written"],
    )
)
