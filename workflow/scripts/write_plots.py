from crosslens.report.plots.write import write_plots
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: write_plots(**job.params, figures=job.files_by(".csv", "corpus", "site"), out=out["plots"])
)
