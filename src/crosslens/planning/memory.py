"""Megabytes that the job of each rule asks for. Imports nothing heavy: the rules read it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from crosslens.study import Study

PLANTED_MODEL_MB = 3000
"""To train the embedded model, which belongs to no study."""
FIXED = {
    "draw_source": 800,
    "collect_source": 1500,
    "build_dataset": 1500,
    "adopt_sae": 8000,
    "analyse_codes": 2500,
    "analyse_activations": 2500,
    "compare_settings": 1000,
    "draw_sweep_figure": 1000,
    "measure_stereotype": 1500,
    "compare_models": 2500,
    "layer_summary": 1000,
    "draw_layer_figures": 1500,
    "draw_study_figures": 1500,
    "build_report": 1500,
}
"""Rules whose memory hangs on no setting of a study."""
GEMMA = {"mm_tokens_per_image": 256, "image_size": 896}
"""Of Gemma 3, the largest pictures of the families: for models whose sizes are not known."""


class _Place(NamedTuple):
    study: Study
    folder: Path | None
    threads: int


def job_mb(rule: str, study: Study, folder: Path | None = None, *, threads: int = 1) -> int:
    """Of one job of `rule`.

    folder: where the model will be, if not where the study says. threads: of the rule, which read as many batches ahead.
    """
    return FIXED[rule] if rule in FIXED else SIZED[rule](_Place(study, folder, threads))


def model_mb(study: Study, folder: Path | None = None) -> int:
    """Twice the weights (a bfloat16 file may run as float32): on disk where they can be seen, else by their number."""
    folder = folder or study.model_folder
    if folder is not None and folder.is_dir():
        return 2 * sum(file.stat().st_size for file in folder.glob("*.safetensors")) // 2**20
    if study.must_be_prepared:
        return 3000
    return 4 * study.model_config.get("parameters", 4_000_000_000) // 2**20


def features_of(study: Study) -> int:
    """The largest number of features that an SAE of the study has."""
    chosen, swept = study.settings["sae"], study.settings["sweep"].get("d_sae", [])
    return max(chosen["d_sae"] or round(chosen["expansion"] * study.width), *swept, 1)


def _extract(place: _Place) -> int:
    """The model, the values of batches that wait to be written and of the one in the model, and pictures that wait."""
    study = place.study
    values = 4 * study.settings["activations"]["batch_tokens"] * study.width * len(study.sites)
    # One batch for each reader, one in the model and one that was read in time.
    pictures = (place.threads + 2) * _batch_of_pictures_mb(study)
    return _model(place) + 1500 + 4 * values // 2**20 + pictures


def _batch_of_pictures_mb(study: Study) -> int:
    """Pictures of one batch: as read, as float32, and in the dtype of the model; none where the study has none."""
    if not study.has_pictures:
        return 0
    config = study.model_config
    side = config.get("vision_config", {}).get("image_size", GEMMA["image_size"])
    tokens = config.get("mm_tokens_per_image", GEMMA["mm_tokens_per_image"])
    values, as_read = 3 * side**2, 3 * side**2 if study.draws_pictures else 16 << 20
    count = max(1, study.settings["activations"]["batch_tokens"] // tokens)
    return -(-count * (as_read + 8 * values) // 2**20)


def _train(place: _Place) -> int:
    """Weights (in bfloat16 too), gradients, two moments and pre-activations of the SAEs that train together, shuffles."""
    study, chosen = place.study, place.study.settings["sae"]
    sae = features_of(study) * (34 * study.width + 8 * chosen["batch_tokens"])
    together = sae * min(chosen["at_once"], saes_per_site(study))
    return round(1500 + together / 2**20 + len(study.languages) * chosen["buffer_mb"])


def saes_per_site(study: Study) -> int:
    """SAEs that one job trains."""
    return len(study.corpora) * (len(study.seeds) + len(study.variants))


def _codes(place: _Place) -> int:
    """An SAE and a block of its dense pre-activations."""
    return 2000 + 8 * features_of(place.study) * place.study.width // 2**20


def _model(place: _Place) -> int:
    return model_mb(place.study, place.folder)


def _splices(place: _Place) -> int:
    """The model, its logits, and the SAEs of a site that are spliced in one after the other."""
    study = place.study
    saes = max(len(study.corpora) + len(study.pretrained), len(study.variants))
    return _model(place) + 2000 + saes * 8 * features_of(study) * study.width // 2**20


def _with_model(more: int) -> Callable[[_Place], int]:
    return lambda place: _model(place) + more


SIZED: dict[str, Callable[[_Place], Any]] = {
    "prepare_model": lambda place: 4 * _model(place),
    "generate_texts": _with_model(2000),
    "extract": _extract,
    "train_saes": _train,
    "apply_saes": _codes,
    "apply_swept_sae": _codes,
    "splice_saes": _splices,
    "splice_swept_saes": _splices,
    "generate_captions": _with_model(2000),
    "inspect_tokens": _with_model(1500),
}
"""Rules whose memory follows from the sizes of the model, the SAEs or the pictures."""
