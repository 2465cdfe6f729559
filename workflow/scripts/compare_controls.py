from crosslens.store.job import Job
from crosslens.summary.controls import compare_controls

job = Job(snakemake)
job.run(
    lambda out: compare_controls(
        summaries=list(job.one_by("summary", "study").values()), **job.params, out=out["controls"]
    )
)
