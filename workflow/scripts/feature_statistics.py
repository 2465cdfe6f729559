from crosslens.features.statistics import feature_statistics
from crosslens.store.job import Job

job = Job(snakemake)


def make(out):
    folder = out["features"]
    folder.mkdir(exist_ok=True)
    feature_statistics(
        dataset=job.path("dataset"),
        tokens=job.paths("tokens"),
        codes=job.path("codes"),
        **job.params,
        out_table=folder / "features.parquet",
        out=folder / "rankings.json",
    )


job.run(make)
