from crosslens.gender.agreement import measure_agreement
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: measure_agreement(
        dataset=job.path("dataset"),
        **job.params | {"model": job.local["model"]},
        out=out["agreement"],
    )
)
