from crosslens.report.build import build_report
from crosslens.report.writing.summary import write_summary
from crosslens.report.writing.tables import write_tables
from crosslens.store.job import Job

PLACE = ("corpus", "language", "site")
Job(snakemake).each(
    page=lambda own, out: build_report(
        **own.params,
        files=own.by_kind(*PLACE),
        figures=own.files_by(".png", "corpus", "site"),
        out=out,
    ),
    write_up=lambda own, out: write_summary(
        **own.params, files=own.by_kind(*PLACE), shown=own.shown_by_kind(*PLACE), out=out
    ),
    summary_tables=lambda own, out: write_tables(**own.params, files=own.by_kind(*PLACE), out=out),
)
