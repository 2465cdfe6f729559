from crosslens.figures.study import study_figures
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: study_figures(
        layers=job.one_by("layer", "site"),
        stereotype=next(iter(job.paths("stereotype")), None),
        out=out["study_figures"],
    )
)
