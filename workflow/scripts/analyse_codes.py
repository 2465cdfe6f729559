from crosslens.alignment.counterparts import find_counterparts
from crosslens.explorer.dashboards import feature_dashboards
from crosslens.features.concepts import search_concepts
from crosslens.features.statistics import feature_statistics
from crosslens.gender.cross_lingual import cross_lingual_bias
from crosslens.gender.effects import gender_effects
from crosslens.gender.examples import gendered_examples
from crosslens.gender.grammar import measure_grammar
from crosslens.gender.probes import probe_codes
from crosslens.gender.robustness import gender_robustness
from crosslens.store.job import Job


def read(own):
    """What every analysis of one SAE's codes in one language reads."""
    return {"dataset": own.path("dataset"), "tokens": own.paths("tokens"), "codes": own.path("codes")}


def effects(own, file):
    """Of what is said of the features of these codes, those of given captions or of the model's own."""
    return [*own.paths("gender"), *own.paths("written_gender")][0] / file


def retrained(own):
    """The SAEs beside the one that the analyses read: of other seeds and architectures, by name."""
    seeds = {f"seed_{seed}": own.path("sae", seed=seed) for seed in own.params["seeds"]}
    return seeds | {variant: own.path("sae", variant=variant) for variant in own.params["architectures"]}


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
    dashboards=lambda own, out: feature_dashboards(
        datasets=own.one_by("dataset", "language"),
        tokens=own.by("tokens", "language"),
        codes=own.one_by("codes", "language"),
        sae=own.path("sae"),
        **own.params,
        out=out,
    ),
    concepts=lambda own, out: search_concepts(**read(own), **own.params, out=out),
    gender=lambda own, out: gender_effects(
        **read(own), **own.params, out_table=folder(out) / "effects.parquet", out=out / "gender.json"
    ),
    counterparts=lambda own, out: find_counterparts(
        sae=own.path("sae", seed=own.params["first"]), others=retrained(own), out=out
    ),
    gender_robustness=lambda own, out: gender_robustness(
        **read(own),
        effects=effects(own, "effects.parquet"),
        gender=effects(own, "gender.json"),
        seeds={f"seed_{seed}": codes for seed, codes in own.one_by("seed_codes", "seed").items()},
        architectures=own.one_by("swept_codes", "variant"),
        counterparts=next(iter(own.paths("counterparts")), None),
        **{name: own.params[name] for name in ("conditions", "alpha", "seed", "language")},
        out=out,
    ),
    grammar=lambda own, out: measure_grammar(
        **read(own),
        effects=own.path("gender") / "effects.parquet",
        **{name: own.params[name] for name in ("language", "alpha", "morphology", "permutations", "seed")},
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
