"""Gender: effect sizes, probes, the languages compared, and the model's own captions of ambiguous pictures."""

from pathlib import Path
from typing import Any

from crosslens.artifacts.kinds import Amount, At, Kind, Need, Wildcards, Work
from crosslens.artifacts.needs import (
    codes_of,
    data_place,
    each_language,
    each_site,
    gendered_pairs,
    languages_of,
    model_files,
    model_mb,
    model_of,
    model_place,
    other_architectures,
    other_seeds,
    samples_of,
    site_of,
    source_of,
)
from crosslens.artifacts.stages.data import generation, lexicon_files, lexicons_of
from crosslens.artifacts.written import conditions_of
from crosslens.data.morphology import data_files, morphology_of

HALVES = 100
"""Of the images, in which the reliability of effects is measured."""


def effect_params(at: At) -> dict[str, Any]:
    """What the effects of features need of the settings."""
    chosen = {name: at.settings["gender"][name] for name in ("alpha", "permutations", "seed")}
    return {"conditions": conditions_of(at)} | chosen


def probe_params(at: At) -> dict[str, Any]:
    """What a probe needs of them."""
    return {
        "conditions": conditions_of(at),
        "seed": at.settings["gender"]["seed"],
        "language": at["language"],
    }


def words_params(at: At) -> dict[str, Any]:
    """The conditions, beside the masked caption the whole one, and the level from which on words are called leaking."""
    chosen, conditions = at.settings["gender"], conditions_of(at)
    return {
        "conditions": [*conditions, *(f"{name}_whole" for name in conditions if name != "prompt")],
        "language": at["language"],
        **{name: chosen[name] for name in ("alpha", "seed")},
    }


def transfer_params(at: At) -> dict[str, Any]:
    """Conditions, and beside the masked caption the whole one; the smallest p needs the permutations."""
    chosen, conditions = at.settings["gender"], conditions_of(at)
    return {
        "conditions": [*conditions, *(["caption_whole"] if "caption" in conditions else [])],
        "pairs": at.study.pairs,
        "permutations": chosen["transfer_permutations"],
        "seed": chosen["seed"],
    }


def grammatical_pairs(at: At) -> list[Wildcards]:
    """Those in languages whose words' grammatical gender can be told, where captions are read."""
    captions = at.study.has_gender and "caption" in at.settings["gender"]["conditions"]
    adapter = at.settings["gender"]["morphology"] if captions else None
    return [w for w in gendered_pairs(at) if captions and morphology_of(w["language"], adapter)]


def analyser_files(at: At) -> list[Path]:
    """What tells words' grammatical gender beside the code and its packages."""
    return data_files(at["language"], at.settings["gender"]["morphology"])


def robustness_needs(at: At) -> list[Need]:
    """The codes, what is said of their features, and the codes and partners in other trainings where there are any."""
    seeds, others = other_seeds(at), other_architectures(at)
    return [
        *codes_of(at),
        at.need("gender", "corpus", "language", "site"),
        *(at.need("seed_codes", "corpus", "language", "site", seed=seed) for seed in seeds),
        *(at.need("swept_codes", "corpus", "language", "site", variant=variant) for variant in others),
        *([at.need("counterparts", "corpus", "site")] if seeds or others else []),
    ]


def first_pairs(at: At) -> list[Wildcards]:
    """Those of the first SAE of each site."""
    return [w for w in gendered_pairs(at) if w["corpus"] == at.study.corpora_at(w["site"])[0]]


def shared_saes(at: At) -> list[Wildcards]:
    """The SAEs in which the languages can be compared feature by feature."""
    return [
        {"corpus": corpus, "site": site}
        for site in (at.study.sites if at.study.has_gender else [])
        for corpus in at.study.corpora_at(site)
        if len(languages_of(at.moved(corpus=corpus))) > 1
    ]


def paired(at: At) -> bool:
    """Whether words are marked that tell the gender, so that sentences in two genders can differ in these alone."""
    return at.study.has_gender and at.study.source.tagged is not None


def captioned(at: At) -> bool:
    """Whether the model captions pictures that hide the gender, and lexicons can count what it says of them.

    A control is about features: its model writes nothing, or what the study's own does.
    """
    pictured = at.study.has_gender and at.study.source.has_pictures and bool(at.settings["lexicons"])
    return pictured and not at.study.control


def labelled(at: At, reading: Any, language: str) -> float:
    """Conditions × labelled images of train, which the probes read."""
    images = at.study.shares["train"] * reading.counts[language].labelled
    return len(conditions_of(at)) * images


def probing(at: At, reading: Any) -> Amount:
    """A probe's images."""
    return Amount("probing", labelled(at, reading, at["language"]))


def permuting(at: At, reading: Any) -> Amount:
    """Features × shuffles of the labels, in all conditions; on select nothing is shuffled."""
    chosen = at.settings["gender"]
    return _resampled(at, reading, chosen["permutations"])


