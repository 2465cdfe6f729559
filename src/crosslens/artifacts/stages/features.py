"""What the SAEs are worth and what their features do, on tokens they were not trained on; a sweep of their settings."""

from dataclasses import replace
from typing import Any

from crosslens.artifacts.kinds import Amount, At, Kind, Need, Work
from crosslens.artifacts.needs import (
    codes_of,
    each_pair,
    each_sae,
    each_swept_pair,
    encoded,
    features_of,
    first_sae,
    gendered_pairs,
    languages_of,
    model_files,
    model_mb,
    model_of,
    model_place,
    other_architectures,
    other_seeds,
    samples_of,
    source_of,
)

SPLICE_PASSES = 5
"""Clean, identity, spliced, zero and mean."""


def quality_params(at: At) -> dict[str, Any]:
    """Which tokens, and the seed of the baselines."""
    return {"roles": at.settings["sae"]["roles"], "seed": at.settings["quality"]["seed"]}


def quality_needs(at: At) -> list[Need]:
    """An SAE and held-out tokens."""
    return [samples_of(at), *encoded(at)]


def splice_params(at: At) -> dict[str, Any]:
    """Model, site and samples."""
    return quality_params(at) | {
        "model": at.study.model.identity,
        "site": at["site"],
        "max_samples": at.settings["quality"]["spliced_samples"],
        "batch": at.settings["quality"]["batch"],
    }


def splice_needs(at: At) -> list[Need]:
    """An SAE and the held-out samples that the model reads."""
    return [samples_of(at), first_sae(at), *model_of(at)]


def sweep_needs(at: At):
    """Quality and splices of the study's own SAE and of every variant, in each language of the corpus."""
    for language in languages_of(at):
        place = at.moved(language=language)
        for kind in ("quality", "spliced"):
            yield place.need(kind, "corpus", "language", "site")
        for variant in at.study.variants:
            for kind in ("swept_quality", "swept_spliced"):
                yield place.need(kind, "corpus", "language", "site", variant=variant)


def each_sweep(at: At) -> list[dict[str, str]]:
    """Every corpus and site whose settings are compared."""
    return [
        {"corpus": corpus, "site": site}
        for site in (at.study.sae_sites if at.study.variants else [])
        for corpus in at.study.corpora
    ]


def settings_of(at: At, reading: Any) -> Any:
    """Of the SAE that is analysed."""
    return reading.sae_settings(at.study.variants[at["variant"]] if "variant" in at else {})


def encoding(at: At, reading: Any) -> Amount:
    """All tokens that SAEs read, through the SAE."""
    return Amount(
        "encoding",
        reading.trained_rows(at["language"]) * settings_of(at, reading).d_sae * reading.model.d_model,
    )


def measuring(at: At, reading: Any) -> Amount:
    """Tokens of test, through the SAE and its random baseline."""
    held_out = 2 * at.study.shares["test"] * reading.trained_rows(at["language"])
    return Amount("encoding", held_out * settings_of(at, reading).d_sae * reading.model.d_model)


def splicing(at: At, reading: Any) -> Amount:
    """Whole passes over test samples, and one to the site over train samples, for the mean that ablates."""
    chosen, share = at.settings["quality"], at.study.shares
    train, test = (
        min(chosen["spliced_samples"], reading.samples * share[name]) for name in ("train", "test")
    )
    blocks = int(at["site"].split(".")[0]) + 1
    flops = SPLICE_PASSES * reading.pass_flops(at["language"], test, reading.model.depth)
    return Amount(
        "forward",
        flops + reading.pass_flops(at["language"], train, blocks),
        (SPLICE_PASSES * test + train) / chosen["batch"],
    )


def counting(at: At, reading: Any) -> Amount:
    """Entries of the codes."""
    return Amount(
        "statistics", reading.trained_rows(at["language"]) * settings_of(at, reading).active_entries
    )


def codes_mb(at: At, threads: int) -> int:
    """An SAE and a block of its dense pre-activations."""
    return 2000 + 8 * features_of(at) * at.study.model.d_model // 2**20


def splice_mb(at: At, threads: int) -> int:
    """The model, its logits, and the SAEs of a site that are spliced in one after the other."""
    saes = max(len(at.study.corpora) + len(at.study.pretrained), len(at.study.variants))
    return model_mb(at) + 2000 + saes * 8 * features_of(at) * at.study.model.d_model // 2**20


def promoting_mb(at: At, threads: int) -> int:
    """The model, its head in float32 and an SAE."""
    return model_mb(at) + 2500 + 8 * features_of(at) * at.study.model.d_model // 2**20


