from pathlib import Path

from crosslens.figures.attention import draw_attention_figure
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: draw_attention_figure(
        attention=job.one_by("attention", "language"),
        images=Path(job.local["images"]) if job.local["images"] else None,
        out=out["attention_figure"],
    )
)