def exchanging(at: At, reading: Any) -> Amount:
    """Features × shuffles of the genders of people, and of nouns."""
    shuffles = 2 * at.settings["gender"]["grammar_permutations"]
    return Amount("resampling", shuffles * reading.sae_settings({}).d_sae)


def resampling(at: At, reading: Any) -> Amount:
    """Features of both languages × draws, shuffles and halves, in all conditions and pairs."""
    chosen = at.settings["gender"]
    draws = chosen["bootstraps"] + chosen["permutations"] + HALVES
    return _resampled(at, reading, 2 * len(at.study.pairs) * draws)


def _resampled(at: At, reading: Any, draws: int) -> Amount:
    return Amount("resampling", len(conditions_of(at)) * draws * reading.sae_settings({}).d_sae)


def shuffling(at: At, reading: Any) -> Amount:
    """Images of train whose labels are shuffled, for the whole caption too."""
    chosen = at.settings["gender"]
    share = 1 + 1 / max(1, len(conditions_of(at)))
    images = sum(labelled(at, reading, language) for language in at.study.languages)
    return Amount("resampling", share * images * chosen["transfer_permutations"])


def agreeing(at: At, reading: Any) -> Amount:
    """Some four texts for each labelled one: both forms behind both prefixes of a word, and behind nothing."""
    texts = 4 * reading.counts[at["language"]].labelled
    flops = reading.pass_flops(at["language"], texts, reading.model.depth)
    return Amount("forward", flops, texts / at.settings["quality"]["batch"])


def captioning(at: At, reading: Any) -> Amount:
    """Captions of the test pictures that hide the gender, as long as they may be."""
    chosen = at.settings["stereotype"]
    pictures = reading.counts[at["language"]].hidden * at.study.shares["test"]
    return generation(pictures * chosen["samples_per_image"], chosen, reading.model.parameters)


