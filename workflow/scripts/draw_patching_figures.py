from crosslens.figures.patching import draw_patching_figures
from crosslens.store.job import Job

job = Job(snakemake)
job.run(lambda out: draw_patching_figures(patching=job.path("patching"), out=out["patching_figures"]))
