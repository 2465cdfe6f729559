from crosslens.store.job import Job
from crosslens.summary.verdicts import judge_claims

job = Job(snakemake)
job.run(lambda out: judge_claims(summaries=job.one_by("summary", "study"), **job.params, out=out["verdicts"]))
