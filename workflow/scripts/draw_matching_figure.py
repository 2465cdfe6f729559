from crosslens.figures.matching import draw_matching_figure
from crosslens.store.job import Job

job = Job(snakemake)
job.run(lambda out: draw_matching_figure(matching=job.path("matching"), out=out["matching_figure"]))
