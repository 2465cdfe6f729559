"""An SAE that others trained, as an artifact of a study."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.sae.exchange.fold import centred
from crosslens.sae.exchange.read import read_sae
from crosslens.sae.exchange.said import refusals
from crosslens.sae.io import save_sae


def adopt_sae(
    source: str,
    out: Path,
    *,
    identity: Mapping[str, Any],
    called: str | None = None,
    width: int | None = None,
    centre: bool | None = None,
) -> None:
    """Write the SAE at `source` (folder, file or hf: id) to `out` as the study's SAE of `identity`.

    identity: corpus, site, seed, model, revision. called: the model's name, where its label in `identity` is none that
    others would know. width: d_model, where it is known. centre: whether it learned residuals less their mean over channels
    (see `centred`), whatever its files say of it; None is as they say. Raises InputError where its files name another site,
    model or revision, it is of another width, or a transcoder.
    """
    foreign = read_sae(source, expect_width=width)
    models = [called or identity["model"], identity["model"]]
    of_study = {"site": identity["site"], "revision": identity["revision"], "models": models}
    for found, expected, mend in refusals(foreign, **of_study):
        raise InputError(source, found=found, expected=expected, mend=mend)
    if centre:
        foreign.sae.normalize, _ = centred(source, foreign.sae.normalize, transcoder=foreign.transcoder)
    if centre is False and foreign.sae.normalize == "channel_mean":
        foreign.sae.normalize = "none"
    save_sae(out, foreign.sae, identity=dict(identity), trained_as=foreign.trained_as)
