from crosslens.gender.examples import gendered_examples
from crosslens.store.job import Job

job = Job(snakemake)
job.run(
    lambda out: gendered_examples(
        dataset=job.path("dataset"),
        tokens=job.paths("tokens"),
        codes=job.path("codes"),
        gender=job.path("gender") / "gender.json",
        **job.params,
        out=out["gendered_examples"],
    )
)
