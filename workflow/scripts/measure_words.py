from crosslens.gender.words import measure_words
from crosslens.store.job import Job

Job(snakemake).each(
    probe_words=lambda own, out: measure_words(dataset=own.path("dataset"), **own.params, out=out),
)
