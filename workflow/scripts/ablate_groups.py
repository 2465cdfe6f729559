from pathlib import Path

from crosslens.interventions.groups import ablate_groups
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: ablate_groups(
        model=job.local["model"],
        images=Path(job.local["images"]) if job.local["images"] else None,
        datasets=job.one_by("dataset", "language"),
        tokens=job.by("tokens", "language"),
        codes=job.one_by("codes", "language"),
        effects=job.one_by("gender", "language"),
        sae=job.path("sae"),
        out=out["group_ablation"],
        **{name: value for name, value in job.params.items() if name not in ("model", "languages")},
    )
)
