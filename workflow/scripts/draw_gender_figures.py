from crosslens.figures.gender_study import gender_figures
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: gender_figures(
        layers=job.one_by("layer", "site"),
        stereotype=next(iter(job.paths("stereotype")), None),
        out=out["gender_figures"],
    )
)
