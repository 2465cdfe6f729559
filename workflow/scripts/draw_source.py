from crosslens.planted.source import draw_source
from crosslens.store.job import Job

job = Job(snakemake)
job.run(lambda out: draw_source(out["source"], **job.params))
