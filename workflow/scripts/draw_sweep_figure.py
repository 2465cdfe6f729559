from crosslens.figures.pareto import draw_sweep
from crosslens.store.job import Job

job = Job(snakemake)
job.run(lambda out: draw_sweep(job.path("sweep"), out["sweep_figure"]))
