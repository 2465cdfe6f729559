"""Which members of open packages (see crosslens.registry) are in use at a place: no other is part of its keys."""

from crosslens.artifacts.kinds import At
from crosslens.data.languages import PACKAGE as LANGUAGES
from crosslens.models.families import family_of


def members_of(at: At) -> tuple[str, ...]:
    """Full names of modules. Of a package that has none among them, all members count."""
    settings = at.settings["sae"] | (at.study.variants[at["variant"]] if "variant" in at else {})
    # A family of the user's may be built on any.
    family = None if at.settings["model"]["adapter"] else family_of(at.study.model_config)
    return (
        f"crosslens.sae.architectures.{settings['architecture']}",
        *([family] if family else []),
        *(f"{LANGUAGES}.{language}" for language in at.study.languages),
    )
