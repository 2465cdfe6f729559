from crosslens.features.encode import encode
from crosslens.features.quality import measure_quality
from crosslens.store.job import Job

Job(snakemake).each(
    codes=lambda own, out: encode(
        sae=own.path("sae"),
        tokens=own.paths("tokens"),
        activations=own.paths("activations"),
        roles=own.params["roles"],
        out=out,
    ),
    quality=lambda own, out: measure_quality(
        dataset=own.path("dataset"),
        sae=own.path("sae"),
        tokens=own.paths("tokens"),
        activations=own.paths("activations"),
        **own.params,
        out=out,
    ),
)
