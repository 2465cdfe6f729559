from crosslens.figures.controls import control_figure
from crosslens.store.job import Job

job = Job(snakemake)
job.run(lambda out: control_figure(controls=job.path("controls"), out=out["control_figure"]))
