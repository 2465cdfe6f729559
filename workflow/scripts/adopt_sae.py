from crosslens.sae.exchange.adopt import adopt_sae
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: adopt_sae(
        job.local["source"],
        out["sae"],
        identity=job.params["identity"],
        called=job.params["called"],
        width=job.local["width"],
        centre=job.params["centre"],
    )
)
