"""The stage `live`: a small Gemma-3 vision-language model with its SAEs as a page that runs them.

The JavaScript is beside this file. What it computes is what crosslens.generation, crosslens.sae and crosslens.interventions
compute, in float32: tests/report/test_live_parity.py holds the one against the other.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crosslens.alignment.dictionaries import check_digest, digest_of
from crosslens.data.languages import language_of
from crosslens.data.lexicons import load_lexicon
from crosslens.features.promoted import Promoted
from crosslens.gender.agreement import word_ends
from crosslens.generation.ids import end_tokens
from crosslens.interventions.arms import levels_on_select
from crosslens.interventions.person_words import word_pairs
from crosslens.models.inputs import frame, special_ids
from crosslens.models.load import LoadedModel, load_model
from crosslens.report.live.shown import pictures_of
from crosslens.report.live.weights import as_text, model_tensors, smallest
from crosslens.sae.io import read_config, read_safetensors
from crosslens.sae.layout import WEIGHTS
from crosslens.summary.names import (
    corpus_name,
    direction,
    language_name,
    short_name,
    site_name,
    site_order,
)
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_table
from crosslens.tables.roles import SINK_FACTOR
from crosslens.tables.scripts import copy_page, write_script
from crosslens.tables.tokens import read_tokens

GIVEN = "Live.provide"
"""What the page takes its data by."""
MAX_NEW_TOKENS = 40
"""Of a caption."""
PROMOTED = 3
"""Tokens by which a feature is called."""


def pack_live_page(
    *,
    model: dict[str, Any],
    images: Path | None,
    tokenizer: Path,
    datasets: dict[str, Path],
    tokens: dict[str, list[Path]],
    saes: dict[str, Path],
    codes: dict[str, Path],
    promoted: dict[str, Path],
    effects: dict[str, Path],
    lexicons: dict[str, Path],
    words: dict[str, list[list[str]]],
    roles: Sequence[str],
    condition: str | None,
    out: Path,
) -> None:
    """Write the page to the folder `out`: index.html, live.css, scripts, and data/ with `study.js`, `model.js` and `sae_….js`.

    model: keyword arguments of load_model; tokenizer: its tokenizer.json. datasets, tokens, lexicons: by language. saes,
    promoted: by `{corpus}/{site}`; codes, effects (folders of kind gender): by `{corpus}/{language}/{site}`. words: language ->
    pairs of a female and a male word, in the place of the lexicon's. roles: of the tokens that an edit reaches. condition: of
    the effects that are shown. SAEs that write elsewhere than they read are left out. Raises InputError where codes and SAE do
    not belong together, and of pictures that are missing or changed.
    """
    loaded = load_model(**model)
    frames = {language: read_table(path, "dataset") for language, path in datasets.items()}
    out = Path(out)
    copy_page("crosslens.report.live", out)
    weights = as_text({name: smallest(tensor) for name, tensor in model_tensors(loaded).items()})
    write_script(out, GIVEN, "model", weights)
    listed = []
    for name in sorted(saes, key=lambda name: (site_order(name.split("/")[1]), name)):
        corpus, site = name.split("/")
        config = read_config(saes[name])
        if config["architecture"].endswith("transcoder"):
            continue
        of = {
            language: codes[place]
            for language in datasets
            if (place := f"{corpus}/{language}/{site}") in codes
        }
        file = f"sae_{len(listed)}"
        steered = {
            language: Steered(saes[name], path, tokens[language], frames[language])
            for language, path in of.items()
        }
        effect = {
            language: effect_sizes(effects[place], condition)
            for language in of
            if (place := f"{corpus}/{language}/{site}") in effects
        }
        write_script(
            out,
            GIVEN,
            file,
            {
                "cfg": config,
                "site": site,
                "roles": list(roles),
                "weights": as_text(read_safetensors(saes[name] / WEIGHTS)),
                "levels": {language: told.levels for language, told in steered.items()},
                "limits": {language: told.limit for language, told in steered.items()},
                "effects": effect,
                "promoted": promoted_tokens(promoted[name], digest_of(saes[name]), config["d_sae"]),
            },
        )
        listed.append(
            {
                "name": f"{corpus}.{site}",
                "file": file,
                "label": f"{site_name(site)}, {corpus_name(corpus)}",
                "languages": list(of),
                "features": config["d_sae"],
                "gendered": sum(map(len, effect.values())),
            }
        )
    write_script(
        out,
        GIVEN,
        "study",
        {
            "config": json.loads(loaded.model.config.to_json_string(use_diff=False)),
            "tokenizer": json.loads(Path(tokenizer).read_text(encoding="utf-8")),
            **reading(loaded),
            "languages": {
                language: {
                    "name": language_name(language),
                    "short": short_name(language),
                    "direction": direction(language),
                    "proclitics": list(language_of(language).prefixes),
                    **person_words(language, lexicons, words),
                }
                for language in datasets
            },
            "pictures": pictures_of(loaded, frames, images, gendered=bool(lexicons)),
            "saes": listed,
            "max_new": MAX_NEW_TOKENS,
            "bytes": len(weights),
            "note": computed_in(loaded),
        },
    )


def reading(loaded: LoadedModel) -> dict[str, Any]:
    """How the model is asked: the text around a prompt with its picture, ids that mean something, how pixels are scaled."""
    head, middle, _ = frame(loaded, image=True, with_caption=False)
    processor = loaded.processor.image_processor
    return {
        "frame": {
            "head": head.replace(loaded.adapter.image_marker, loaded.adapter.image_text(None)),
            "middle": middle,
        },
        "image": loaded.adapter.image_token_id,
        "special": sorted(special_ids(loaded.tokenizer)),
        "ends": end_tokens(loaded),
        "word_ends": word_ends(loaded.tokenizer).tolist(),
        "pixels": {
            "size": loaded.model.config.vision_config.image_size,
            "mean": list(processor.image_mean),
            "std": list(processor.image_std),
            "factor": processor.rescale_factor,
        },
    }


def person_words(
    language: str, lexicons: dict[str, Path], words: dict[str, list[list[str]]]
) -> dict[str, Any]:
    """Pairs of a female and a male word, and all gendered words; none of a study without lexicons."""
    if language not in lexicons:
        return {"pairs": [], "gendered": []}
    known = load_lexicon(lexicons[language], language)
    return {"pairs": word_pairs(lexicons[language], words.get(language)), "gendered": sorted(known.entries)}


def computed_in(loaded: LoadedModel) -> str:
    """What the reader must know of its numbers where they are not the study's; else the empty string."""
    dtype = str(loaded.model.dtype).removeprefix("torch.")
    if dtype == "float32":
        return ""
    return f"The study computes in {dtype}, this page in float32: numbers, and now and then a word, differ."


