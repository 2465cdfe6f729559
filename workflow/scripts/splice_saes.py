from pathlib import Path

from crosslens.features.splice import splice_saes
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: splice_saes(
        model=job.local["model"],
        images=Path(job.local["images"]) if job.local["images"] else None,
        splices=[
            {"dataset": job.only(name).path("dataset"), "sae": job.only(name).path("sae"), "out": path}
            for name, path in out.items()
        ],
        **{name: value for name, value in job.params.items() if name != "model"},
    )
)
