from crosslens.models.gguf import prepare_model
from crosslens.store.job import Job

job = Job(snakemake)
job.run(lambda out: prepare_model(source=job.local["source"], out=out["model"]))
