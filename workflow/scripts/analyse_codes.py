from crosslens.features.concepts import search_concepts
from crosslens.features.statistics import feature_statistics
from crosslens.gender.cross_lingual import cross_lingual_bias
from crosslens.gender.effects import gender_effects
from crosslens.gender.examples import gendered_examples
from crosslens.gender.grammar import measure_grammar
from crosslens.gender.probes import probe_codes
from crosslens.store.job import Job


def read(own):
    """What every analysis of one SAE's codes in one language reads."""
    return {"dataset": own.path("dataset"), "tokens": own.paths("tokens"), "codes": own.path("codes")}


def folder(out):
    """An artifact of two files."""
    out.mkdir(exist_ok=True)
    return out


Job(snakemake).each(
    features=lambda own, out: feature_statistics(
        **read(own),
        **own.params,
        out_table=folder(out) / "features.parquet",
        out=out / "rankings.json",
    ),
    concepts=lambda own, out: search_concepts(**read(own), **own.params, out=out),
    gender=lambda own, out: gender_effects(
        **read(own), **own.params, out_table=folder(out) / "effects.parquet", out=out / "gender.json"
    ),
    grammar=lambda own, out: measure_grammar(
        **read(own),
        effects=own.path("gender") / "effects.parquet",
        **own.params,
        out_table=folder(out) / "features.parquet",
        out=out / "grammar.json",
    ),
    probe_codes=lambda own, out: probe_codes(
        **read(own), conditions=own.params["conditions"], seed=own.params["seed"], out=out
    ),
    gendered_examples=lambda own, out: gendered_examples(
        **read(own), gender=own.path("gender") / "gender.json", **own.params, out=out
    ),
    cross_lingual=lambda own, out: cross_lingual_bias(
        effects=own.file_by("gender", "effects.parquet", "language"),
        datasets=own.one_by("dataset", "language"),
        tokens=own.by("tokens", "language"),
        codes=own.one_by("codes", "language"),
        pairs=own.params["pairs"],
        conditions=own.params["conditions"],
        bootstraps=own.params["bootstraps"],
        permutations=own.params["permutations"],
        seed=own.params["seed"],
        out=out,
    ),
)
