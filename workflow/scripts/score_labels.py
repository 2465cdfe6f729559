from crosslens.descriptions.scores import score_labels
from crosslens.store.job import Job

job = Job(snakemake)
asked = {
    name: path
    for name, kind in (("labels", "asked_labels"), ("detections", "asked_detections"))
    for path in job.paths(kind)
}
job.run(
    lambda out: score_labels(
        described=job.path("described"), ngrams=job.path("ngram_labels"), **asked, out=out["descriptions"]
    )
)
