from crosslens.figures.gender_study import gender_figures
from crosslens.figures.study import study_figures
from crosslens.store.job import Job

Job(snakemake).each(
    study_figures=lambda own, out: study_figures(layers=own.one_by("layer", "site"), out=out),
    gender_figures=lambda own, out: gender_figures(
        layers=own.one_by("layer", "site"), stereotype=next(iter(own.paths("stereotype")), None), out=out
    ),
)
