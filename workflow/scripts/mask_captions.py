from pathlib import Path

from crosslens.data.written import mask_captions
from crosslens.store.job import Job

job = Job(snakemake)
lexicon = job.local["lexicons"].get(job.params["language"])
job.run(
    lambda out: mask_captions(
        dataset=job.path("dataset"),
        written=job.paths("written"),
        lexicon=Path(lexicon) if lexicon else None,
        mask=job.params["mask"],
        language=job.params["language"],
        out=out["dataset"],
    )
)
