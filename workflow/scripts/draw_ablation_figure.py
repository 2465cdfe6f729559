from crosslens.figures.ablation import draw_ablation_figure
from crosslens.store.job import Job

job = Job(snakemake)
job.run(lambda out: draw_ablation_figure(ablation=job.path("ablation"), out=out["ablation_figure"]))
