"""What the languages have in common: where pairs are found again, and which features are shared."""

from collections.abc import Iterator
from typing import Any

from crosslens.artifacts.kinds import Amount, At, Kind, Need, Wildcards, Work
from crosslens.artifacts.needs import (
    codes_of,
    each_site,
    features_of,
    first_sae,
    gendered_pairs,
    languages_of,
    other_architectures,
    other_seeds,
    parts_of,
    site_of,
)
from crosslens.artifacts.stages.report import level
from crosslens.artifacts.written import conditions_of
from crosslens.stats.shuffles import CKA, PAIRS

DRAWS = 1 + CKA
"""The retrieval itself and the shuffles of its null."""
READ = 4
"""Comparisons in a study with pictures: captions with and without theirs, and the prompt in each language."""
IMAGES = 5000
"""At most."""
PERMUTATIONS = 1 + PAIRS
"""Of pairs, and of the languages within them."""


def retrieving(at: At, reading: Any) -> Amount:
    """Similarities of all pairs of images, and as often under a null."""
    most = max(counts.images for counts in reading.counts.values())
    images = min(IMAGES, at.study.shares["test"] * most)
    read = READ if at.study.source.has_pictures else 1
    return Amount("pairing", len(at.study.pairs) * read * DRAWS * images**2)


def shared_saes(at: At) -> list[Wildcards]:
    """The SAEs of several languages that read captions: features can be compared one by one."""
    return [
        {"corpus": corpus, "site": site}
        for site in (at.study.sites if "caption" in at.settings["sae"]["roles"] else [])
        for corpus in at.study.corpora_at(site)
        if len(languages_of(at.moved(corpus=corpus))) > 1
    ]


def sharing_needs(at: At) -> Iterator[Need]:
    """An SAE, and of every language the codes, the activations, their tokens and tables."""
    yield first_sae(at)
    for language in at.study.languages:
        yield from codes_of(at.moved(language=language))
        yield from parts_of(at, "activations", language, "site")


def own_pairs(at: At) -> list[tuple[str, str]]:
    """The pairs of languages that have SAEs of their own, which read captions."""
    captioned = "caption" in at.settings["sae"]["roles"]
    return [pair for pair in at.study.pairs if {*pair} <= {*at.study.corpora} and captioned]


def own_corpora(at: At) -> list[str]:
    """The languages of these pairs."""
    paired = {language for pair in own_pairs(at) for language in pair}
    return [corpus for corpus in at.study.corpora if corpus in paired]


def retrained(at: At) -> list[Wildcards]:
    """SAEs beside which others were trained on the same activations, where gender is asked for, which is followed there."""
    saes = [{name: pair[name] for name in ("corpus", "site")} for pair in gendered_pairs(at)]
    unique = [sae for i, sae in enumerate(saes) if sae not in saes[:i]]
    return [sae for sae in unique if other_seeds(at.moved(**sae)) or other_architectures(at.moved(**sae))]


def retrained_needs(at: At) -> Iterator[Need]:
    """The SAE that the analyses read, and those others."""
    yield first_sae(at)
    yield from (at.need("sae", "corpus", "site", seed=seed) for seed in other_seeds(at))
    yield from (
        at.need("swept_sae", "corpus", "site", variant=variant) for variant in other_architectures(at)
    )


def frozen_variant(at: At) -> str | None:
    """The setting of the sweep whose decoder stays as it was drawn, where there is one."""
    of = at.study.variants.items()
    return next((name for name, chosen in of if chosen.get("architecture") == "frozen_decoder"), None)


def matched_saes(at: At) -> list[Wildcards]:
    """Sites where two languages that are compared have SAEs of their own."""
    return [{"site": site} for site in (at.study.sae_sites if own_pairs(at) else [])]


def matching_needs(at: At):
    """The SAEs of every language, all seeds, and those of a frozen decoder; what the first seed's features do."""
    frozen = frozen_variant(at)
    for corpus in own_corpora(at):
        own = at.moved(corpus=corpus, language=corpus)
        yield from (own.need("sae", "corpus", "site", seed=seed) for seed in at.study.seeds)
        if frozen:
            yield own.need("swept_sae", "corpus", "site", variant=frozen)
        yield from codes_of(own)
        yield own.need("features", "corpus", "language", "site")
        if at.study.has_gender:
            yield own.need("gender", "corpus", "language", "site")


def assigning(at: At, reading: Any) -> Amount:
    """Cosines of all features, of decoders and encoders, and of the ceilings and floors beside them."""
    languages, chosen = len(own_corpora(at)), reading.sae_settings({})
    compared = len(own_pairs(at)) * 3 + languages * (len(at.study.seeds) - 1)
    return Amount("encoding", 2 * compared * chosen.d_sae**2 * reading.model.d_model)


def matching_mb(at: At, threads: int) -> int:
    """Dictionaries in float32, encoder and decoder, of two SAEs and one that is turned."""
    dictionaries = 3 * len(own_corpora(at)) * len(at.study.seeds)
    return 2500 + dictionaries * 8 * features_of(at) * at.study.model.d_model // 2**20


def shuffling(at: At, reading: Any) -> Amount:
    """Features × draws, of every pair of languages."""
    return Amount("resampling", len(at.study.pairs) * 2 * PERMUTATIONS * reading.sae_settings({}).d_sae)


