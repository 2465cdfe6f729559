from pathlib import Path

from crosslens.store.job import Job
from crosslens.tokens.inspect import inspect_tokens

job = Job(snakemake)
model = job.local["model"] | {"name": job.params["model"]["name"]}
job.run(
    lambda out: inspect_tokens(
        datasets=job.one_by("dataset", "language"),
        images=Path(job.local["images"]) if job.local["images"] else None,
        **job.params | {"model": model},
        out=out["token_inspection"],
    )
)
