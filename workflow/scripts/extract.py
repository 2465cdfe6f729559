from pathlib import Path

from crosslens.activations.extract import extract
from crosslens.store.job import Job

ALONE = "alone."

job = Job(snakemake)
own = next(iter(job.paths("written")), None)
job.run(
    lambda out: extract(
        dataset=own or job.path("dataset"),
        kind="written" if own else "dataset",
        images=Path(job.local["images"]) if job.local["images"] else None,
        rows=tuple(job.params["rows"]),
        model=job.local["model"],
        sites={name: path for name, path in out.items() if name != "tokens" and not name.startswith(ALONE)},
        tokens=out.get("tokens"),
        batch_tokens=job.params["batch_tokens"],
        shard_bytes=round(job.params["shard_mb"] * 2**20),
        language=job.params["language"],
        dtype=job.params["dtype"],
        roles=job.params["roles"],
        alone={name[len(ALONE) :]: path for name, path in out.items() if name.startswith(ALONE)},
    )
)
