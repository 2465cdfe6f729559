from crosslens.figures.substitution import draw_substitution_figure
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: draw_substitution_figure(
        substitution=job.path("substitution"), out=out["substitution_figure"]
    )
)
