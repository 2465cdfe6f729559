from pathlib import Path

from crosslens.interventions.substitution import substitute_features
from crosslens.store.job import Job

job = Job(snakemake)
NAMED = ("model", "languages", "seeds", "frozen")
job.run(
    lambda out: substitute_features(
        model=job.local["model"],
        images=Path(job.local["images"]) if job.local["images"] else None,
        datasets=job.one_by("dataset", "language"),
        saes={
            language: {seed: job.path("sae", corpus=language, seed=seed) for seed in job.params["seeds"]}
            for language in job.params["languages"]
        },
        frozen=job.one_by("sae", "corpus", variant=job.params["frozen"]) if job.params["frozen"] else {},
        features=job.file_by("features", "features.parquet", "language"),
        out=out["substitution"],
        **{name: value for name, value in job.params.items() if name not in NAMED},
    )
)
