from crosslens.alignment.matching import match_features
from crosslens.store.job import Job

job = Job(snakemake)


def folder(out):
    """An artifact of two files."""
    out.mkdir(exist_ok=True)
    return out


job.run(
    lambda out: match_features(
        saes={
            language: {seed: job.path("sae", corpus=language, seed=seed) for seed in job.params["seeds"]}
            for language in job.params["languages"]
        },
        frozen=job.one_by("sae", "corpus", variant=job.params["frozen"]) if job.params["frozen"] else {},
        features=job.file_by("features", "features.parquet", "language"),
        datasets=job.one_by("dataset", "language"),
        tokens=job.by("tokens", "language"),
        codes=job.one_by("codes", "language"),
        effects=job.file_by("gender", "effects.parquet", "language"),
        pairs=job.params["pairs"],
        alpha=job.params["alpha"],
        seed=job.params["seed"],
        out_table=folder(out["matching"]) / "pairs.parquet",
        out=out["matching"] / "matching.json",
    )
)
