from pathlib import Path

from crosslens.report.live.pack import pack_live_page
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: pack_live_page(
        # small as it is, and no rule of a GPU
        model=job.local["model"] | {"device": "cpu", "device_map": None},
        images=Path(job.local["images"]) if job.local["images"] else None,
        tokenizer=Path(job.local["model"]["id"]) / "tokenizer.json",
        datasets=job.one_by("dataset", "language"),
        tokens=job.by("tokens", "language"),
        saes=job.one_by("sae", "corpus", "site"),
        codes=job.one_by("codes", "corpus", "language", "site"),
        promoted=job.one_by("promoted", "corpus", "site"),
        effects=job.one_by("gender", "corpus", "language", "site"),
        lexicons={
            language: Path(file)
            for language, file in job.local["lexicons"].items()
            if language in job.params["lexicons"]
        },
        out=out["live"],
        **{name: job.params[name] for name in ("words", "roles", "condition")},
    )
)
