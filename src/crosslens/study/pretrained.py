"""What the files of a pretrained SAE say of it beside its weights, as far as a study can tell before anything runs.

The weights are not opened, and what is on the hub is not fetched: the job checks both, and by the same `refusals`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from crosslens.errors import InputError
from crosslens.sae.exchange.said import refusals, said_in
from crosslens.study.model import Model
from crosslens.study.settings import StudySettings

HUB = re.compile(r"hf:[\w.-]+/[\w.-]+(/[\w.=+-]+)*(@[\w./-]+)?", re.ASCII)


def pretrained_faults(
    settings: StudySettings, model: Model, *, files_needed: bool = True
) -> Iterator[InputError]:
    """Names, sites and places of `sae.pretrained`, and what the files there say of width, hook, model and architecture.

    files_needed false: they need not be there yet.
    """
    chosen, sites = settings["sae"], settings["sites"]
    for name, sources in chosen["pretrained"].items():
        key = f"sae.pretrained.{name}"
        if name == "joint" or name in settings["languages"]:
            yield settings.fault(key, f"the name of a corpus, {name!r}", "a name of its own", "rename it")
        for site, source in sources.items():
            if site not in sites:
                yield settings.fault(
                    key, f"site {site!r}", f"sites of the study, {sites}", "correct the site"
                )
            if files_needed or source.startswith("hf:") or Path(source).exists():
                yield from _place(settings, model, site, source, f"{key}.{site}")
    if strange := sorted({*chosen["centred"]} - chosen["pretrained"].keys()):
        yield settings.fault(
            "sae.centred",
            ", ".join(strange),
            f"names of sae.pretrained ({', '.join(chosen['pretrained'])})",
            "correct it",
        )
    if chosen["centred"] and model.has_rms_norms:
        yield settings.fault(
            "sae.centred",
            f"{', '.join(chosen['centred'])}, and a model of RMSNorms",
            "a model of LayerNorms, which do not see the mean over channels",
            "take it out: TransformerLens never takes the mean off what such a model writes",
        )
    for name, sites_of in chosen["neuronpedia"].items():
        known = [*chosen["corpora"], *chosen["pretrained"]]
        if name not in known or not set(sites_of) <= set(sites):
            yield settings.fault(
                f"sae.neuronpedia.{name}",
                f"{name} at {', '.join(sites_of)}",
                f"SAEs of the study ({', '.join(known)}) at its sites",
                "correct the name or the site",
            )
    covered = {site for sources in chosen["pretrained"].values() for site in sources}
    missing = [site for site in chosen["sites"] or sites if site not in covered]
    if chosen["pretrained"] and not chosen["corpora"] and missing:
        yield settings.fault(
            "sae.pretrained",
            f"no SAE for {missing}",
            "one for each site of sae.sites",
            "name one, or a corpus to train on",
        )


def _place(settings: StudySettings, model: Model, site: str, source: str, key: str) -> Iterator[InputError]:
    if source.startswith("hf:"):
        if not HUB.fullmatch(source):
            yield settings.fault(key, repr(source), "hf:owner/name/folder@commit", "correct the id")
        return
    if not Path(source).exists():
        mend = "correct the path"
        yield settings.fault(
            key, f"nothing at {source}", "a folder or file, or hf:owner/name/folder@commit", mend
        )
        return
    said = said_in(Path(source))
    if said is None:
        return
    if said.width is not None and model.known_width is not None and said.width != model.known_width:
        yield settings.fault(
            key,
            f"an SAE for width {said.width} at {source}",
            f"width {model.known_width}, that of {model.name}",
            "name an SAE of the study's model",
        )
    models, revision = [model.name, model.label], settings["model"]["revision"]
    for found, expected, mend in refusals(said, site=site, models=models, revision=revision):
        yield settings.fault(key, f"{found} at {source}", expected, mend)
