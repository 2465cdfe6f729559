from crosslens.figures.lens import draw_lens_figure
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: draw_lens_figure(
        readings=job.file_by("lens_reading", "lens.json", "language"), out=out["lens_figure"]
    )
)
