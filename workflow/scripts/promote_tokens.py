from crosslens.features.promote import promote_tokens
from crosslens.store.job import Job

job = Job(snakemake)


def files(name, out):
    """An SAE, and the artifact of two files that is made of it."""
    out.mkdir(exist_ok=True)
    sae = job.only(name).path("sae")
    return {"sae": sae, "out_table": out / "tokens.parquet", "out": out / "promoted.json"}


job.run(
    lambda out: promote_tokens(
        model=job.local["model"],
        saes=[files(name, path) for name, path in out.items()],
        site=job.params["site"],
    )
)
