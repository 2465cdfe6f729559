from crosslens.descriptions.detections import ask_detections
from crosslens.descriptions.labels import ask_labels
from crosslens.store.job import Job

Job(snakemake).each(
    asked_labels=lambda own, out: ask_labels(
        described=own.path("described"), **own.params, **own.local, out=out
    ),
    asked_detections=lambda own, out: ask_detections(
        described=own.path("described"), labels=own.path("asked_labels"), **own.params, **own.local, out=out
    ),
)
