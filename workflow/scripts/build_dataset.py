from pathlib import Path

from crosslens.data.dataset import build_dataset
from crosslens.store.job import Job

job = Job(snakemake)
splits = dict(job.params["splits"])
job.run(
    lambda out: build_dataset(
        captions=Path(job.local["captions"]),
        images=Path(job.local["images"]) if job.local["images"] else None,
        columns=job.params["columns"],
        prompts=job.params["prompts"],
        lexicons={language: Path(path) for language, path in job.local["lexicons"].items()},
        gender=job.params["gender"],
        mask=job.params["mask"],
        text=job.params["text"],
        seed=splits.pop("seed"),
        splits=splits,
        languages=list(job.params["prompts"]),
        out={language: path for language, path in out.items() if language != "summary"},
        out_summary=out.get("summary"),
    )
)
