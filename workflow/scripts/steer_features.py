from pathlib import Path

from crosslens.interventions.steering import steer_features
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: steer_features(
        model=job.local["model"],
        images=Path(job.local["images"]) if job.local["images"] else None,
        datasets=job.one_by("dataset", "language"),
        tokens=job.by("tokens", "language"),
        activations=job.by("activations", "language"),
        codes=job.one_by("codes", "language"),
        effects=job.one_by("gender", "language"),
        lexicons={language: Path(file) for language, file in job.local["lexicons"].items()},
        sae=job.path("sae"),
        out=out["steering"],
        **{
            name: value
            for name, value in job.params.items()
            if name not in ("model", "languages", "lexicons")
        },
    )
)
