"""What the schema cannot say of a study's settings: files that must be there, and sections that must fit each other."""

from pathlib import Path

from crosslens.models.packages import PACKAGED
from crosslens.study.model import Model
from crosslens.study.settings import StudySettings
from crosslens.study.sources.base import Source


def check(settings: StudySettings, model: Model, source: Source, *, data_needed: bool = True) -> None:
    """Raise InputError for the first fault. `data_needed` false: captions and pictures need not be there yet."""
    _check_model(settings, model)
    _check_languages(settings, source)
    _check_saes(settings)
    _check_shares(settings)
    _check_depth(settings, model)
    if data_needed:
        source.check_files()
    source.check_roles()


def _check_model(settings: StudySettings, model: Model) -> None:
    adapter = settings["model"]["adapter"]
    if adapter is not None and not Path(adapter).is_file():
        settings.fail("model.adapter", f"no file {adapter}", "a Python file", "correct the path")
    if model.folder is not None and not [*model.folder.glob("*.safetensors")]:
        settings.fail(
            "model.id",
            f"no weights in safetensors in {model.folder}",
            "a model folder",
            "save the model there with save_pretrained",
        )
    if model.gguf is not None and not model.gguf.is_file():
        settings.fail("model.id", f"no file {model.gguf}", "a GGUF file", "correct the path")
    if model.is_packaged and model.name not in PACKAGED:
        known = ", ".join(f"package:{name}" for name in PACKAGED)
        settings.fail("model.id", model.id, known, "name one of these")


def _check_languages(settings: StudySettings, source: Source) -> None:
    languages = settings["languages"]
    for language in languages if not source.is_generation else ():
        if language not in settings["prompts"]:
            settings.fail(
                "prompts", f"no prompt for {language!r}", "one per language", f"add `{language}: …`"
            )
    for key in ("prompts", "lexicons"):
        for language in sorted(settings[key].keys() - set(languages)):
            settings.fail(key, f"{language!r}", f"one of {languages}", "remove it or add the language")
    for language, lexicon in settings["lexicons"].items():
        if not Path(lexicon).is_file():
            settings.fail(f"lexicons.{language}", f"no file {lexicon}", "a lexicon", "correct the path")


def _check_saes(settings: StudySettings) -> None:
    chosen, languages, sites = settings["sae"], settings["languages"], settings["sites"]
    for corpus in chosen["corpora"]:
        if corpus != "joint" and corpus not in languages:
            settings.fail("sae.corpora", f"{corpus!r}", f"joint or one of {languages}", "correct it")
    if not chosen["corpora"] and not chosen["pretrained"]:
        settings.fail("sae.corpora", "none", "a corpus, or a pretrained SAE", "name one")
    for name, sources in chosen["pretrained"].items():
        _check_pretrained(settings, name, sources)
    trained = chosen["sites"] or sites
    if strange := sorted(set(trained) - set(sites)):
        settings.fail("sae.sites", strange, f"some of the study's sites, {sites}", "correct them")
    covered = {site for sources in chosen["pretrained"].values() for site in sources}
    if not chosen["corpora"] and (missing := [site for site in trained if site not in covered]):
        settings.fail(
            "sae.pretrained",
            f"no SAE for {missing}",
            "one for each site of sae.sites",
            "name one, or a corpus to train on",
        )
    if settings["sweep"] and not chosen["corpora"]:
        settings.fail("sweep", "a sweep", "sae.corpora, what it trains on", "name a corpus")
    stored = set(settings["activations"]["roles"])
    if missing := set(chosen["roles"]) - stored:
        settings.fail(
            "sae.roles",
            sorted(missing),
            f"roles that are stored: {sorted(stored)}",
            "add to activations.roles",
        )


def _check_pretrained(settings: StudySettings, name: str, sources: dict[str, str]) -> None:
    key, sites = f"sae.pretrained.{name}", settings["sites"]
    if name == "joint" or name in settings["languages"]:
        settings.fail(key, f"the name of a corpus, {name!r}", "a name of its own", "rename it")
    for site, source in sources.items():
        if site not in sites:
            settings.fail(key, f"site {site!r}", f"sites of the study, {sites}", "correct the site")
        if not source.startswith("hf:") and not Path(source).exists():
            settings.fail(
                f"{key}.{site}",
                f"nothing at {source}",
                "a folder or file, or hf:owner/name/folder@commit",
                "correct the path",
            )


def _check_shares(settings: StudySettings) -> None:
    total = sum(settings["splits"][name] for name in ("train", "select", "test"))
    if abs(total - 1) > 1e-6:
        settings.fail("splits", f"shares that add up to {total:g}", "1", "correct the shares")


def _check_depth(settings: StudySettings, model: Model) -> None:
    for site in settings["sites"] if model.depth is not None else ():
        if int(site.split(".")[0]) >= model.depth:
            settings.fail(
                "sites",
                f"layer {site}",
                f"0 to {model.depth - 1}: {model.name} has {model.depth} blocks, counted from 0",
                "name a layer that the model has",
            )
