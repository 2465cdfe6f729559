from crosslens.gender.words import probe_words
from crosslens.store.job import Job

job = Job(snakemake)
job.run(lambda out: probe_words(dataset=job.path("dataset"), **job.params, out=out["probe_words"]))
