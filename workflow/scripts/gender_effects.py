from crosslens.gender.effects import gender_effects
from crosslens.store.job import Job

job = Job(snakemake)


def make(out):
    folder = out["gender"]
    folder.mkdir(exist_ok=True)
    gender_effects(
        dataset=job.path("dataset"),
        tokens=job.paths("tokens"),
        codes=job.path("codes"),
        **job.params,
        out_table=folder / "effects.parquet",
        out=folder / "gender.json",
    )


job.run(make)
