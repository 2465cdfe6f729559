from pathlib import Path

from crosslens.sources.mt_geneval_table import collect_mt_geneval
from crosslens.store.job import Job

job = Job(snakemake)
settings = job.local["settings"]
job.run(
    lambda out: collect_mt_geneval(
        out["source"],
        folder=Path(settings["folder"]),
        languages=job.params["languages"],
        messages=settings["messages"],
    )
)