class Steered:
    """What an edit of an SAE's features needs of one language: m of each feature, and the norm above which a token is a sink."""

    def __init__(self, sae: Path, codes: Path, tokens: list[Path], dataset: pd.DataFrame):
        stored = Codes(codes)
        check_digest(sae, stored.attributes["sae"])
        high = levels_on_select(stored, read_tokens(tokens), dataset).high
        self.levels = [float(f"{value:.7g}") for value in high]
        self.limit = SINK_FACTOR * float(np.median(stored.norm))


def effect_sizes(folder: Path, condition: str | None) -> dict[int, float]:
    """Feature -> Cohen's d on test (positive: stronger of women) where it is significant."""
    table = read_table(folder / "effects.parquet", "gender_effects")
    own = table[(table["condition"] == condition) & (table["split"] == "test") & table["significant"]]
    own = own[np.isfinite(own["d"])]
    return {int(row.feature): round(float(row.d), 3) for row in own.itertuples()}


def promoted_tokens(folder: Path, sae: str, d_sae: int) -> dict[int, list[str]]:
    """Feature -> the first tokens that its decoder row promotes; sae: digest of the SAE that ids are of."""
    promoted = Promoted(folder)
    promoted.check(sae)
    told = {feature: promoted.tokens(feature, "promoted", PROMOTED) for feature in range(d_sae)}
    return {feature: tokens for feature, tokens in told.items() if tokens}
