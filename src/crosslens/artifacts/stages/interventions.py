"""What changes when the model runs without a feature, or with another SAE's in its place."""

from collections.abc import Iterator
from typing import Any

from crosslens.artifacts.kinds import Amount, At, Kind, Need, Wildcards, Work
from crosslens.artifacts.needs import (
    codes_of,
    features_of,
    first_sae,
    model_files,
    model_mb,
    model_of,
    model_place,
    samples_of,
    source_of,
)
from crosslens.artifacts.stages.alignment import (
    frozen_variant,
    matched_saes,
    own_corpora,
    own_pairs,
    shared_saes,
)
from crosslens.artifacts.stages.report import level
from crosslens.artifacts.stages.steering import READ

GROUPS, RANDOM_GROUPS = 4, 20
"""Of gendered features that are ablated at once, and beside each."""
SIZES = 6
"""Numbers of features that are substituted at once, three passes each."""


def ablated_saes(at: At) -> list[Wildcards]:
    """The SAEs whose features are compared between languages, where causes are asked for."""
    return shared_saes(at) if at.settings["causal"] else []


def grouped_saes(at: At) -> list[Wildcards]:
    """Of these the SAEs whose features' gender is told of what is given to the model, too."""
    return [each for each in ablated_saes(at) if at.study.has_gender and _condition(at)]


def _condition(at: At) -> str | None:
    return next((name for name in at.settings["gender"]["conditions"] if name in READ), None)


def substituted_sites(at: At) -> list[Wildcards]:
    """Sites where features of two languages' SAEs are matched, where causes are asked for."""
    return matched_saes(at) if at.settings["causal"] else []


def passes(at: At) -> dict[str, Any]:
    """Which model, where, and how much of what it reads."""
    chosen = at.settings["causal"]
    return {
        "model": at.study.model.identity,
        "site": at["site"],
        "roles": at.settings["sae"]["roles"],
        "max_samples": chosen["samples"],
        "batch": chosen["batch"],
        "seed": chosen["seed"],
    }


def group_needs(at: At) -> Iterator[Need]:
    """What ablation needs, and the gender of the features in every language."""
    yield from ablation_needs(at)
    for language in at.study.languages:
        yield at.moved(language=language).need("gender", "corpus", "language", "site")


def ablation_needs(at: At) -> Iterator[Need]:
    """An SAE, and of every language the codes, their tokens and tables; the model."""
    yield first_sae(at)
    for language in at.study.languages:
        yield from codes_of(at.moved(language=language))
    yield from model_of(at)


def substitution_needs(at: At) -> Iterator[Need]:
    """The SAEs of every language, two seeds, and those of a frozen decoder; what is live; the model."""
    frozen = frozen_variant(at)
    for corpus in own_corpora(at):
        own = at.moved(corpus=corpus, language=corpus)
        yield samples_of(own)
        yield from (own.need("sae", "corpus", "site", seed=seed) for seed in at.study.seeds[:2])
        if frozen:
            yield own.need("swept_sae", "corpus", "site", variant=frozen)
        yield own.need("features", "corpus", "language", "site")
    yield from model_of(at)


def reading_again(at: At, reading: Any, passes: float) -> Amount:
    """So many whole passes over the samples of each language."""
    chosen = at.settings["causal"]
    samples = min(chosen["samples"], reading.samples * at.study.shares["test"])
    flops = sum(reading.pass_flops(language, samples, reading.model.depth) for language in at.study.languages)
    return Amount(
        "forward", passes * flops, passes * len(at.study.languages) * samples / chosen["batch"]
    )  # fmt: skip


def ablating(at: At, reading: Any) -> Amount:
    """A pass a feature: of each language and at least 20 beside them, and those that are shared."""
    count, pairs = at.settings["causal"]["features"], len(at.study.pairs)
    return reading_again(at, reading, 2 + pairs * (2 * (count + max(20, 2 * count)) + count))


