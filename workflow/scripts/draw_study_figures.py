from crosslens.figures.study import study_figures
from crosslens.store.job import Job

job = Job(snakemake)
job.run(lambda out: study_figures(layers=job.one_by("layer", "site"), out=out["study_figures"]))
