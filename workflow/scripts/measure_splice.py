from pathlib import Path

from crosslens.features.splice import measure_splice
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: measure_splice(
        model=job.local["model"],
        dataset=job.path("dataset"),
        images=Path(job.local["images"]) if job.local["images"] else None,
        sae=job.path("sae"),
        site=job.params["site"],
        roles=job.params["roles"],
        max_samples=job.params["max_samples"],
        seed=job.params["seed"],
        batch=job.params["batch"],
        out=out["spliced"],
    )
)
