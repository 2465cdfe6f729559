from pathlib import Path

from crosslens.activations.extract import extract
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: extract(
        dataset=job.path("dataset"),
        images=Path(job.local["images"]) if job.local["images"] else None,
        rows=tuple(job.params["rows"]),
        model=job.local["model"],
        sites={site: path for site, path in out.items() if site != "tokens"},
        tokens=out.get("tokens"),
        batch_tokens=job.params["batch_tokens"],
        shard_bytes=round(job.params["shard_mb"] * 2**20),
        language=job.params["language"],
        dtype=job.params["dtype"],
        roles=job.params["roles"],
    )
)
