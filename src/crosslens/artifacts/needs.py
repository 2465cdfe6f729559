"""What several stages are made from, and where their jobs run."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crosslens.artifacts.kinds import At, Need, Wildcards


def model_of(at: At) -> list[Need]:
    """The model that a rule makes of a GGUF file or a package, where there is one."""
    return [at.need("model", model=at.study.model.name)] if at.study.model.must_be_prepared else []


def model_files(at: At) -> list[Path]:
    """The user's own files of the model."""
    return at.study.model.files


def source_of(at: At) -> list[Need]:
    """The drawn or collected source, where there is one."""
    return [at.need(at.study.source.kind)] if at.study.source.kind else []


def samples_of(at: At, language: str | None = None) -> Need:
    """The table of one language: of given texts, or of those that the model writes."""
    kind = "texts" if at.study.source.is_generation else "dataset"
    return at.need(kind, language=language or at["language"])


def parts_of(at: At, kind: str, language: str, *names: str) -> list[Need]:
    """Every part of one language."""
    return [at.need(kind, *names, language=language, part=part) for part in at.parts]


def languages_of(at: At) -> list[str]:
    """The languages of a corpus: its own, or all of them for the joint and for pretrained SAEs."""
    return [at["corpus"]] if at["corpus"] in at.study.languages else at.study.languages


def site_of(at: At, languages: list[str]) -> Iterator[Need]:
    """Tables, tokens and activations of these languages at one site."""
    for language in languages:
        yield samples_of(at, language)
        yield from parts_of(at, "tokens", language)
        yield from parts_of(at, "activations", language, "site")


def first_sae(at: At) -> Need:
    """The SAE that the analyses read: a sweep's, that of a seed, a pretrained one, or the one of the first seed."""
    if "seed" in at:
        return at.need("sae", "corpus", "site", "seed")
    if "variant" in at:
        return at.need("swept_sae", "corpus", "site", "variant")
    if at["corpus"] in at.study.pretrained:
        return at.need("pretrained", "corpus", "site")
    return at.need("sae", "corpus", "site", seed=at.study.seeds[0])


def other_seeds(at: At) -> list[str]:
    """The seeds of which there are SAEs beside the one that the analyses read; none of pretrained ones."""
    trained = at["corpus"] in at.study.corpora and at["site"] in at.study.sae_sites
    return at.study.seeds[1:] if trained else []


def other_architectures(at: At) -> list[str]:
    """Of each architecture of the sweep but that of the SAE that the analyses read, the variant with most of its settings.

    Not of the frozen decoder: its directions were found by nobody, and are those that others start from.
    """
    trained = at["corpus"] in at.study.corpora and at["site"] in at.study.sae_sites
    own, variants = at.settings["sae"], at.study.variants if trained else {}
    of = {name: chosen.get("architecture", own["architecture"]) for name, chosen in variants.items()}

    def shared(name: str) -> int:
        return sum(own.get(setting) == value for setting, value in variants[name].items())

    others = dict.fromkeys(
        kind for kind in of.values() if kind not in (own["architecture"], "frozen_decoder")
    )
    return [max((name for name in of if of[name] == kind), key=shared) for kind in others]


def encoded(at: At) -> list[Need]:
    """An SAE and the tokens and activations of one language."""
    return [
        first_sae(at),
        *parts_of(at, "tokens", at["language"]),
        *parts_of(at, "activations", at["language"], "site"),
    ]


def codes_of(at: At) -> list[Need]:
    """What the analyses of codes read: the codes, their tokens and the table of the language."""
    return [
        samples_of(at),
        at.need("codes", "corpus", "language", "site"),
        *parts_of(at, "tokens", at["language"]),
    ]


# The wildcards of what a study has: `every` of many kinds.


def each_language(at: At) -> list[Wildcards]:
    return [{"language": language} for language in at.study.languages]


def each_site(at: At) -> list[Wildcards]:
    return [{"site": site} for site in at.study.sites]


def each_sae_site(at: At) -> list[Wildcards]:
    return [{"site": site} for site in at.study.sae_sites]


def each_sae(at: At) -> list[Wildcards]:
    """Every SAE that is analysed."""
    return [
        {"corpus": corpus, "site": site} for site in at.study.sites for corpus in at.study.corpora_at(site)
    ]


def each_pair(at: At) -> list[Wildcards]:
    """Every SAE that is analysed, in every language that it is read in: a language's own in that language."""
    return [
        {"corpus": corpus, "language": language, "site": site}
        for site in at.study.sites
        for corpus in at.study.corpora_at(site)
        for language in languages_of(at.moved(corpus=corpus))
    ]


def gendered_pairs(at: At) -> list[Wildcards]:
    """Every SAE in every language that it is read in, where gender is asked for."""
    return each_pair(at) if at.study.has_gender else []


def each_variant(at: At) -> list[Wildcards]:
    """Every SAE of the sweep."""
    return [
        {"corpus": corpus, "site": site, "variant": variant}
        for site in at.study.sae_sites
        for corpus in at.study.corpora
        for variant in at.study.variants
    ]


def each_swept_pair(at: At) -> list[Wildcards]:
    """Every SAE of the sweep, in every language that it is read in."""
    return [
        each | {"language": language}
        for each in each_variant(at)
        for language in languages_of(at.moved(**each))
    ]


# Where a job runs: told to its script, and no part of any key.


def data_place(at: At) -> dict[str, Any]:
    """Where the captions, pictures and lexicons are."""
    made = next((at.path(need) for need in source_of(at)), None)
    return {**at.study.source.places(made), "lexicons": at.settings["lexicons"]}


def model_place(at: At) -> dict[str, Any]:
    """Where and on what the model runs, and the pictures that it sees."""
    model = at.settings["model"] | {
        "id": model_folder(at),
        "name": at.study.model.label,
        "batch_tokens": at.settings["activations"]["batch_tokens"],
    }
    return {"model": model, "images": data_place(at)["images"]}


def model_folder(at: At) -> str:
    """The model's folder, made or given, or its hub id."""
    return next((at.path(need) for need in model_of(at)), at.study.model.id)


def model_mb(at: At) -> int:
    """Twice the weights (a bfloat16 file may run as float32): on disk where they can be seen, else by their number."""
    folder = Path(model_folder(at))
    if folder.is_dir():
        return 2 * sum(file.stat().st_size for file in folder.glob("*.safetensors")) // 2**20
    if at.study.model.must_be_prepared:
        return 3000
    return 4 * at.study.model.config.get("parameters", 4_000_000_000) // 2**20


def longest_of(at: At, language: str) -> tuple[float, float]:
    """Rows of a language, and tokens of its longest prompt with its text, both at most: infinite where nobody has looked."""
    parts = [at.study.extent(part, language) for part in at.parts]
    return sum(rows for rows, _ in parts), max(
        math.inf if longest is None else longest for _, longest in parts
    )


def features_of(at: At) -> int:
    """The largest number of features that an SAE of the study has."""
    chosen, swept = at.settings["sae"], at.settings["sweep"].get("d_sae", [])
    return max(chosen["d_sae"] or round(chosen["expansion"] * at.study.model.d_model), *swept, 1)
