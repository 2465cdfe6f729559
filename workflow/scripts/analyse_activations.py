from crosslens.alignment.representations import representations
from crosslens.alignment.retrieval import caption_retrieval
from crosslens.gender.probes import probe_activations
from crosslens.gender.transfer import gender_transfer
from crosslens.store.job import Job


def read(own):
    """Tables, tokens and activations of every language."""
    return {
        "datasets": own.one_by("dataset", "language"),
        "tokens": own.by("tokens", "language"),
        "activations": own.by("activations", "language"),
    }


Job(snakemake).each(
    probe_activations=lambda own, out: probe_activations(
        dataset=own.path("dataset"),
        tokens=own.paths("tokens"),
        activations=own.paths("activations"),
        conditions=own.params["conditions"],
        seed=own.params["seed"],
        out=out,
    ),
    gender_transfer=lambda own, out: gender_transfer(**read(own), **own.params, out=out),
    representations=lambda own, out: representations(
        **read(own), alone=own.by("text_alone", "language"), **own.params, out=out
    ),
    retrieval=lambda own, out: caption_retrieval(
        **read(own), alone=own.by("text_alone", "language"), **own.params, out=out
    ),
)
