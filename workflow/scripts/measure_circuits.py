from crosslens.geometry.circuits import measure_circuits
from crosslens.store.job import Job

job = Job(snakemake)
job.run(lambda out: measure_circuits(model=job.local["model"], out=out["circuits"]))
