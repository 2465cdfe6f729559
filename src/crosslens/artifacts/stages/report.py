"""One layer's summary, the figures and the page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crosslens.artifacts.kinds import At, Kind, Need, Work
from crosslens.artifacts.needs import each_sae_site, each_site, first_sae, parts_of
from crosslens.artifacts.stages.live import why_not
from crosslens.registry import names

CROSS_ENTROPY = "Explained variance beside its baselines, L0, and cross-entropy recovered against zeros and the mean, per layer."

FEATURES_OF_GENDER = ("gender", "gender_robustness", "written_gender", "written_gender_robustness")

PAGES = ("feature_pages", "live", "write_up", "summary_tables", "plots")
"""Beside the page."""
LEVEL = 0.05
"""Of a study that asks for no gender, and so names none."""


def level(at: At) -> float:
    """The significance level of the study."""
    return at.settings["gender"]["alpha"] if at.study.has_gender else LEVEL


def first_saes(at: At) -> list[Need]:
    """The SAE of every corpus at one site that the analyses read."""
    return [first_sae(at.moved(corpus=corpus)) for corpus in at.study.corpora_at(at["site"])]


def layer_needs(at: At):
    """Everything that was measured at one site; where nothing was, its activations: they are extracted all the same."""
    yield from (found := [*first_saes(at), *at.into("layer", site=at["site"])])
    for kind in ("probe_words", "written_probe_words") if found else ():
        yield from at.every(kind)
    for language in () if found else at.study.languages:
        yield from parts_of(at, "activations", language, "site")


def site_params(at: At) -> dict[str, Any]:
    """A layer has no settings of its own."""
    return {"site": at["site"]}


PLOTTED = (
    *("gender_layer_figures", "gender_figures", "study_figures", "sharing_figure", "map_figures"),
    *("patching_figures", "attention_figure"),
)
"""Kinds of figures that may have a page to look into (crosslens.report.plots.specs)."""
OPTIONAL = (
    *("controls", "sweep", "concepts", "embeddings", "geometry", "causal", "steering", "clamp", "patching"),
    *("lenses", "attention", "tokens", "compare", "describe", "claims"),
)
"""Sections of a study's file that ask for more than every study has."""


def unasked(at: At) -> dict[str, str]:
    """Those that this one has not, and what they would ask for."""
    return {name: at.settings.says[name] for name in OPTIONAL if not at.settings[name]}


def of_page(at: At) -> dict[str, Any]:
    """What page and written summary are told of the study."""
    return {
        "study": at["study"],
        "settings": at.settings,
        "source": {"name": at.study.model.name, **at.study.model.identity},
        "sections": names("crosslens.report.sections"),
        "absent": {"live": why} if (why := why_not(at)) else {},
    }


def measured(at: At) -> Iterator[Need]:
    """What the page tells of, without pictures and other pages."""
    for kind, wildcards in at.into("page"):
        if kind not in (*at.table.figures, *PAGES):
            yield kind, wildcards


def shape_of(at: At) -> dict[str, dict[str, int | None]]:
    """Sizes of the model."""
    return {"shape": {"channels (d_model)": at.study.model.d_model, "blocks": at.study.model.depth}}


def plotted(at: At) -> list[Need]:
    """The figures that may have a page to look into."""
    return [need for kind in PLOTTED for need in at.every(kind)]


def captions(at: At) -> dict[str, str]:
    """The words under every figure, by its name."""
    return {
        Path(file).stem: words
        for kind in at.table.figures
        for file, words in at.table.kinds[kind].files.items()
        if words
    }


