"""An SAE that others trained, as an artifact of a study."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.sae.exchange.hooks import place_of
from crosslens.sae.exchange.names import same_model
from crosslens.sae.exchange.read import read_sae
from crosslens.sae.io import save_sae


def adopt_sae(source: str, out: Path, *, identity: Mapping[str, Any], width: int | None = None) -> None:
    """Write the SAE at `source` (folder, file or hf: id) to `out` as the study's SAE of `identity`.

    identity: corpus, site, seed, model, revision. width: d_model, where it is known. Raises InputError where
    its files name another site, model or revision, it is of another width, or a transcoder.
    """
    foreign = read_sae(source, expect_site=identity["site"], expect_width=width)
    if foreign.transcoder:
        raise InputError(
            source,
            found="a transcoder",
            expected="an SAE, which reconstructs what it reads",
            mend="name an SAE of the residual stream, of attn_out or of mlp_out",
        )
    in_this_model = place_of(foreign.hook, identity["model"]).may_be
    if foreign.hook and foreign.site is None and (foreign.may_be is None or in_this_model == ()):
        raise InputError(
            source,
            found=f"an SAE of {foreign.hook!r}, which is no known name of a site of this model",
            expected=f"one of site {identity['site']}",
            mend=f"if it is that site, convert it with `crosslens sae convert … --site {identity['site']}` first",
        )
    if foreign.model and not same_model(foreign.model, identity["model"]):
        raise InputError(
            source,
            found=f"an SAE of the model {foreign.model}",
            expected=f"one of {identity['model']}",
            mend="name an SAE of the study's model, or study the model of the SAE; what is meant for both can be "
            "converted with `crosslens sae convert … --model`",
        )
    if foreign.revision not in (None, "main", identity["revision"]) and identity["revision"] is not None:
        raise InputError(
            source,
            found=f"an SAE of the model's revision {foreign.revision}",
            expected=f"one of {identity['revision']}",
            mend=f"pin `model.revision` to the commit of {foreign.revision}, or, if both are one, convert it with "
            "`crosslens sae convert` first",
        )
    save_sae(out, foreign.sae, identity=dict(identity), trained_as=foreign.trained_as)
