from pathlib import Path

from crosslens.interventions.feature_patching import patch_features
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: patch_features(
        model=job.local["model"],
        images=Path(job.local["images"]) if job.local["images"] else None,
        datasets=job.one_by("dataset", "language"),
        sae=job.path("sae"),
        out=out["feature_patching"],
        **{name: value for name, value in job.params.items() if name not in ("model", "languages")},
    )
)
