from pathlib import Path

from crosslens.store.job import Job
from crosslens.tokens.inspect import inspect_tokens

job = Job(snakemake)
job.run(
    lambda out: inspect_tokens(
        datasets=job.one_by("dataset", "language"),
        images=Path(job.local["images"]) if job.local["images"] else None,
        **job.params | {"model": job.local["model"]},
        out=out["token_inspection"],
    )
)
