from crosslens.features.encode import encode
from crosslens.features.quality import measure_quality
from crosslens.store.job import Job


def read(own):
    """What codes are made from: those of the study's own SAE, of another seed or of a sweep."""
    return {
        "sae": own.path("sae"),
        "tokens": own.paths("tokens"),
        "activations": own.paths("activations"),
        "roles": own.params["roles"],
    }


Job(snakemake).each(
    codes=lambda own, out: encode(**read(own), out=out),
    seed_codes=lambda own, out: encode(**read(own), out=out),
    swept_codes=lambda own, out: encode(**read(own), out=out),
    quality=lambda own, out: measure_quality(
        dataset=own.path("dataset"),
        sae=own.path("sae"),
        tokens=own.paths("tokens"),
        activations=own.paths("activations"),
        **own.params,
        out=out,
    ),
)
