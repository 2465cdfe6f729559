"""The trainable SAEs, an architecture a file, by the names that a study's settings use.

A file holds one subclass of Architecture, and `READS`: the settings that it reads and not every architecture does.
"""

from crosslens.registry import member
from crosslens.sae.architectures.base import Architecture


def architecture(name: str) -> type[Architecture]:
    """The architecture of that name; InputError where no file is called so."""
    module = member("crosslens.sae.architectures", name)
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Architecture) and value.__module__ == module.__name__
    )
    return found