QUALITY = Kind(
    "quality",
    "results/{study}/quality/{corpus}/{language}/layer_{site}.json",
    by="apply_saes",
    function="measure_quality",
    module="crosslens.features.quality",
    params=quality_params,
    needs=quality_needs,
    every=each_pair,
    into=("layer",),
    amount=measuring,
)
SPLICED = Kind(
    "spliced",
    "results/{study}/quality/{corpus}/{language}/spliced/layer_{site}.json",
    by="splice_saes",
    function="splice_saes",
    module="crosslens.features.splice",
    params=splice_params,
    needs=splice_needs,
    files_read=model_files,
    reads=source_of,
    every=each_pair,
    into=("layer",),
    amount=splicing,
)
CODES = Kind(
    "codes",
    "results/{study}/codes/{corpus}/{language}/layer_{site}.zarr",
    by="apply_saes",
    function="encode",
    module="crosslens.features.encode",
    params=lambda at: {"roles": at.settings["sae"]["roles"], "site": at["site"]},
    needs=encoded,
    every=each_pair,
    amount=encoding,
)
KINDS = [
    CODES,
    # Of other trainings on the same activations: what is said of gendered features is looked for in them too.
    replace(
        CODES,
        name="seed_codes",
        path="results/{study}/codes/{corpus}/{language}/layer_{site}/seed_{seed}.zarr",
        every=lambda at: [
            pair | {"seed": seed} for pair in gendered_pairs(at) for seed in other_seeds(at.moved(**pair))
        ],
    ),
    replace(
        CODES,
        name="swept_codes",
        path="results/{study}/sweep/{corpus}/layer_{site}/{variant}/codes_{language}.zarr",
        by="apply_swept_sae",
        script="apply_saes",
        every=lambda at: [
            pair | {"variant": variant}
            for pair in gendered_pairs(at)
            for variant in other_architectures(at.moved(**pair))
        ],
    ),
    QUALITY,
    # Of an SAE of the sweep: made as that of the study's own, elsewhere.
    replace(
        QUALITY,
        name="swept_quality",
        path="results/{study}/sweep/{corpus}/layer_{site}/{variant}/quality_{language}.json",
        by="apply_swept_sae",
        script="apply_saes",
        every=each_swept_pair,
        into=(),
        role="quality",
    ),
    SPLICED,
    replace(
        SPLICED,
        name="swept_spliced",
        path="results/{study}/sweep/{corpus}/layer_{site}/{variant}/spliced_{language}.json",
        by="splice_swept_saes",
        script="splice_saes",
        every=each_swept_pair,
        into=(),
        role="spliced",
    ),
    Kind(
        "sweep",
        "results/{study}/sweep/{corpus}/layer_{site}.json",
        by="compare_settings",
        module="crosslens.summary.sweep",
        params=lambda at: {"site": at["site"], "corpus": at["corpus"], "variants": at.study.variants},
        needs=sweep_needs,
        every=each_sweep,
        into=("page",),
    ),
    Kind(
        "sweep_figure",
        "results/{study}/figures/sweep/{corpus}/layer_{site}",
        by="draw_sweep_figure",
        module="crosslens.figures.pareto",
        needs=lambda at: [at.need("sweep", "corpus", "site")],
        every=each_sweep,
        into=("page",),
        files={
            "pareto.png": "Settings compared: what each leaves unexplained and keeps of the cross-entropy, against L0."
        },
    ),
    Kind(
        "promoted",
        "results/{study}/lens/promoted/{corpus}/layer_{site}",
        by="promote_tokens",
        module="crosslens.features.promote",
        params=lambda at: {"model": at.study.model.identity, "site": at["site"]},
        needs=lambda at: [first_sae(at), *model_of(at)],
        files_read=model_files,
        every=each_sae,
        into=("page",),
        files={"tokens.parquet": "", "promoted.json": ""},
    ),
    Kind(
        "features",
        "results/{study}/features/{corpus}/{language}/layer_{site}",
        by="analyse_codes",
        function="feature_statistics",
        module="crosslens.features.statistics",
        params=lambda at: at.settings["features"] | {"language": at["language"]},
        needs=codes_of,
        every=each_pair,
        into=("layer", "page"),
        files={"features.parquet": "", "rankings.json": ""},
        amount=counting,
    ),
    Kind(
        "concepts",
        "results/{study}/features/{corpus}/{language}/concepts/layer_{site}.json",
        by="analyse_codes",
        function="search_concepts",
        module="crosslens.features.concepts",
        params=lambda at: {
            "concepts": at.settings["concepts"],
            "condition": "generated" if at.study.source.is_generation else "caption",
        },
        needs=codes_of,
        every=lambda at: each_pair(at) if at.settings["concepts"] else [],
        into=("page",),
    ),
]
WORK = [
    # SAEs of one site read the same activations, and the model is loaded once for all of them.
    Work("apply_saes", memory=codes_mb, per=("site",)),
    Work("splice_saes", memory=splice_mb, per=("site",), gpu=True, local=model_place),
    # Variants of a sweep stay apart where only their languages have something in common.
    Work("apply_swept_sae", memory=codes_mb, per=("corpus", "site", "variant")),
    Work("splice_swept_saes", memory=splice_mb, per=("corpus", "site"), gpu=True, local=model_place),
    Work("promote_tokens", minutes=120, memory=promoting_mb, per=("site",), gpu=True, local=model_place),
    Work("analyse_codes", memory=3500, per=("corpus", "site")),
    Work("compare_settings", minutes=10, memory=1000),
    Work("draw_sweep_figure", minutes=10, memory=1000),
]