def ablating_groups(at: At, reading: Any) -> Amount:
    """Of each group and as many random ones as stand beside it a pass over samples, and one over places."""
    return reading_again(at, reading, len(at.study.pairs) * GROUPS * 2 * (1 + RANDOM_GROUPS))


def substituting(at: At, reading: Any) -> Amount:
    """Passes for each number of features, and two for each pair; each pair of languages both ways, seeds, frozen decoders."""
    languages, each = len(own_corpora(at)), 2 + 3 * SIZES + 2 * at.settings["causal"]["pairs"]
    others = 2 * len(own_pairs(at)) / languages
    of_one = others * (2 if frozen_variant(at) else 1) + (len(at.study.seeds) > 1)
    return reading_again(at, reading, of_one * each)


def ablation_mb(at: At, threads: int) -> int:
    """The model, its logits, an SAE, and the tables of its features' firing."""
    return model_mb(at) + 3500 + 8 * features_of(at) * at.study.model.d_model // 2**20


def substitution_mb(at: At, threads: int) -> int:
    """The model, its logits, two SAEs, their directions, and what they hold of select."""
    return model_mb(at) + 3000 + 32 * features_of(at) * at.study.model.d_model // 2**20


KINDS = [
    Kind(
        "ablation",
        "results/{study}/alignment/ablation/{corpus}/layer_{site}.json",
        by="ablate_features",
        module="crosslens.interventions.ablation",
        params=lambda at: (
            passes(at)
            | {"alpha": level(at), "features": at.settings["causal"]["features"]}
            | {"languages": at.study.languages, "pairs": at.study.pairs}
        ),
        needs=ablation_needs,
        files_read=model_files,
        reads=source_of,
        every=ablated_saes,
        into=("layer",),
        amount=ablating,
    ),
    Kind(
        "ablation_figure",
        "results/{study}/figures/sharing/{corpus}/layer_{site}",
        by="draw_ablation_figure",
        module="crosslens.figures.ablation",
        needs=lambda at: [at.need("ablation", "corpus", "site")],
        every=ablated_saes,
        into=("page",),
        files={"ablation.png": "What it costs both languages to lose the directions of features."},
    ),
    Kind(
        "group_ablation",
        "results/{study}/interventions/groups/{corpus}/layer_{site}.json",
        by="ablate_groups",
        module="crosslens.interventions.groups",
        params=lambda at: (
            passes(at)
            | {"condition": _condition(at)}
            | {"languages": at.study.languages, "pairs": at.study.pairs}
        ),
        needs=group_needs,
        files_read=model_files,
        reads=source_of,
        every=grouped_saes,
        into=("page",),
        amount=ablating_groups,
    ),
    Kind(
        "substitution",
        "results/{study}/alignment/substitution/layer_{site}.json",
        by="substitute_features",
        module="crosslens.interventions.substitution",
        params=lambda at: (
            passes(at)
            | {"count": at.settings["causal"]["pairs"], "pairs": own_pairs(at)}
            | {"languages": own_corpora(at), "seeds": at.study.seeds[:2], "frozen": frozen_variant(at)}
        ),
        needs=substitution_needs,
        files_read=model_files,
        reads=source_of,
        every=substituted_sites,
        into=("layer",),
        amount=substituting,
    ),
    Kind(
        "substitution_figure",
        "results/{study}/figures/layer_{site}",
        by="draw_substitution_figure",
        module="crosslens.figures.substitution",
        needs=lambda at: [at.need("substitution", "site")],
        every=substituted_sites,
        into=("page",),
        files={
            "substitution.png": "Features of one SAE in the place of those of another, and what each costs when ablated."
        },
    ),
]
WORK = [
    Work("ablate_features", memory=ablation_mb, gpu=True, local=model_place),
    Work("draw_ablation_figure", minutes=10, memory=1000),
    Work("ablate_groups", memory=ablation_mb, gpu=True, local=model_place),
    Work("substitute_features", memory=substitution_mb, gpu=True, local=model_place),
    Work("draw_substitution_figure", minutes=10, memory=1000),
]
