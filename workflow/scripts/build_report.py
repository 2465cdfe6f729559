from crosslens.report.build import build_report
from crosslens.store.job import Job

job = Job(snakemake)
figures = {file.stem: file for folder in job.paths("study_figures") for file in folder.glob("*.png")}
for site, folder in job.one_by("layer_figures", "site").items():
    figures |= {f"{site}/{file.stem}": file for file in folder.glob("*.png")}
for place, folder in job.one_by("sweep_figure", "corpus", "site").items():
    figures |= {f"{place}/{file.stem}": file for file in folder.glob("*.png")}
job.run(
    lambda out: build_report(
        **job.params,
        dataset=job.path("dataset_summary"),
        layers=job.one_by("layer", "site"),
        rankings=job.file_by("features", "rankings.json", "corpus", "language", "site"),
        examples=job.one_by("gendered_examples", "corpus", "language", "site"),
        sweeps=job.one_by("sweep", "corpus", "site"),
        stereotype=next(iter(job.paths("stereotype")), None),
        figures=figures,
        out=out["page"],
    )
)
