from crosslens.figures.controls import draw_controls
from crosslens.store.job import Job

job = Job(snakemake)
job.run(lambda out: draw_controls(controls=job.path("controls"), out=out["control_figure"]))