KINDS = [
    Kind(
        "gender",
        "results/{study}/gender/{corpus}/{language}/layer_{site}",
        by="analyse_codes",
        function="gender_effects",
        module="crosslens.gender.effects",
        params=lambda at: effect_params(at) | {"language": at["language"]},
        needs=codes_of,
        every=gendered_pairs,
        into=("layer",),
        files={"effects.parquet": "", "gender.json": ""},
        amount=permuting,
    ),
    Kind(
        "gender_robustness",
        "results/{study}/gender/{corpus}/{language}/robustness/layer_{site}.json",
        by="analyse_codes",
        module="crosslens.gender.robustness",
        function="gender_robustness",
        params=lambda at: (
            {name: at.settings["gender"][name] for name in ("alpha", "seed")}
            | {"conditions": conditions_of(at), "language": at["language"]}
        ),
        needs=robustness_needs,
        every=gendered_pairs,
        into=("layer",),
    ),
    Kind(
        "grammar",
        "results/{study}/gender/{corpus}/{language}/grammar/layer_{site}",
        by="analyse_codes",
        function="measure_grammar",
        module="crosslens.gender.grammar",
        params=lambda at: {
            "language": at["language"],
            "alpha": at.settings["gender"]["alpha"],
            "morphology": at.settings["gender"]["morphology"],
            "permutations": at.settings["gender"]["grammar_permutations"],
            "seed": at.settings["gender"]["seed"],
            "analyser": [at.study.digests.or_none(file) for file in analyser_files(at)],
        },
        files_read=analyser_files,
        needs=lambda at: [*codes_of(at), at.need("gender", "corpus", "language", "site")],
        every=grammatical_pairs,
        into=("layer",),
        files={"features.parquet": "", "grammar.json": ""},
        amount=exchanging,
    ),
    Kind(
        "grammar_figure",
        "results/{study}/figures",
        by="draw_study_figures",
        function="grammar_figure",
        module="crosslens.figures.grammar",
        needs=lambda at: at.every("layer"),
        every=lambda at: [{}] if grammatical_pairs(at) else [],
        into=("page",),
        files={
            "grammar.png": "Features that tell the gender of the person, the grammatical gender of nouns for things, "
            "or both, per layer."
        },
    ),
    Kind(
        "gendered_examples",
        "results/{study}/gender/{corpus}/{language}/examples/layer_{site}.json",
        by="analyse_codes",
        function="gendered_examples",
        module="crosslens.gender.examples",
        params=lambda at: {
            "corpus": at["corpus"],
            "language": at["language"],
            "features": 5,
            "count": at.settings["features"]["top_examples"],
        },
        needs=lambda at: [*codes_of(at), at.need("gender", "corpus", "language", "site")],
        every=first_pairs,
        into=("page",),
    ),
    Kind(
        "probe_codes",
        "results/{study}/gender/{corpus}/{language}/probe/layer_{site}.json",
        by="analyse_codes",
        function="probe_codes",
        module="crosslens.gender.probes",
        params=probe_params,
        needs=codes_of,
        every=gendered_pairs,
        into=("layer",),
        amount=probing,
    ),
    Kind(
        "probe_activations",
        "results/{study}/gender/activations/{language}/probe/layer_{site}.json",
        by="analyse_activations",
        function="probe_activations",
        module="crosslens.gender.probes",
        params=probe_params,
        needs=lambda at: site_of(at, [at["language"]]),
        every=lambda at: (
            [site | each for site in each_site(at) for each in each_language(at)]
            if at.study.has_gender
            else []
        ),
        into=("layer",),
        amount=probing,
    ),
    Kind(
        "probe_words",
        "results/{study}/gender/words/{language}/probe.json",
        by="measure_words",
        module="crosslens.gender.words",
        params=words_params,
        needs=lambda at: [samples_of(at)],
        every=lambda at: each_language(at) if at.study.has_gender else [],
        amount=probing,
    ),
    Kind(
        "agreement",
        "results/{study}/gender/agreement/{language}",
        by="measure_agreement",
        module="crosslens.gender.agreement",
        params=lambda at: {
            "model": at.study.model.identity,
            "language": at["language"],
            "batch": at.settings["quality"]["batch"],
            **{name: at.settings["gender"][name] for name in ("alpha", "bootstraps", "seed")},
        },
        needs=lambda at: [samples_of(at), *model_of(at)],
        files_read=model_files,
        every=lambda at: each_language(at) if paired(at) else [],
        into=("page",),
        files={"targets.parquet": "", "agreement.json": ""},
        amount=agreeing,
    ),
    Kind(
        "agreement_figure",
        "results/{study}/figures",
        by="draw_study_figures",
        function="agreement_figure",
        module="crosslens.figures.agreement",
        needs=lambda at: at.every("agreement"),
        every=lambda at: [{}] if paired(at) else [],
        into=("page",),
        files={
            "agreement.png": "How often the model prefers the gendered form that agrees with what it has read, by language, "
            "distance and number of pieces."
        },
    ),
    Kind(
        "cross_lingual",
        "results/{study}/gender/{corpus}/cross_lingual/layer_{site}.json",
        by="analyse_codes",
        function="cross_lingual_bias",
        module="crosslens.gender.cross_lingual",
        params=lambda at: (
            effect_params(at)
            | {"bootstraps": at.settings["gender"]["bootstraps"]}
            | {"languages": at.study.languages, "pairs": at.study.pairs}
        ),
        needs=lambda at: [
            need
            for language in at.study.languages
            for need in [
                *codes_of(at.moved(language=language)),
                at.need("gender", "corpus", "site", language=language),
            ]
        ],
        every=shared_saes,
        into=("layer",),
        amount=resampling,
    ),
    Kind(
        "gender_transfer",
        "results/{study}/gender/activations/transfer/layer_{site}.json",
        by="analyse_activations",
        function="gender_transfer",
        module="crosslens.gender.transfer",
        params=transfer_params,
        needs=lambda at: site_of(at, at.study.languages),
        every=lambda at: each_site(at) if at.study.has_gender and at.study.pairs else [],
        into=("layer",),
        amount=shuffling,
    ),
    Kind(
        "generated",
        "results/{study}/generated/{language}.parquet",
        by="generate_captions",
        module="crosslens.gender.generate",
        params=lambda at: {
            "model": at.study.model.identity,
            "language": at["language"],
            "split": "test",
            **at.settings["stereotype"],
        },
        needs=lambda at: [samples_of(at), *model_of(at)],
        files_read=model_files,
        reads=source_of,
        every=lambda at: each_language(at) if captioned(at) else [],
        amount=captioning,
    ),
    Kind(
        "stereotype",
        "results/{study}/gender/stereotype.json",
        by="measure_stereotype",
        module="crosslens.gender.stereotype",
        params=lambda at: {
            "lexicons": lexicons_of(at),
            "languages": at.study.languages,
            "pairs": at.study.pairs,
            **{name: at.settings["gender"][name] for name in ("bootstraps", "alpha", "seed")},
        },
        # A drawn source has the planted shares to compare with.
        needs=lambda at: [
            *(at.need("generated", language=language) for language in at.study.languages),
            *(source_of(at) if at.study.source.has_truth else []),
        ],
        files_read=lexicon_files,
        every=lambda at: [{}] if captioned(at) else [],
        into=("page",),
    ),
]
WORK = [
    Work("measure_words", memory=1500, per=("language",)),
    Work("measure_agreement", memory=lambda at, threads: model_mb(at) + 3000, gpu=True, local=model_place),
    Work("generate_captions", memory=lambda at, threads: model_mb(at) + 2000, gpu=True, local=model_place),
    Work("measure_stereotype", memory=1500, local=data_place),
]
