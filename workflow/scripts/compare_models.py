from crosslens.store.job import Job
from crosslens.tokens.compare import compare_models

job = Job(snakemake)
settings = {name: value for name, value in job.params.items() if name != "studies"}
job.run(
    lambda out: compare_models(
        tokens=job.by("tokens", "study"),
        activations={
            study: job.by("activations", "site", study=study) for study in job.by("activations", "study")
        },
        datasets=job.one_by("dataset", "study"),
        **settings,
        out=out["model_comparison"],
    )
)
