from crosslens.gender.transfer import gender_transfer
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: gender_transfer(
        datasets=job.one_by("dataset", "language"),
        tokens=job.by("tokens", "language"),
        activations=job.by("activations", "language"),
        **job.params,
        out=out["gender_transfer"],
    )
)
