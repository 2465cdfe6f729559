"""Megabytes that the jobs ask for. Imports nothing heavy: the rules read it."""

from pathlib import Path
from typing import Any

from crosslens.study import Study


def model_mb(study: Study, folder: Path | None = None) -> int:
    """Twice the weights on disk, where they can be seen (a bfloat16 file may run as float32).

    folder: where the model will be, if not where the study says.
    """
    folder = folder or study.model_folder
    if folder is None or not folder.is_dir():
        return 3000 if study.must_be_prepared else 16000
    return 2 * sum(file.stat().st_size for file in folder.glob("*.safetensors")) // 2**20


def extract_mb(study: Study, folder: Path | None = None) -> int:
    """The model, and a shard of every site that is being filled while another is written."""
    stored = study.settings["activations"]
    return model_mb(study, folder) + 1500 + round(2 * len(study.sites) * stored["shard_mb"])


def features_of(study: Study) -> int:
    """The largest number of features that an SAE of the study has."""
    chosen, swept = study.settings["sae"], study.settings["sweep"].get("d_sae", [])
    return max(chosen["d_sae"] or round(chosen["expansion"] * study.width), *swept, 1)


def sae_mb(study: Study, saes: int) -> int:
    """Weights (in bfloat16 too), gradients, two moments and pre-activations of the SAEs that train together, shuffles."""
    chosen: dict[str, Any] = study.settings["sae"]
    sae = features_of(study) * (34 * study.width + 8 * chosen["batch_tokens"])
    together = sae * min(chosen["at_once"], saes)
    return round(1500 + together / 2**20 + len(study.languages) * chosen["buffer_mb"])


def codes_mb(study: Study) -> int:
    """An SAE and a block of its dense pre-activations."""
    return 2000 + 8 * features_of(study) * study.width // 2**20
