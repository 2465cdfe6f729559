from crosslens.gender.probes import probe_codes
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: probe_codes(
        dataset=job.path("dataset"),
        tokens=job.paths("tokens"),
        codes=job.path("codes"),
        conditions=job.params["conditions"],
        seed=job.params["seed"],
        out=out["probe_codes"],
    )
)
