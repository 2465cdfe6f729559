from crosslens.figures.divergence import draw_divergence_figure
from crosslens.store.job import Job

job = Job(snakemake)
job.run(lambda out: draw_divergence_figure(divergence=job.path("divergence"), out=out["divergence_figure"]))
