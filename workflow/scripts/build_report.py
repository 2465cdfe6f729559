from pathlib import Path

from crosslens.report.build import build_report
from crosslens.store.job import Job

job = Job(snakemake)
PLACED = {
    "study_figures": (),
    "gender_figures": (),
    "layer_figures": ("site",),
    "gender_layer_figures": ("site",),
    "sweep_figure": ("corpus", "site"),
}


def figures():
    """Every picture by its place on the page."""
    return {
        "/".join([*(entry["wildcards"][name] for name in PLACED[entry["kind"]]), Path(file).stem]): (
            job.object(entry) / file
        )
        for entry in job.inputs
        if entry["kind"] in PLACED
        for file in entry["files"]
    }


job.run(
    lambda out: build_report(
        **job.params,
        dataset=job.path("dataset_summary"),
        layers=job.one_by("layer", "site"),
        rankings=job.file_by("features", "rankings.json", "corpus", "language", "site"),
        examples=job.one_by("gendered_examples", "corpus", "language", "site"),
        sweeps=job.one_by("sweep", "corpus", "site"),
        stereotype=next(iter(job.paths("stereotype")), None),
        figures=figures(),
        out=out["page"],
    )
)
