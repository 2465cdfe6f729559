"""That numbers are those of the SAE which they are read with."""

from pathlib import Path

from crosslens.errors import InputError


def check_of_sae(path: Path, what: str, sae: str, expected: str) -> None:
    """Raise InputError unless what is in a file is of the SAE `expected`: an id means nothing in another dictionary.

    what: of the features, in words; sae, expected: digests of weights.
    """
    if sae != expected:
        raise InputError(
            path,
            found=f"{what} of the SAE {sae}",
            expected=f"those of {expected}",
            mend="rebuild the analyses of this layer from one SAE",
        )
