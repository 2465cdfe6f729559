"""Settings that nothing of a study reads: whoever writes one down believes that it does something."""

from collections.abc import Iterator
from typing import NamedTuple

from crosslens import registry
from crosslens.data.languages import language_of
from crosslens.data.morphology import PACKAGE as MORPHOLOGY
from crosslens.data.morphology import morphology_of
from crosslens.errors import InputError
from crosslens.sae.settings import ARCHITECTURES, unread
from crosslens.study.settings import TRAINING, StudySettings
from crosslens.study.sources.base import Source

Faults = Iterator[InputError]

OVERRULED = {
    "expansion": ("d_sae", lambda d_sae: d_sae is not None),
    "epochs": ("train_tokens", lambda tokens: tokens is not None),
    "sink_factor": ("exclude_sinks", lambda excluded: not excluded),
    "aux_alpha": ("aux_k", lambda k: k == 0),
}
"""Setting of `sae` -> the one that makes it say nothing, and where it does."""
OF_CAPTIONS = ("words", "ask", "captions", "max_new_tokens")
"""Of `steering`, where pictures are captioned."""


class Reader(NamedTuple):
    """What reads some settings of a section, and whether a study has it."""

    section: str
    names: tuple[str, ...]
    """Empty: all of the section `but` some."""
    there: bool
    lacking: str
    """What the study has not, in words."""
    but: tuple[str, ...] = ()


def ignored_faults(settings: StudySettings, source: Source) -> Faults:
    """Of what the study's file says."""
    yield from _of_training(settings)
    for reader in _readers(settings, source):
        for name in () if reader.there else settings.given_in(reader.section, *reader.names, but=reader.but):
            yield settings.fault(
                f"{reader.section}.{name}",
                f"{settings[reader.section][name]!r}, which nothing reads",
                f"it with {reader.lacking} alone",
                "take it out",
            )
    if settings["causal"] is not None and not settings.pairs:
        languages = ", ".join(settings["languages"])
        yield settings.fault(
            "causal", f"tests of what languages share, and {languages} alone", "two languages", "take it out"
        )
    if settings["prompts"] and source.is_generation:
        yield settings.fault(
            "prompts", "prompts before given texts, and texts that the model writes", "none", "take it out"
        )
    if settings.gives("mask") and source.tagged is not None:
        yield settings.fault(
            "mask",
            f"{settings['mask']!r} beside words that the source marks, which are masked and no others",
            "one of the two",
            "take it out",
        )
    yield from _morphology(settings)


def _readers(settings: StudySettings, source: Source) -> Iterator[Reader]:
    """What not every study has."""
    has_gender = settings["gender"] is not None and not source.is_generation
    captioned = has_gender and source.has_pictures and bool(settings["lexicons"])
    yield Reader("compare", (), bool(settings["compare"]["with"]), "other studies in compare.with", ("with",))
    yield Reader("generation", (), source.is_generation, "source.prompts, which the model answers")
    drawn = bool(settings["generation"]["temperature"]) or not source.is_generation
    yield Reader("generation", ("top_p", "seed"), drawn, "a temperature above 0")
    trained = (*(name for name in TRAINING if name != "roles"), "seeds", "sites", "at_once")
    yield Reader("sae", trained, bool(settings["sae"]["corpora"]), "SAEs that are trained (sae.corpora)")
    if settings["embeddings"] is not None:
        yield Reader("embeddings", ("perplexity",), "tsne" in settings["embeddings"]["methods"], "tsne")
    if settings["steering"] is not None:
        yield Reader("steering", OF_CAPTIONS, captioned, "pictures that the model captions")
    if settings["patching"] is not None:
        yield Reader("patching", ("words",), source.tagged is None, "pictures")
    if source.is_generation or settings["gender"] is None:
        yield Reader("gender", (), not source.is_generation, "given texts")
        yield Reader("stereotype", (), False, "gender and pictures that the model captions")
        return
    conditions, several = settings["gender"]["conditions"], bool(settings.pairs)
    written = captioned or "generated" in conditions
    yield Reader("stereotype", (), written, "pictures that the model captions, and lexicons or `generated`")
    yield Reader("gender", ("transfer_permutations",), several, "two languages")
    resampled = several or captioned or source.tagged is not None
    yield Reader("gender", ("bootstraps",), resampled, "two languages, or what the model writes")
    grammar = "caption" in conditions and any(
        morphology_of(language, settings["gender"]["morphology"]) for language in settings["languages"]
    )
    yield Reader(
        "gender", ("grammar_permutations",), grammar, "captions in a language of known morphology (ar)"
    )


def _of_training(settings: StudySettings) -> Faults:
    """What no architecture of the study reads, or another setting overrules."""
    own, swept = settings["sae"], settings["sweep"]
    if not own["corpora"]:
        return
    given = settings.given_in("sae", *TRAINING)
    architectures = {own["architecture"], *swept.get("architecture", ())}
    ignored = set.intersection(*map(unread, architectures))
    named = ", ".join(sorted(architectures))
    for key, value in {
        **{f"sae.{name}": own[name] for name in given if name in ignored},
        **{f"sweep.{name}": values for name, values in swept.items() if name in ignored},
    }.items():
        name = key.partition(".")[2]
        readers = ", ".join(other for other in ARCHITECTURES if name not in unread(other))
        yield settings.fault(
            key, f"{value!r}, which {named} does not read", f"it with {readers} alone", "take it out"
        )
    for name in given:
        if name in OVERRULED and OVERRULED[name][1](own[other := OVERRULED[name][0]]) and name not in swept:
            found = f"{own[name]!r} beside sae.{other} {own[other]!r}, so that nothing reads it"
            yield settings.fault(f"sae.{name}", found, "one of the two", "take it out")


def _morphology(settings: StudySettings) -> Faults:
    adapter = (settings["gender"] or {}).get("morphology")
    known = [
        name.removesuffix(f"_{adapter}")
        for name in registry.names(MORPHOLOGY)
        if name.endswith(f"_{adapter}")
    ]
    if adapter and not {*known} & {*settings["languages"]}:
        lacking = " or ".join(language_of(code).name for code in known)
        yield settings.fault(
            "gender.morphology",
            f"{adapter}, and no {lacking}",
            f"{' or '.join(known)} in languages",
            "take it out",
        )
