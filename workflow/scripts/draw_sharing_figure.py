from crosslens.figures.sharing import draw_sharing_figure
from crosslens.store.job import Job

job = Job(snakemake)
job.run(lambda out: draw_sharing_figure(sharing=job.path("sharing"), out=out["sharing_figure"]))
