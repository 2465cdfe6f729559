"""Single tokens looked at, and the models of two studies compared on the same texts."""

import math
from typing import Any

from crosslens.artifacts.kinds import Amount, At, Kind, Need, Work
from crosslens.artifacts.needs import model_files, model_mb, model_of, model_place, samples_of, source_of


def inspection_params(at: At) -> dict[str, Any]:
    """The texts, samples and tokens, at which sites, in which model."""
    chosen = at.settings["tokens"]
    model = at.study.model.identity | {"name": at.study.model.name}  # the figures are headed by it
    return chosen | {"sites": chosen["sites"] or at.study.sites, "model": model}


def inspection_needs(at: At) -> list[Need]:
    """The model, where a rule makes it, and the tables that the samples are of."""
    tables = at.study.languages if at.settings["tokens"]["samples"] else []
    return [*model_of(at), *(samples_of(at, language) for language in tables)]


def comparison_params(at: At) -> dict[str, Any]:
    """The studies, which the document names, and which tokens and how many samples."""
    chosen = {name: value for name, value in at.settings["compare"].items() if name != "with"}
    return {"studies": [at["study"], at["other"]], **chosen}


def comparison_needs(at: At):
    """Table, tokens and all activations of one language in both studies."""
    language = at["language"]
    for place in (at, at.moved(study=at["other"])):
        yield samples_of(place)
        yield from place.every("tokens", language=language)
        yield from place.every("activations", language=language)


def compared(at: At) -> list[dict[str, str]]:
    """Every study that is compared, in every language that both have."""
    found = []
    for other in at.settings["compare"]["with"]:
        theirs = at.moved(study=other).study.languages
        common = [language for language in at.study.languages if language in theirs]
        if not common:
            at.study.settings.fail(
                "compare.with",
                f"{other!r}, a study of {theirs}",
                f"a study of {at.study.languages}",
                "compare studies of the same texts",
            )
        found += [{"other": other, "language": language} for language in common]
    return found


def comparing(at: At, reading: Any) -> Amount:
    """Similarities of all pairs of samples, for all pairs of sites and their null."""
    chosen, theirs = at.settings["compare"], at.moved(study=at["other"]).study.sites
    samples = min(chosen["max_samples"], reading.samples)
    pairs = math.comb(len(at.study.sites) + len(theirs), 2)
    return Amount("pairing", pairs * (1 + chosen["draws"]) * samples**2)


KINDS = [
    Kind(
        "token_inspection",
        "results/{study}/tokens/inspection",
        by="inspect_tokens",
        module="crosslens.tokens.inspect",
        params=inspection_params,
        needs=inspection_needs,
        files_read=model_files,
        reads=lambda at: source_of(at) if at.settings["tokens"]["samples"] else [],
        every=lambda at: [{}] if at.settings["tokens"] else [],
        into=("all",),
        holds=13,
    ),
    Kind(
        "model_comparison",
        "results/{study}/comparison/{other}/{language}",
        by="compare_models",
        module="crosslens.tokens.compare",
        params=comparison_params,
        needs=comparison_needs,
        every=compared,
        into=("all",),
        holds=5,
        amount=comparing,
    ),
]
WORK = [
    Work("inspect_tokens", memory=lambda at, threads: model_mb(at) + 1500, gpu=True, local=model_place),
    Work("compare_models", memory=2500),
]
