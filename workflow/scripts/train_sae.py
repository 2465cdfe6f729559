from crosslens.sae.training import train_sae
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: train_sae(
        datasets=job.one_by("dataset", "language"),
        tokens=job.by("tokens", "language"),
        activations=job.by("activations", "language"),
        identity=job.params["identity"],
        settings=job.params["settings"],
        device=job.local["model"]["device"],
        out=out["sae"],
    )
)
