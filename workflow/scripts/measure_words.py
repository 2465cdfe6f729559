from crosslens.gender.words import measure_words
from crosslens.store.job import Job

job = Job(snakemake)
job.run(lambda out: measure_words(dataset=job.path("dataset"), **job.params, out=out["probe_words"]))
