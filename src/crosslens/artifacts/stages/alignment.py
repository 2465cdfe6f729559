"""What the languages have in common: where pairs are found again, and which features are shared."""

import math
from typing import Any

from crosslens.artifacts.kinds import Amount, At, Kind, Need, Wildcards, Work
from crosslens.artifacts.needs import codes_of, each_site, languages_of, several_languages, site_of
from crosslens.artifacts.stages.report import level

DRAWS = 100
"""The retrieval itself and the shuffles of its null."""
READ = 4
"""Comparisons in a study with pictures: captions with and without theirs, and the prompt in each language."""
IMAGES = 5000
"""At most."""
PERMUTATIONS = 2000
"""Of pairs, and of the languages within them."""


def retrieving(at: At, reading: Any) -> Amount:
    """Similarities of all pairs of images, and as often under a null."""
    most = max(counts.images for counts in reading.counts.values())
    images = min(IMAGES, at.settings["splits"]["test"] * most)
    read = READ if at.study.source.has_pictures else 1
    return Amount("pairing", math.comb(len(at.study.languages), 2) * read * DRAWS * images**2)


def shared_saes(at: At) -> list[Wildcards]:
    """The SAEs of several languages that read captions: features can be compared one by one."""
    return [
        {"corpus": corpus, "site": site}
        for site in (at.study.sites if "caption" in at.settings["sae"]["roles"] else [])
        for corpus in at.study.corpora_at(site)
        if len(languages_of(at.moved(corpus=corpus))) > 1
    ]


def codes_of_all(at: At) -> list[Need]:
    """The codes of every language in one SAE, their tokens and tables."""
    return [need for language in at.study.languages for need in codes_of(at.moved(language=language))]


def shuffling(at: At, reading: Any) -> Amount:
    """Features × draws, of every pair of languages."""
    pairs = math.comb(len(at.study.languages), 2)
    return Amount("resampling", pairs * 2 * PERMUTATIONS * reading.sae_settings({}).d_sae)


KINDS = [
    Kind(
        "sharing",
        "results/{study}/alignment/sharing/{corpus}/layer_{site}",
        by="analyse_codes",
        function="feature_sharing",
        module="crosslens.alignment.sharing",
        params=lambda at: {
            "languages": at.study.languages,
            "alpha": level(at),
            "seed": at.settings["splits"]["seed"],
        },
        needs=codes_of_all,
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
        "retrieval",
        "results/{study}/alignment/retrieval/layer_{site}.json",
        by="analyse_activations",
        function="caption_retrieval",
        module="crosslens.alignment.retrieval",
        params=lambda at: {"seed": at.settings["splits"]["seed"]},
        needs=lambda at: [*site_of(at, at.study.languages), *at.every("text_alone", site=at["site"])],
        every=lambda at: each_site(at) if several_languages(at) else [],
        into=("layer",),
        amount=retrieving,
    ),
]
WORK = [
    Work("analyse_activations", memory=2500, per=("site",)),
    Work("draw_sharing_figure", memory=1000),
]
