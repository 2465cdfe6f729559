from crosslens.figures.agreement import agreement_figure
from crosslens.figures.gender_study import gender_figures
from crosslens.figures.grammar import grammar_figure
from crosslens.figures.study import study_figures
from crosslens.store.job import Job

Job(snakemake).each(
    study_figures=lambda own, out: study_figures(layers=own.one_by("layer", "site"), out=out),
    agreement_figure=lambda own, out: agreement_figure(
        agreement=own.file_by("agreement", "agreement.json", "language"), out=out
    ),
    grammar_figure=lambda own, out: grammar_figure(layers=own.one_by("layer", "site"), out=out),
    gender_figures=lambda own, out: gender_figures(
        layers=own.one_by("layer", "site"), stereotype=next(iter(own.paths("stereotype")), None), out=out
    ),
)
