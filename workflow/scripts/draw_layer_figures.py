from crosslens.figures.layer import layer_figures
from crosslens.store.job import Job

job = Job(snakemake)
gender = job.one_by("gender", "corpus", "language")
job.run(
    lambda out: layer_figures(
        site=job.params["site"],
        training={
            corpus: folder / "training.json"
            for corpus, folder in job.one_by("sae", "corpus").items()
            if (folder / "training.json").exists()  # pretrained SAEs have none
        },
        quality=job.one_by("quality", "corpus", "language"),
        effects={pair: folder / "effects.parquet" for pair, folder in gender.items()},
        gender={pair: folder / "gender.json" for pair, folder in gender.items()},
        cross_lingual=job.one_by("cross_lingual", "corpus"),
        out=out["layer_figures"],
    )
)
