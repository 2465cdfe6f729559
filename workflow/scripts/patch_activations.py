from pathlib import Path

from crosslens.interventions.patching import patch_activations
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: patch_activations(
        model=job.local["model"],
        images=Path(job.local["images"]) if job.local["images"] else None,
        datasets=job.one_by("dataset", "language"),
        out=out["patching"],
        **{name: value for name, value in job.params.items() if name not in ("model", "languages")},
    )
)
