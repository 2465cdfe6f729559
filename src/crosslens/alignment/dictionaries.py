"""The directions of SAEs on disk, without torch: what matching needs of them."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from scipy.stats import special_ortho_group

from crosslens.alignment.assignment import unit_rows
from crosslens.errors import InputError

WEIGHTS, CONFIG = "sae_weights.safetensors", "cfg.json"


@dataclass(frozen=True)
class Dictionary:
    """Unit directions of the features of one SAE, a row a feature."""

    name: str
    """For messages and documents."""
    sae: str
    """sha256 of the weights: what ids belong to; empty for what was drawn."""
    decoder: np.ndarray
    """(F, d) float32."""
    encoder: np.ndarray
    """(F, d) float32."""

    def __len__(self) -> int:
        return len(self.decoder)

    def rows(self, keep: np.ndarray) -> "Dictionary":
        """The features of these ids."""
        return Dictionary(self.name, self.sae, self.decoder[keep], self.encoder[keep])


def read_dictionary(folder: Path, name: str) -> Dictionary:
    """Of the SAE in `folder` (SAELens layout). Raises InputError of what is none."""
    encoder, decoder = _tensors(folder, "W_enc", "W_dec")
    return Dictionary(name, digest_of(folder), unit_rows(decoder), unit_rows(encoder.T))


def read_decoder(folder: Path) -> np.ndarray:
    """(F, d) float32 W_dec of the SAE in `folder`. Raises InputError of what is none."""
    return _tensors(folder, "W_dec")[0]


def digest_of(folder: Path) -> str:
    """sha256 of the weights."""
    with (Path(folder) / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_digest(folder: Path, encoded: str) -> str:
    """The digest of the SAE in `folder`; InputError unless it is `encoded`, that of the SAE which codes or a table are of."""
    if (own := digest_of(folder)) != encoded:
        raise InputError(
            folder,
            found=f"the SAE {own[:12]}",
            expected=f"{encoded[:12]}, whose features were read",
            mend="encode again: a feature id means nothing in another SAE",
        )
    return own


def _tensors(folder: Path, *names: str) -> list[np.ndarray]:
    path = Path(folder) / WEIGHTS
    try:
        with safe_open(path, "numpy") as file:
            return [file.get_tensor(name) for name in names]
    except (OSError, SafetensorError) as error:
        raise InputError(
            path, found=error, expected="W_enc and W_dec of an SAE", mend="train it again"
        ) from error


def turned(of: Dictionary, rng: np.random.Generator) -> Dictionary:
    """The same directions after a random rotation (Haar): as they lie to each other, and none where it was."""
    rotation = special_ortho_group.rvs(of.decoder.shape[1], random_state=rng).astype(np.float32)
    return Dictionary("turned", "", of.decoder @ rotation, of.encoder @ rotation)


def check_one_site(folders: dict[str, Path]) -> dict[str, str]:
    """`site` and `model` of the SAEs, by their cfg.json; raises InputError unless all have the same."""
    found = {}
    for name, folder in folders.items():
        identity = json.loads((Path(folder) / CONFIG).read_text(encoding="utf-8"))["metadata"]["crosslens"]
        found[name] = {key: identity[key] for key in ("site", "model")}
    (first, reference), *others = found.items()
    for name, identity in others:
        if identity != reference:
            raise InputError(
                Path(folders[name]) / CONFIG,
                found=f"{identity} ({name})",
                expected=f"{reference} as in {first}",
                mend="match SAEs of one site of one model",
            )
    return reference
