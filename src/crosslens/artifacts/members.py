"""Which members of open packages (see crosslens.registry) are in use at a place: no other is part of its keys."""

from crosslens.artifacts.kinds import At
from crosslens.data.morphology import PACKAGE as MORPHOLOGY
from crosslens.data.morphology import layer_name
from crosslens.models.families import family_of

ARCHITECTURES = "crosslens.sae.architectures"
LANGUAGES = "crosslens.data.languages"
RECORDS = "crosslens.summary.records"


def members_of(at: At) -> tuple[str, ...]:
    """Full names of modules. Of a package that has none among them, all members count."""
    study, settings = at.study, at.settings["sae"]
    if "variant" in at:
        settings = settings | study.variants[at["variant"]]
    # A family of the user's may be built on any.
    family = None if at.settings["model"]["adapter"] else family_of(study.model.config)
    spoken = {
        *study.languages,
        *(text["language"] for text in (at.settings["tokens"] or {}).get("texts", [])),
    }
    adapter = (study.settings["gender"] or {}).get("morphology")
    return (
        f"{ARCHITECTURES}.{settings['architecture']}",
        *(f"{LANGUAGES}.{language}" for language in sorted(spoken)),
        *(f"{MORPHOLOGY}.{layer_name(language, adapter)}" for language in sorted(spoken)),
        *(f"{RECORDS}.{kind}" for kind in at.table.recorded(at["study"])),
        *([family] if family else []),
    )
