"""What the jobs of each rule compute, in the unit of the rate that tells their time; other rules only start and end."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from crosslens.planning.jobs import readers
from crosslens.planning.reading import Reading
from crosslens.sae.settings import Settings

SPLICE_PASSES = 5
"""Clean, identity, spliced, zero and mean."""
RETRIEVAL_DRAWS = 100
"""The retrieval itself and the shuffles of its null."""
RETRIEVED = 5000
"""Images at most."""


Other = tuple[Reading, list[str]]
"""A study that is compared, and the languages that both have."""


class Work(NamedTuple):
    """Of all jobs of one rule."""

    rate: str
    amount: float
    what: str
    batches: float = 0
    """Forward passes and steps, each of which takes its time however little is in it."""


class Pair(NamedTuple):
    """An SAE at a site and a language that it is read in."""

    site: str
    corpus: str
    language: str


def settings_of(reading: Reading, changed: dict[str, Any] | None = None) -> Settings:
    """Of the study's SAEs, with what a variant of its sweep changes."""
    others = ("corpora", "sites", "seeds", "pretrained", "at_once")
    chosen = {name: value for name, value in reading.study.settings["sae"].items() if name not in others}
    return Settings.from_dict(chosen | (changed or {})).resolve(d_model=reading.model.d_model, tokens=1)


def active_entries(settings: Settings) -> int:
    """Entries of a token's code: k, or what the L1 penalty leaves."""
    return round(1 / (2 * settings.l1**2)) if settings.architecture in ("relu", "gated") else settings.k


def work_of_rules(reading: Reading, others: Sequence[Other]) -> dict[str, Work]:
    """Rule → work."""
    study = reading.study
    pairs = [
        Pair(site, corpus, language)
        for site in study.sites
        for corpus in study.corpora_at(site)
        for language in readers(study, corpus)
    ]
    swept = [
        Pair(site, corpus, language)
        for site in study.sae_sites
        for corpus in (study.corpora if study.variants else [])
        for language in readers(study, corpus)
    ]
    own = settings_of(reading)
    variants = [settings_of(reading, changed) for changed in study.variants.values()]
    return {
        **_model_work(reading, others),
        **_splices(reading, "splice_saes", pairs, 1),
        **_splices(reading, "splice_swept_saes", swept, len(variants)),
        **_sae_work(reading, pairs, swept, own, variants),
        **_gender_work(reading, pairs, own),
        **_alignment_work(reading, others),
    }


def _model_work(reading: Reading, others: Sequence[Other]) -> dict[str, Work]:
    study, parameters = reading.study, reading.model.parameters
    read = [(reading, study.languages), *others]
    flops = sum(one.extraction_flops[language] for one, languages in read for language in languages)
    batches = sum(one.extraction_batches[language] for one, languages in read for language in languages)
    texts, answers = study.settings["stereotype"], study.settings["generation"]
    hidden = [counts.hidden * study.settings["splits"]["test"] for counts in reading.counts.values()]
    captions = [count * texts["samples_per_image"] for count in hidden]
    answered = study.n_rows if study.is_generation else 0
    return {
        "extract": Work("forward", flops, f"{flops:.2g} FLOP", batches),
        "generate_captions": _generation(
            captions, texts, parameters, "for test pictures that hide the gender"
        ),
        "generate_texts": _generation([answered], answers, parameters, "of answers"),
    }


def _generation(texts: Sequence[float], settings: dict[str, Any], parameters: int, what: str) -> Work:
    """So many texts of each language, as long as they may be."""
    longest = settings["max_new_tokens"]
    tokens, batches = sum(texts) * longest, sum(math.ceil(count / settings["batch"]) for count in texts)
    what = f"at most {tokens:,.0f} tokens {what} × {parameters:,} parameters"
    return Work("generation", tokens * parameters, what, batches * longest)


def _splices(reading: Reading, rule: str, pairs: Sequence[Pair], times: int) -> dict[str, Work]:
    """Whole passes over test samples, and one to the site over train samples, for the mean that ablates."""
    study, depth, chosen = reading.study, reading.model.depth, reading.study.settings["quality"]
    train, test = (
        min(chosen["spliced_samples"], reading.samples * study.settings["splits"][name])
        for name in ("train", "test")
    )
    flops = times * sum(
        SPLICE_PASSES * reading.pass_flops(pair.language, test, depth)
        + reading.pass_flops(pair.language, train, int(pair.site.split(".")[0]) + 1)
        for pair in pairs
    )
    batches = times * len(pairs) * (SPLICE_PASSES * test + train) / chosen["batch"]
    what = (
        f"{SPLICE_PASSES} passes of {test:.0f} samples, and one of {train:.0f} to the site: {flops:.2g} FLOP"
    )
    return {rule: Work("forward", flops, what, batches)}