KINDS = [
    Kind(
        "layer",
        "results/{study}/layers/{site}.json",
        by="layer_summary",
        module="crosslens.summary.layer",
        params=site_params,
        needs=layer_needs,
        every=each_site,
    ),
    Kind(
        "summary",
        "results/{study}/summary.json",
        by="study_summary",
        module="crosslens.summary.study",
        params=lambda at: {"level": level(at)},
        needs=lambda at: [*at.every("layer"), *at.every("stereotype"), *at.every("agreement")],
        into=("page",),
    ),
    Kind(
        "layer_figures",
        "results/{study}/figures/layer_{site}",
        by="draw_layer_figures",
        function="layer_figures",
        module="crosslens.figures.layer",
        params=site_params,
        needs=lambda at: [*first_saes(at), *at.every("quality", site=at["site"])],
        every=each_sae_site,
        into=("page",),
        files={
            "training.png": "Training curves: loss, FVU, L0 and dead features.",
            "density.png": "How often features fire: histogram of log10 firing frequency.",
            "decoder.png": "How alike features are: the largest cosine of each decoder row with another, beside random "
            "directions.",
        },
    ),
    Kind(
        "gender_layer_figures",
        "results/{study}/figures/layer_{site}",
        by="draw_layer_figures",
        function="gender_layer_figures",
        module="crosslens.figures.gender_layer",
        params=site_params,
        needs=lambda at: [
            *(
                need
                for kind in (*FEATURES_OF_GENDER, "cross_lingual")
                for need in at.every(kind, site=at["site"])
            ),
            *(need for kind in ("probe_words", "written_probe_words") for need in at.every(kind)),
        ],
        every=lambda at: each_sae_site(at) if at.study.has_gender else [],
        into=("page",),
        files={
            "gender_features.png": "The features chosen as most female and most male, with their effect on test.",
            "effect_sizes.png": "Effect of gender on each feature in one language against the other.",
        },
    ),
    Kind(
        "study_figures",
        "results/{study}/figures",
        by="draw_study_figures",
        function="study_figures",
        module="crosslens.figures.study",
        params=lambda at: {"sites": at.study.sites},
        needs=lambda at: at.every("layer"),
        into=("page",),
        files={
            "quality.png": CROSS_ENTROPY,
            "retrieval.png": "How often a caption's translation is found first among all {units}, and CKA, per layer, "
            "beside chance.",
            "specialists.png": "Which categories have a feature of their own, by layer, site and dictionary.",
        },
    ),
    Kind(
        "gender_figures",
        "results/{study}/figures",
        by="draw_study_figures",
        function="gender_figures",
        module="crosslens.figures.gender_study",
        params=lambda at: {"sites": at.study.sites},
        needs=lambda at: [*at.every("layer"), *at.every("stereotype")],
        every=lambda at: [{}] if at.study.has_gender else [],
        into=("page",),
        files={
            "probes.png": "AUROC of linear gender probes per layer, beside the bag of words, shuffled labels and a control task.",
            "sparse_probes.png": "AUROC of probes that read the best 1, 2, 5 or 20 features, or channels, and all of them.",
            "robustness.png": "Share of the gendered features that are gendered in the same direction by other tokens and, where "
            "they were trained, in other seeds and architectures, beside features as frequent drawn at random.",
            "transfer.png": "AUROC of the gender direction of each language in each language, per layer and condition.",
            "stereotype.png": "Share of captions that say woman for {units} that hide the gender, measured and planted.",
        },
    ),
    Kind(
        "plots",
        "results/{study}/report/plots",
        by="write_plots",
        module="crosslens.report.plots.write",
        params=lambda at: {"study": at["study"], "languages": at.study.languages},
        needs=plotted,
        every=lambda at: [{}] if plotted(at) else [],
        into=("page",),
        holds=20,
    ),
    Kind(
        "write_up",
        "results/{study}/report",
        by="build_report",
        function="write_summary",
        module="crosslens.report.writing.summary",
        params=lambda at: of_page(at) | shape_of(at) | {"unasked": unasked(at)},
        needs=measured,
        into=("page",),
        files={"summary.md": "", "summary.html": ""},
    ),
    Kind(
        "summary_tables",
        "results/{study}/report/tables",
        by="build_report",
        function="write_tables",
        module="crosslens.report.writing.tables",
        params=lambda at: of_page(at) | shape_of(at),
        needs=measured,
        into=("page",),
        holds=30,
        each="{question}/{table}.csv",
    ),
    Kind(
        "page",
        "results/{study}/report/index.html",
        by="build_report",
        module="crosslens.report.build",
        params=lambda at: of_page(at) | {"captions": captions(at)},
        needs=lambda at: at.into("page"),
        into=("all",),
    ),
]
WORK = [
    Work("layer_summary", minutes=30, memory=1000),
    Work("study_summary", minutes=30, memory=1000),
    Work("draw_layer_figures", minutes=30, memory=1500, per=("site",)),
    Work("draw_study_figures", minutes=30, memory=1500, per=()),
    Work("write_plots", minutes=30, memory=1000),
    Work("build_report", minutes=30, memory=1500, per=()),
]
