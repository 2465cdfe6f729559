from crosslens.store.job import Job
from crosslens.summary.study import study_summary

job = Job(snakemake)
job.run(
    lambda out: study_summary(
        **job.params,
        layers=job.one_by("layer", "site"),
        stereotype=next(iter(job.paths("stereotype")), None),
        agreement=job.file_by("agreement", "agreement.json", "language"),
        out=out["summary"],
    )
)
