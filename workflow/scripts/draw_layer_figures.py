from crosslens.figures.layer import layer_figures
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: layer_figures(
        site=job.params["site"],
        training=job.file_by("sae", "training.json", "corpus"),
        quality=job.one_by("quality", "corpus", "language"),
        out=out["layer_figures"],
    )
)
