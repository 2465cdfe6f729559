from crosslens.store.job import Job
from crosslens.summary.divergence import compare_layers

job = Job(snakemake)
job.run(
    lambda out: compare_layers(
        layers=job.one_by("layer", "site"),
        representations=job.one_by("representations", "site"),
        out=out["divergence"],
    )
)
