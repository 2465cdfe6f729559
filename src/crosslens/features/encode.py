"""Feature codes of all tokens of the declared roles, written once and read by every later analysis."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array

from crosslens.errors import InputError
from crosslens.pooling.rows import blocks, check_same_rows
from crosslens.progress import Progress
from crosslens.sae.io import check_site, check_width, load_sae, sae_digest, sae_identity
from crosslens.sae.model import SAE
from crosslens.store.remove import remove
from crosslens.tables.activations import Activations
from crosslens.tables.codes import write_codes
from crosslens.tables.roles import ROLES
from crosslens.tables.tokens import read_tokens


def open_sae(folder: Path, activations: Activations, device: str = "cpu") -> SAE:
    """The SAE in `folder`, on `device`; InputError unless of the site, model and width of `activations`."""
    sae = load_sae(folder)
    check_width(sae, activations.d_model, folder)
    check_site(folder, activations.attributes["site"])
    check_model(folder, activations.attributes["model"], activations.attributes["revision"])
    return sae.to(device)


def sae_of_model(folder: Path, model: str, revision: str | None, d_model: int) -> SAE:
    """The SAE in `folder`; InputError unless it was trained on `model` at `revision`, and is `d_model` wide."""
    check_model(folder, model, revision)
    sae = load_sae(folder)
    check_width(sae, d_model, folder)
    return sae


def check_model(folder: Path, model: str, revision: str | None) -> None:
    """Raise InputError unless the SAE in `folder` was trained on `model` at `revision`.

    Of a path only the last part counts; no revision and an empty one are the same.
    """
    identity = sae_identity(folder)
    found, expected = (
        (Path(name).name, pinned or "")
        for name, pinned in ((identity["model"], identity["revision"]), (model, revision))
    )
    if found != expected:
        raise InputError(
            folder,
            found=f"an SAE of {' '.join(found).strip()}",
            expected=f"one of {' '.join(expected).strip()}",
            mend="use an SAE that was trained on this model and revision",
        )


def block_rows(d_sae: int) -> int:
    """Rows to encode at once so that their pre-activations stay within 256 MiB."""
    return max(64, min(8192, (1 << 26) // d_sae))


def to_csr(values: np.ndarray, indices: np.ndarray, d_sae: int) -> csr_array:
    """values (B, k) and feature indices (B, k) to CSR (B, F): entries > 0, indices ascending in a row."""
    active = values > 0
    order = np.argsort(np.where(active, indices, d_sae), axis=1, kind="stable")
    values, indices = np.take_along_axis(values, order, 1), np.take_along_axis(indices, order, 1)
    counts = active.sum(axis=1)
    first = np.arange(values.shape[1]) < counts[:, None]
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return csr_array((values[first], indices[first].astype(np.int32), indptr), shape=(len(values), d_sae))


@torch.inference_mode()
def encode(
    *,
    sae: Path,
    tokens: Sequence[Path],
    activations: Sequence[Path],
    roles: Sequence[str],
    out: Path,
    device: str = "cpu",
) -> None:
    """Encode the tokens of `roles` of all samples, every split, to a Zarr group of kind `codes` at `out`.

    tokens, activations: the parts of one language and site, in the same order. Memory: about 256 MiB of
    pre-activations. Raises InputError at a NaN (with sample and position), and where the SAE is of another
    site, model or width than the activations.
    """
    table, stored = read_tokens(tokens), Activations(activations)
    unknown = set(roles) - set(ROLES)
    if unknown or not roles:
        raise InputError(
            "roles", found=list(roles), expected=f"some of {ROLES}", mend="correct the study's token roles"
        )
    model = open_sae(sae, stored, device)
    check_same_rows(stored, table)
    keep = table.has_role(roles)
    remove(out)
    progress = Progress(f"encode site {stored.attributes['site']}", int(keep.sum()), "tokens")

    def encoded() -> Iterator[csr_array]:
        for token_rows, x in blocks(stored, table, keep, rows=block_rows(model.d_sae)):
            values, indices = model.encode(torch.from_numpy(x).to(device))
            yield to_csr(values.cpu().numpy(), indices.cpu().numpy(), model.d_sae)
            progress.update(len(token_rows))

    write_codes(
        out,
        encoded(),
        token=np.flatnonzero(keep),
        norm=stored.norms()[keep],
        d_sae=model.d_sae,
        sae=sae_digest(sae),
        roles=list(roles),
        language=stored.attributes["language"],
        site=stored.attributes["site"],
    )
