from crosslens.figures.steering import draw_steering_figures
from crosslens.store.job import Job

job = Job(snakemake)
job.run(lambda out: draw_steering_figures(steering=job.path("steering"), out=out["steering_figures"]))
