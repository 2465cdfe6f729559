from crosslens.store.job import Job
from crosslens.summary.layer import layer_summary

job = Job(snakemake)
job.run(
    lambda out: layer_summary(
        site=job.params["site"],
        training=job.file_by("sae", "training.json", "corpus"),
        quality=job.one_by("quality", "corpus", "language"),
        spliced=job.one_by("spliced", "corpus", "language"),
        rankings=job.file_by("features", "rankings.json", "corpus", "language"),
        gender=job.file_by("gender", "gender.json", "corpus", "language"),
        probes={
            **job.one_by("probe_codes", "corpus", "language"),
            **{
                f"activations/{language}": path
                for language, path in job.one_by("probe_activations", "language").items()
            },
        },
        transfer=next(iter(job.paths("gender_transfer")), None),
        retrieval=next(iter(job.paths("retrieval")), None),
        cross_lingual=job.one_by("cross_lingual", "corpus"),
        out=out["layer"],
    )
)
