from crosslens.generation.texts import generate_texts
from crosslens.store.job import Job

job = Job(snakemake)
generation, splits = dict(job.params["generation"]), dict(job.params["splits"])
samples, split_seed = generation.pop("samples"), splits.pop("seed")
job.run(
    lambda out: generate_texts(
        model=job.local["model"],
        prompts=job.params["prompts"],
        language=job.params["language"],
        samples_per_prompt=samples,
        **generation,
        splits=splits,
        split_seed=split_seed,
        out_table=out.get("table"),
        out_metadata=out.get("metadata"),
        out_summary=out.get("summary"),
    )
)
