"""A page for every feature, and what is looked up for it."""

from collections.abc import Iterator
from typing import Any

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
from crosslens.artifacts.stages.live import why_not

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
    "model_comparison",
)
"""Kinds of which a feature's page or the comparison of layers says something."""
REPORTED = {
    "sweep": ("sweep", "Sweeps"),
    "agreement": ("stereotype", "Stereotypes"),
    "stereotype": ("stereotype", "Stereotypes"),
    "descriptions": ("descriptions", "Labels"),
    "concepts": ("concepts", "Concepts"),
    "steering": ("steering", "Steering"),
    "clamp": ("clamp", "Clamped feature"),
    "patching": ("patching", "Patched states"),
    "feature_patching": ("feature_patching", "Patched features"),
    "lens_reading": ("lens", "Lenses"),
    "attention": ("attention", "Attention"),
    "divergence": ("divergence", "Over depth"),
    "sample_map": ("maps", "Maps"),
}
"""Kind to the report's section that shows it, by anchor and title, which the pages lead to where a study has some."""


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


def page_params(at: At) -> dict[str, Any]:
    """What the pages are called by, how many there are, and what else the report shows."""
    sections = dict.fromkeys(shown for kind, shown in REPORTED.items() if at.every(kind))
    return {
        "study": at["study"],
        "neuronpedia": at.settings["sae"].get("neuronpedia", {}),
        "pages": at.settings["pages"]["features"],
        "sections": [list(shown) for shown in sections],
        "live": not why_not(at),
    }


KINDS = [
    Kind(
        "dashboards",
        "results/{study}/features/{corpus}/dashboards/layer_{site}",
        by="analyse_codes",
        function="feature_dashboards",
        module="crosslens.explorer.dashboards",
        params=lambda at: {
            "corpus": at["corpus"],
            "examples": at.settings["pages"]["examples"],
            "seed": at.settings["splits"]["seed"],
        },
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
        params=page_params,
        needs=page_needs,
        # The pictures are in the key by what the tables say of their bytes.
        reads=source_of,
        every=lambda at: [{}] if each_sae(at) else [],
        into=("page",),
        holds=200,
    ),
]
WORK = [Work("write_feature_pages", minutes=120, memory=3000, local=data_place)]
