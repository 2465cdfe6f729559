from crosslens.interventions.counterfactual import clamp_features
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: clamp_features(
        dataset=job.path("dataset"),
        tokens=job.paths("tokens"),
        codes=job.path("codes"),
        sae=job.path("sae"),
        **job.params | {"model": job.local["model"]},
        out=out["clamp"],
    )
)
