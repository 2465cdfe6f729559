from crosslens.figures.gender_layer import gender_layer_figures
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: gender_layer_figures(
        site=job.params["site"],
        effects=job.file_by("gender", "effects.parquet", "corpus", "language"),
        gender=job.file_by("gender", "gender.json", "corpus", "language"),
        cross_lingual=job.one_by("cross_lingual", "corpus"),
        out=out["gender_layer_figures"],
    )
)
