"""What an intervention works on: the model, and an SAE of one of its sites."""

from pathlib import Path
from typing import Any

from crosslens.features.encode import sae_of_model
from crosslens.models.load import LoadedModel, load_model
from crosslens.sae.io import check_site
from crosslens.sae.model import SAE


def model_and_sae(model: dict[str, Any], sae: Path, site: str) -> tuple[LoadedModel, SAE]:
    """Loaded, the SAE where it was saved to; model: keyword arguments of load_model. Raises InputError where they and the site
    do not belong together, before the model is loaded where that can be."""
    check_site(sae, site)
    loaded = load_model(**model)
    return loaded, sae_of_model(sae, loaded.name, model.get("revision"), loaded.d_model)
