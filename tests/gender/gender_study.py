"""A drawn study on disk whose gendered features are known; every sample has 4 prompt and 6 caption tokens."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from world import World, tokens_of, write_corpus, write_dense_codes

FEATURES, WIDTH = 80, 16
FEMALE, MALE = range(0, 6), range(6, 12)
ENGLISH_ONLY = range(12, 15)
LABEL_WORD = 20
"""Fires on the label word alone, for female pictures alone: masked in pooling, so it must not be found."""
HIDDEN = 21
"""Fires on pictures of unknown gender alone: found only by who counts them as someone."""
RARE = 22
"""Fires in too few pictures to be live."""
PROMPT_WORDS = ["Say", "it", "now", "please"]
CAPTION_WORDS = ["woman", "holds", "a", "red", "book", "today"]


def write_study(root: Path, *, images: int, captions: int, seed: int, sae: str = "a" * 64) -> World:
    """English and Arabic of the same pictures; splits, genders and categories are balanced."""
    rng = np.random.default_rng(seed)
    index = np.arange(images)
    gender = np.array(["female", "male", "unknown"], dtype=object)[index % 3]
    split = np.array(["train", "select", "test"], dtype=object)[index // 3 % 3]
    category = np.array([f"work{i}" for i in range(5)], dtype=object)[index // 9 % 5]
    frame = pd.DataFrame({"image_id": [f"i{i:04d}" for i in index], "gender": gender, "split": split})
    frame["category"] = category
    frame = frame.loc[frame.index.repeat(captions)].reset_index(drop=True)
    number = np.tile(np.arange(captions), images)
    frame.insert(0, "sample_id", [f"{i}#{k}" for i, k in zip(frame["image_id"], number, strict=True)])
    frame["row"] = np.arange(1, len(frame) + 1)
    frame["caption"], frame["prompt"] = " ".join(CAPTION_WORDS), " ".join(PROMPT_WORDS)
    frame["gender_source"], frame["image"], frame["image_sha256"] = "column", "", ""
    frame["label_spans"] = json.dumps([[0, len(CAPTION_WORDS[0])]])
    tokens = tokens_of("prompt", PROMPT_WORDS) + tokens_of("caption", CAPTION_WORDS)
    samples = dict.fromkeys(frame["sample_id"], tokens)
    study = World()
    picture = rng.random((images, FEATURES)) < 0.85
    for language in ("en", "ar"):
        codes = _codes(frame, picture.repeat(captions, axis=0), language, rng)
        x = rng.normal(size=(len(codes), WIDTH)) + 3.0
        x[:, 0] += 1.5 * (frame["gender"] == "female").to_numpy().repeat(10)
        study[language] = write_corpus(root, frame, samples, x, language=language)
        study[language].codes = write_dense_codes(
            root / f"{language}_codes.zarr", codes, sae=sae, roles=("prompt", "caption"), language=language
        )
    return study


def _codes(frame: pd.DataFrame, picture: np.ndarray, language: str, rng: np.random.Generator) -> np.ndarray:
    """(10 n, F): an exponential where a feature fires; gender raises how strongly the planted features fire."""
    n = len(frame)
    strength = np.ones((n, FEATURES))
    for gender, features in (("female", FEMALE), ("male", MALE)):
        boosted = [*features, *(ENGLISH_ONLY if language == "en" and gender == "female" else [])]
        strength[np.ix_(frame["gender"] == gender, boosted)] = 3.0
        strength[np.ix_(frame["gender"] == "unknown", boosted)] = 50.0
    fires = picture[:, None, :] & (rng.random((n, 10, FEATURES)) < 0.7)
    codes = np.where(fires, strength[:, None, :] * (0.2 + rng.exponential(size=fires.shape)), 0.0)
    codes[:, :, [LABEL_WORD, HIDDEN, RARE]] = 0.0
    codes[(frame["gender"] == "female").to_numpy(), 4, LABEL_WORD] = 5.0
    codes[(frame["gender"] == "unknown").to_numpy(), :, HIDDEN] = 5.0
    codes[:12, 0, RARE] = 1.0
    return codes.reshape(10 * n, FEATURES).astype(np.float32)
