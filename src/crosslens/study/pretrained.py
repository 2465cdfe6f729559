"""What the JSON beside a pretrained SAE says of it, as far as a study can tell before anything runs.

The weights are not opened, and what is on the hub is not fetched: crosslens.sae.exchange checks both when it reads them.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from crosslens.errors import InputError
from crosslens.sae.exchange.hooks import place_of
from crosslens.sae.exchange.names import same_model
from crosslens.study.model import Model
from crosslens.study.settings import StudySettings

CONFIGURATIONS = ("cfg.json", "config.json")
HUB = re.compile(r"hf:[\w.-]+/[\w.-]+(/[\w.=+-]+)*(@[\w./-]+)?", re.ASCII)


class Stated(NamedTuple):
    """What the configuration says; None where it does not."""

    width: int | None
    hook: str | None
    model: str | None
    architecture: str | None


def pretrained_faults(settings: StudySettings, model: Model) -> Iterator[InputError]:
    """Names, sites and places of `sae.pretrained`, and what the files there say of width, hook, model and architecture."""
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
            yield from _place(settings, model, site, source, f"{key}.{site}")
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
    stated = stated_in(Path(source))
    if stated.width is not None and model.known_width is not None and stated.width != model.known_width:
        yield settings.fault(
            key,
            f"an SAE for width {stated.width} at {source}",
            f"width {model.known_width}, that of {model.name}",
            "name an SAE of the study's model",
        )
    place = place_of(stated.hook, model.name)
    if stated.hook and (place.may_be is None or site not in place.may_be):
        read = f" of site {place.site}" if place.site else ""
        yield settings.fault(
            key,
            f"an SAE{read} ({stated.hook}) at {source}",
            f"site {site}",
            "name the site that the SAE was trained at, or the SAE of this site",
        )
    if "transcoder" in (stated.architecture or ""):
        yield settings.fault(
            key,
            f"a transcoder at {source}",
            "an SAE, which reconstructs what it reads",
            "name an SAE of the residual stream, of attn_out or of mlp_out",
        )
    if stated.model and not same_model(stated.model, model.name):
        yield settings.fault(
            key,
            f"an SAE of the model {stated.model} at {source}",
            f"one of {model.name}",
            "name an SAE of the study's model, or study the model of the SAE",
        )


def stated_in(source: Path) -> Stated:
    """What the configuration of the SAE at `source`, a folder or a file in one, says of it."""
    folder = source.parent if source.is_file() else source
    folder = folder.parent if folder.name == "checkpoints" else folder
    file = next((folder / name for name in CONFIGURATIONS if (folder / name).is_file()), None)
    try:
        document = json.loads(file.read_text(encoding="utf-8")) if file else {}
    except ValueError as error:
        raise InputError(file, found=error, expected="JSON", mend="fetch the SAE again") from error
    config = document if isinstance(document, dict) else {}
    # SAELens of version 6, and dictionary_learning, keep some of it one level down.
    inner = {k: v for name in ("metadata", "trainer") for k, v in _section(config, name).items()}
    told = config | inner

    def first(kind: type, *names: str) -> Any:
        return next((told[name] for name in names if isinstance(told.get(name), kind)), None)

    return Stated(
        first(int, "d_in", "activation_dim"),
        first(str, "hook_name", "hook_point"),
        first(str, "model_name", "lm_name"),
        first(str, "architecture"),
    )


def _section(config: dict[str, Any], name: str) -> dict[str, Any]:
    return config[name] if isinstance(config.get(name), dict) else {}
