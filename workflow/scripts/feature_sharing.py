from crosslens.alignment.sharing import feature_sharing
from crosslens.store.job import Job

job = Job(snakemake)


def make(out):
    folder = out["sharing"]
    folder.mkdir(exist_ok=True)
    feature_sharing(
        datasets=job.one_by("dataset", "language"),
        tokens=job.by("tokens", "language"),
        codes=job.one_by("codes", "language"),
        activations=job.by("activations", "language"),
        sae=job.path("sae"),
        pairs=job.params["pairs"],
        alpha=job.params["alpha"],
        seed=job.params["seed"],
        out_table=folder / "features.parquet",
        out=folder / "sharing.json",
    )


job.run(make)
