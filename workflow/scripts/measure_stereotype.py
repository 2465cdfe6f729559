from pathlib import Path

from crosslens.gender.stereotype import measure_stereotype
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: measure_stereotype(
        generated=job.one_by("generated", "language"),
        lexicons={language: Path(path) for language, path in job.local["lexicons"].items()},
        truth=next((source / "truth.json" for source in job.paths("source")), None),
        pairs=job.params["pairs"],
        bootstraps=job.params["bootstraps"],
        alpha=job.params["alpha"],
        seed=job.params["seed"],
        out=out["stereotype"],
    )
)
