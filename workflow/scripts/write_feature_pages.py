from pathlib import Path

from crosslens.explorer.page.write import write_feature_pages
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: write_feature_pages(
        **job.params,
        files=job.by_kind("other", "corpus", "language", "site"),
        shown=job.shown_by_kind("other", "corpus", "language", "site"),
        images=Path(job.local["images"]) if job.local["images"] else None,
        out=out["feature_pages"],
    )
)
