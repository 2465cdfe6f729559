from crosslens.sources.write import write_source
from crosslens.store.job import Job

job = Job(snakemake)
job.run(lambda out: write_source(out["source"], **job.local["names"]))
