from crosslens.store.job import Job
from crosslens.summary.sweep import compare_settings

job = Job(snakemake)


def by_variant(kind):
    """Paths by variant and language; the study's own SAE has no variant."""
    found = {}
    for entry in job.inputs:
        if entry["kind"] == kind:
            variant = entry["wildcards"].get("variant")
            found.setdefault(variant, {})[entry["wildcards"]["language"]] = job.object(entry)
    return found


job.run(
    lambda out: compare_settings(
        site=job.params["site"],
        corpus=job.params["corpus"],
        variants=job.params["variants"],
        quality=by_variant("quality"),
        spliced=by_variant("spliced"),
        out=out["sweep"],
    )
)
