"""An SAE from one tool's files into another's."""

import re
from pathlib import Path

from crosslens.errors import InputError
from crosslens.sae.exchange.read import read_sae
from crosslens.sae.exchange.sparsify import write_sparsify
from crosslens.sae.io import save_sae

IMPORTED = {"corpus": "pretrained", "seed": 0}
"""What stands in the identity of an SAE that no study of ours trained."""


def convert_sae(
    source: str | Path,
    folder: Path,
    *,
    to: str = "saelens",
    site: str | None = None,
    target: str | None = None,
    model: str | None = None,
    revision: str = "",
    scaling_factor: float | None = None,
) -> tuple[str, ...]:
    """Write the SAE at `source` to `folder` for `to` (saelens, which is also ours, or sparsify); what to know of it.

    site, target (of a transcoder), model: where the source does not say; a site that it contradicts is an InputError,
    as is one that stays unknown. revision: of the model that it was trained on, if pinned.
    """
    for flag, named in (("--site", site), ("--target", target)):
        if named is not None:
            _check_notation(flag, named)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(folder, found="something there", expected="no such folder yet", mend="name another")
    foreign = read_sae(source, expect_site=site, scaling_factor=scaling_factor)
    if to == "sparsify":
        write_sparsify(folder, foreign.sae)
        return foreign.notes
    if foreign.format == "crosslens":
        raise InputError(
            source,
            found="an SAE of ours",
            expected="one of another tool",
            mend="use it as it is: SAELens reads it",
        )
    if foreign.target and target and foreign.target != target:
        raise InputError(
            source, found=f"target {foreign.target}", expected=f"target {target}", mend="leave --target out"
        )
    if target and not foreign.transcoder and foreign.format != "gemma_scope":
        raise InputError(source, found="no transcoder", expected="no --target", mend="leave --target out")

    site = _known(foreign.site or site, source, f"site ({foreign.hook or 'nothing said'})", "--site 14")
    model = _known(model or foreign.model, source, "model", "--model google/gemma-3-4b-it")
    if foreign.transcoder:
        target = _known(foreign.target or target, source, "target of a transcoder", "--target 14.mlp_out")
    save_sae(
        folder,
        foreign.sae,
        identity={**IMPORTED, "site": site, "model": model, "revision": revision},
        trained_as=foreign.trained_as,
        target=target,
    )
    if foreign.transcoder and foreign.sae.architecture == "topk":
        return (*foreign.notes, "SAELens has no TopK transcoders: only crosslens reads this one")
    return foreign.notes


def _known(value: str | None, source: str | Path, what: str, flag: str) -> str:
    if not value:
        raise InputError(source, found=f"no known {what}", expected="one", mend=f"give it, such as {flag}")
    return value


def _check_notation(flag: str, site: str) -> None:
    # mlp_in is where transcoders read: no activations of ours are of it, and none will pass for them
    if not re.fullmatch(r"\d+(\.(resid_pre|attn_out|mlp_in|mlp_out))?", site, flags=re.ASCII):
        raise InputError(
            flag,
            found=repr(site),
            expected="a block number, alone or with .resid_pre, .attn_out, .mlp_in or .mlp_out",
            mend="write for example '4' or '4.mlp_out'",
        )
