from crosslens.store.job import Job
from crosslens.summary.layer import layer_summary

job = Job(snakemake)
job.run(
    lambda out: layer_summary(
        site=job.params["site"], files=job.by_kind("corpus", "language"), out=out["layer"]
    )
)
