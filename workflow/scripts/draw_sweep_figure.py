from crosslens.figures.pareto import draw_sweep_figure
from crosslens.store.job import Job

job = Job(snakemake)
job.run(lambda out: draw_sweep_figure(job.path("sweep"), out["sweep_figure"]))