def measured_conditions(at: At) -> list[str]:
    """Conditions of gender, and beside the masked caption the whole one; none where gender is not asked for."""
    conditions = conditions_of(at) if at.study.has_gender else []
    return [*conditions, *(["caption_whole"] if "caption" in conditions else [])]


def halving(at: At, reading: Any) -> Amount:
    """Kernels of the images, halved as often as there are draws, for every pair of languages."""
    most = max(counts.images for counts in reading.counts.values())
    images = min(1000, at.study.shares["test"] * most)
    reads = 2 if at.study.source.has_pictures else 1
    return Amount("pairing", len(at.study.pairs) * reads * 2 * DRAWS * images**2)


KINDS = [
    Kind(
        "representations",
        "results/{study}/alignment/representations/layer_{site}.json",
        by="analyse_activations",
        function="representations",
        module="crosslens.alignment.representations",
        params=lambda at: {
            "conditions": measured_conditions(at),
            "pairs": at.study.pairs,
            "seed": at.settings["splits"]["seed"],
        },
        needs=lambda at: [*site_of(at, at.study.languages), *at.every("text_alone", site=at["site"])],
        every=lambda at: each_site(at) if at.study.pairs else [],
        into=("page",),
        amount=halving,
    ),
    Kind(
        "divergence",
        "results/{study}/alignment/divergence.json",
        by="compare_layers",
        module="crosslens.summary.divergence",
        needs=lambda at: [*at.every("layer"), *at.every("representations")],
        every=lambda at: [{}] if at.study.pairs and len(at.study.sites) > 1 else [],
        into=("page",),
    ),
    Kind(
        "divergence_figure",
        "results/{study}/figures",
        by="draw_divergence_figure",
        module="crosslens.figures.divergence",
        needs=lambda at: at.every("divergence"),
        every=lambda at: [{}] if at.study.pairs and len(at.study.sites) > 1 else [],
        into=("page",),
        files={
            "divergence.png": "How alike the languages are at each layer: gender across languages, captions of the same "
            "{units} and their translations."
        },
    ),
    Kind(
        "sharing",
        "results/{study}/alignment/sharing/{corpus}/layer_{site}",
        # Apart from the other analyses of codes: it reads activations too, which may be gone.
        by="feature_sharing",
        module="crosslens.alignment.sharing",
        params=lambda at: {
            "languages": at.study.languages,
            "pairs": at.study.pairs,
            "alpha": level(at),
            "seed": at.settings["splits"]["seed"],
        },
        needs=sharing_needs,
        every=shared_saes,
        into=("layer",),
        files={"features.parquet": "", "sharing.json": ""},
        amount=shuffling,
    ),
    Kind(
        "sharing_figure",
        "results/{study}/figures/sharing/{corpus}/layer_{site}",
        by="draw_sharing_figure",
        module="crosslens.figures.sharing",
        needs=lambda at: [at.need("sharing", "corpus", "site")],
        every=shared_saes,
        into=("page",),
        files={
            "sharing.png": "Each feature: how alike captions of the same {units} make it fire in two languages, against how "
            "much more often it fires in one."
        },
    ),
    Kind(
        "counterparts",
        "results/{study}/alignment/counterparts/{corpus}/layer_{site}.parquet",
        by="analyse_codes",
        function="find_counterparts",
        module="crosslens.alignment.counterparts",
        params=lambda at: {
            "first": at.study.seeds[0],
            "seeds": other_seeds(at),
            "architectures": other_architectures(at),
        },
        needs=retrained_needs,
        every=retrained,
    ),
    Kind(
        "matching",
        "results/{study}/alignment/matching/layer_{site}",
        by="match_features",
        module="crosslens.alignment.matching",
        params=lambda at: {
            "languages": own_corpora(at),
            "pairs": own_pairs(at),
            "seeds": at.study.seeds,
            "frozen": frozen_variant(at),
            "alpha": level(at),
            "seed": at.settings["splits"]["seed"],
        },
        needs=matching_needs,
        every=matched_saes,
        into=("layer",),
        files={"pairs.parquet": "", "matching.json": ""},
        amount=assigning,
    ),
    Kind(
        "matching_figure",
        "results/{study}/figures/layer_{site}",
        by="draw_matching_figure",
        module="crosslens.figures.matching",
        needs=lambda at: [at.need("matching", "site")],
        every=matched_saes,
        into=("page",),
        files={
            "matching.png": "Share of matched features from each cosine on, beside two seeds of one language and chance."
        },
    ),
    Kind(
        "retrieval",
        "results/{study}/alignment/retrieval/layer_{site}.json",
        by="analyse_activations",
        function="caption_retrieval",
        module="crosslens.alignment.retrieval",
        params=lambda at: {"pairs": at.study.pairs, "seed": at.settings["splits"]["seed"]},
        needs=lambda at: [*site_of(at, at.study.languages), *at.every("text_alone", site=at["site"])],
        every=lambda at: each_site(at) if at.study.pairs else [],
        into=("layer",),
        amount=retrieving,
    ),
]
WORK = [
    Work("analyse_activations", memory=2500, per=("site",)),
    Work("feature_sharing", memory=3500),
    Work("draw_sharing_figure", minutes=10, memory=1000),
    Work("match_features", memory=matching_mb),
    Work("compare_layers", minutes=10, memory=1000),
    Work("draw_divergence_figure", minutes=10, memory=1000),
    Work("draw_matching_figure", minutes=10, memory=1000),
]
