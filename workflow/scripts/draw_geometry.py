from crosslens.figures.geometry import geometry_figures
from crosslens.store.job import Job

Job(snakemake).each(
    geometry_figures=lambda own, out: geometry_figures(
        layers=own.one_by("layer", "site"), circuits=next(iter(own.paths("circuits")), None), out=out
    )
)
