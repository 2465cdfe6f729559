from crosslens.descriptions.examples import choose_examples
from crosslens.descriptions.ngrams import label_by_ngrams
from crosslens.store.job import Job


def read(own):
    """What both read of every language of one SAE."""
    return {
        "datasets": own.one_by("dataset", "language"),
        "tokens": own.by("tokens", "language"),
        "codes": own.one_by("codes", "language"),
    }


Job(snakemake).each(
    described=lambda own, out: choose_examples(
        **read(own),
        statistics=own.file_by("features", "features.parquet", "language"),
        gender=own.file_by("gender", "gender.json", "language"),
        promoted=own.path("promoted"),
        **own.params,
        out=out,
    ),
    ngram_labels=lambda own, out: label_by_ngrams(described=own.path("described"), **read(own), out=out),
)