def _sae_work(
    reading: Reading,
    pairs: Sequence[Pair],
    swept: Sequence[Pair],
    own: Settings,
    variants: Sequence[Settings],
) -> dict[str, Work]:
    study, d_model = reading.study, reading.model.d_model
    share = study.settings["splits"]
    rows = {language: int(counts.trained.sum()) for language, counts in reading.counts.items()}
    trained = sum(
        share["train"] * rows[language]
        for _ in study.sae_sites
        for corpus in study.corpora
        for language in readers(study, corpus)
    )
    tokens = own.epochs * trained * (len(study.seeds) + len(variants))
    features = len(study.seeds) * own.d_sae + sum(variant.d_sae for variant in variants)
    read = sum(rows[pair.language] for pair in pairs)
    swept_rows = sum(rows[pair.language] for pair in swept)
    # Of the SAE and of its random baseline.
    held_out, swept_out = 2 * share["test"] * read, 2 * share["test"] * swept_rows
    entries = read * active_entries(own)
    return {
        "train_saes": Work(
            "sae_training",
            own.epochs * trained * features * d_model,
            f"{tokens:,.0f} tokens × {d_model:,} × features, {own.d_sae:,} in the study's own SAEs,",
            tokens / own.batch_tokens,
        ),
        "encode": Work("encoding", read * own.d_sae * d_model, f"{read:,} tokens"),
        "measure_quality": Work(
            "encoding",
            held_out * own.d_sae * d_model,
            f"{held_out:,.0f} tokens of test, baselines among them,",
        ),
        "apply_swept_sae": Work(
            "encoding",
            swept_out * d_model * sum(variant.d_sae for variant in variants),
            f"{swept_out * len(variants):,.0f} tokens of test, baselines among them,",
        ),
        "feature_statistics": Work("statistics", entries, f"{entries:,} entries of codes"),
    }


def _gender_work(reading: Reading, pairs: Sequence[Pair], own: Settings) -> dict[str, Work]:
    """What reads labelled images only: probes those of train, effects those of select and test."""
    study = reading.study
    if not study.has_gender:
        return {}
    chosen, share = study.settings["gender"], study.settings["splits"]
    train = {language: share["train"] * counts.labelled for language, counts in reading.counts.items()}
    conditions = len(chosen["conditions"])
    codes = conditions * sum(train[pair.language] for pair in pairs)
    values = conditions * sum(train.values()) * len(study.sites)
    draws = 2 * conditions * own.d_sae * (chosen["bootstraps"] + chosen["permutations"])
    effects = draws * len(pairs)
    compared = draws * sum(
        len(readers(study, corpus)) > 1 for site in study.sites for corpus in study.corpora_at(site)
    )
    # And the whole caption beside the masked one.
    shuffled = (conditions + 1) * sum(train.values()) * len(study.sites) * chosen["transfer_permutations"]
    return {
        "fit_probe_codes": Work("probing", codes, f"{codes:,.0f} labelled train images"),
        "fit_probe_activations": Work("probing", values, f"{values:,.0f} labelled train images"),
        "gender_effects": Work("resampling", effects, f"{effects:,} features resampled"),
        "compare_languages": Work("resampling", compared, f"{compared:,} features resampled"),
        "transfer_gender": Work("resampling", shuffled, f"{shuffled:,.0f} images shuffled"),
    }


def _alignment_work(reading: Reading, others: Sequence[Other]) -> dict[str, Work]:
    """Similarities of all pairs of images, and as often under a null."""
    study = reading.study
    images = min(RETRIEVED, study.settings["splits"]["test"] * max(c.images for c in reading.counts.values()))
    languages = len(study.languages)
    retrieved = len(study.sites) * math.comb(languages, 2) * RETRIEVAL_DRAWS * images**2
    chosen = study.settings["compare"]
    samples = min(chosen["max_samples"], reading.samples)
    compared = sum(
        len(common) * math.comb(len(study.sites) + len(other.study.sites), 2) for other, common in others
    )
    pairs = compared * (1 + chosen["draws"]) * samples**2
    return {
        "retrieve_captions": Work("pairing", retrieved, f"{retrieved:.2g} pairs of images"),
        "compare_models": Work("pairing", pairs, f"{pairs:.2g} pairs of samples"),
    }
