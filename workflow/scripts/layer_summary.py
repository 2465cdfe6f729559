from crosslens.store.job import Job
from crosslens.summary.layer import layer_summary

job = Job(snakemake)
job.run(
    lambda out: layer_summary(
        site=job.params["site"],
        training={
            corpus: folder / "training.json"
            for corpus, folder in job.one_by("sae", "corpus").items()
            if (folder / "training.json").exists()  # pretrained SAEs have none
        },
        quality=job.one_by("quality", "corpus", "language"),
        spliced=job.one_by("spliced", "corpus", "language"),
        rankings={
            pair: folder / "rankings.json"
            for pair, folder in job.one_by("features", "corpus", "language").items()
        },
        gender={
            pair: folder / "gender.json"
            for pair, folder in job.one_by("gender", "corpus", "language").items()
        },
        probes={
            **job.one_by("probe_codes", "corpus", "language"),
            **{
                f"activations/{language}": path
                for language, path in job.one_by("probe_activations", "language").items()
            },
        },
        cross_lingual=job.one_by("cross_lingual", "corpus"),
        out=out["layer"],
    )
)
