from crosslens.alignment.retrieval import caption_retrieval
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: caption_retrieval(
        datasets=job.one_by("dataset", "language"),
        tokens=job.by("tokens", "language"),
        activations=job.by("activations", "language"),
        **job.params,
        out=out["retrieval"],
    )
)
