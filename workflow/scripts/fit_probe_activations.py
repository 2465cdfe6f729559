from crosslens.gender.probes import probe_activations
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: probe_activations(
        dataset=job.path("dataset"),
        tokens=job.paths("tokens"),
        activations=job.paths("activations"),
        conditions=job.params["conditions"],
        seed=job.params["seed"],
        out=out["probe_activations"],
    )
)
