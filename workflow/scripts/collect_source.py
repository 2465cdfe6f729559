from crosslens.sources.write import collect_source
from crosslens.store.job import Job

job = Job(snakemake)
job.run(lambda out: collect_source(out["source"], **job.local["names"]))
