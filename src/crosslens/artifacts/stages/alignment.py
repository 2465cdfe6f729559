"""What the languages have in common: where pairs are found again."""

import math
from typing import Any

from crosslens.artifacts.kinds import Amount, At, Kind, Work
from crosslens.artifacts.needs import each_site, several_languages, site_of

DRAWS = 100
"""The retrieval itself and the shuffles of its null."""
READ = 4
"""Comparisons in a study with pictures: captions with and without theirs, and the prompt in each language."""
IMAGES = 5000
"""At most."""


def retrieving(at: At, reading: Any) -> Amount:
    """Similarities of all pairs of images, and as often under a null."""
    most = max(counts.images for counts in reading.counts.values())
    images = min(IMAGES, at.study.shares["test"] * most)
    read = READ if at.study.source.has_pictures else 1
    return Amount("pairing", math.comb(len(at.study.languages), 2) * read * DRAWS * images**2)


KINDS = [
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
    )
]
WORK = [Work("analyse_activations", memory=2500, per=("site",))]
