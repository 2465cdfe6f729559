"""A page for every feature, and what is looked up for it."""

from collections.abc import Iterator

from crosslens.artifacts.kinds import At, Kind, Need, Work
from crosslens.artifacts.needs import (
    codes_of,
    data_place,
    each_sae,
    first_sae,
    languages_of,
    samples_of,
    source_of,
)
from crosslens.artifacts.stages.features import counting

TOLD = (
    "dashboards",
    "features",
    "gender",
    "written_gender",
    "gender_robustness",
    "written_gender_robustness",
    "sharing",
    "matching",
    "counterparts",
    "promoted",
    "steering",
    "ablation",
    "feature_patching",
    "summary",
)
"""Kinds of which a feature's page says something."""


def dashboard_needs(at: At) -> Iterator[Need]:
    """An SAE, and its codes in every language that it reads."""
    yield first_sae(at)
    for language in languages_of(at):
        yield from codes_of(at.moved(language=language))


def page_needs(at: At) -> Iterator[Need]:
    """The texts, and all that is said of features."""
    for language in at.study.languages:
        yield samples_of(at, language)
    for kind in TOLD:
        yield from at.every(kind)


KINDS = [
    Kind(
        "dashboards",
        "results/{study}/features/{corpus}/dashboards/layer_{site}",
        by="analyse_codes",
        function="feature_dashboards",
        module="crosslens.explorer.dashboards",
        params=lambda at: {"corpus": at["corpus"], "seed": at.settings["splits"]["seed"]},
        needs=dashboard_needs,
        every=each_sae,
        files={
            "examples.parquet": "",
            "tokens.parquet": "",
            "histograms.parquet": "",
            "neighbours.parquet": "",
            "dashboards.json": "",
        },
        amount=lambda at, reading: counting(at.moved(language=languages_of(at)[0]), reading),
    ),
    Kind(
        "feature_pages",
        "results/{study}/report/features",
        by="write_feature_pages",
        module="crosslens.explorer.page.write",
        params=lambda at: {"study": at["study"], "neuronpedia": at.settings["sae"].get("neuronpedia", {})},
        needs=page_needs,
        # The pictures are in the key by what the tables say of their bytes.
        reads=source_of,
        every=lambda at: [{}] if each_sae(at) else [],
        into=("page",),
        holds=200,
    ),
]
WORK = [Work("write_feature_pages", minutes=120, memory=3000, local=data_place)]
