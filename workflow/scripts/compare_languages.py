from crosslens.gender.cross_lingual import cross_lingual_bias
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: cross_lingual_bias(
        effects=job.file_by("gender", "effects.parquet", "language"),
        datasets=job.one_by("dataset", "language"),
        tokens=job.by("tokens", "language"),
        codes=job.one_by("codes", "language"),
        conditions=job.params["conditions"],
        bootstraps=job.params["bootstraps"],
        permutations=job.params["permutations"],
        seed=job.params["seed"],
        out=out["cross_lingual"],
    )
)
