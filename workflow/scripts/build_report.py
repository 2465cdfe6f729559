from crosslens.report.build import build_report
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: build_report(
        **job.params,
        files=job.by_kind("corpus", "language", "site"),
        figures=job.files_by(".png", "corpus", "site"),
        out=out["page"],
    )
)
