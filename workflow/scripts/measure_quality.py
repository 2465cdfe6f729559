from crosslens.features.quality import measure_quality
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: measure_quality(
        dataset=job.path("dataset"),
        sae=job.path("sae"),
        tokens=job.paths("tokens"),
        activations=job.paths("activations"),
        roles=job.params["roles"],
        seed=job.params["seed"],
        out=out["quality"],
    )
)
