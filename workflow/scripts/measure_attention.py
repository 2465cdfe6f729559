from pathlib import Path

from crosslens.lens.attention import measure_attention
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: measure_attention(
        dataset=job.path("dataset"),
        images=Path(job.local["images"]) if job.local["images"] else None,
        **job.params | {"model": job.local["model"]},
        out=out["attention"],
    )
)
