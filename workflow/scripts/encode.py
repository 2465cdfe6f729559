from crosslens.features.encode import encode
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: encode(
        sae=job.path("sae"),
        tokens=job.paths("tokens"),
        activations=job.paths("activations"),
        roles=job.params["roles"],
        out=out["codes"],
    )
)
