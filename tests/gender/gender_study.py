"""A drawn study on disk whose gendered features are known; every sample has 4 prompt and 6 caption tokens."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from crosslens.tables.activations import create_activations, pack
from crosslens.tables.codes import write_codes
from crosslens.tables.documents import write_table
from crosslens.tables.tokens import ROLES, TokenTable, write_tokens

FEATURES, WIDTH = 80, 16
FEMALE, MALE = range(0, 6), range(6, 12)
ENGLISH_ONLY = range(12, 15)
LABEL_WORD = 20
"""Fires on the label word alone, for female pictures alone: masked in pooling, so it must not be found."""
HIDDEN = 21
"""Fires on pictures of unknown gender alone: found only by who counts them as someone."""
RARE = 22
"""Fires in too few pictures to be live."""
CAPTION_WORDS = ["woman", "holds", "a", "red", "book", "today"]


@dataclass
class Study:
    datasets: dict[str, Path] = field(default_factory=dict)
    tokens: dict[str, list[Path]] = field(default_factory=dict)
    codes: dict[str, Path] = field(default_factory=dict)
    activations: dict[str, list[Path]] = field(default_factory=dict)


def write_study(root: Path, *, images: int, captions: int, seed: int, sae: str = "a" * 64) -> Study:
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
    frame["caption"], frame["prompt"] = " ".join(CAPTION_WORDS), "Say it now please"
    frame["gender_source"], frame["image"], frame["image_sha256"] = "column", "", ""
    frame["label_spans"] = json.dumps([[0, len(CAPTION_WORDS[0])]])
    study = Study()
    picture = rng.random((images, FEATURES)) < 0.85
    for language in ("en", "ar"):
        folder = root / language
        folder.mkdir(parents=True)
        study.datasets[language] = folder / "dataset.parquet"
        write_table(study.datasets[language], "dataset", frame)
        study.tokens[language] = [folder / "tokens.zarr"]
        write_tokens(study.tokens[language][0], _tokens(frame["sample_id"]), language=language)
        codes = _codes(frame, picture.repeat(captions, axis=0), language, rng)
        study.codes[language] = folder / "codes.zarr"
        write_codes(
            study.codes[language],
            [csr_array(codes)],
            token=np.arange(len(codes)),
            d_sae=FEATURES,
            sae=sae,
            roles=["prompt", "caption"],
            language=language,
            site="4",
        )
        study.activations[language] = [folder / "activations.zarr"]
        x = rng.normal(size=(len(codes), WIDTH)) + 3.0
        x[:, 0] += 1.5 * (frame["gender"] == "female").to_numpy().repeat(10)
        group = create_activations(
            study.activations[language][0],
            d_model=WIDTH,
            dtype="float32",
            shard_bytes=1 << 22,
            site="4",
            layer=4,
            language=language,
            model="none",
            revision="",
        )
        for name, values in (("values", pack(x, "float32")), ("norm", np.linalg.norm(x, axis=1))):
            group[name].resize((len(x), *group[name].shape[1:]))
            group[name][:] = values
    return study


def _tokens(sample_ids: pd.Series) -> TokenTable:
    n = len(sample_ids)
    starts = np.cumsum([0] + [len(word) + 1 for word in CAPTION_WORDS[:-1]])
    ends = starts + [len(word) for word in CAPTION_WORDS]
    role = [ROLES.index("prompt")] * 4 + [ROLES.index("caption")] * 6
    return TokenTable(
        sample_ids=tuple(sample_ids),
        offsets=np.arange(0, 10 * n + 1, 10),
        sample=np.repeat(np.arange(n), 10),
        position=np.tile(np.arange(10), n),
        token_id=np.zeros(10 * n, dtype=np.int32),
        role=np.tile(role, n),
        char_start=np.tile([0, 4, 7, 11, *starts], n),
        char_end=np.tile([3, 6, 10, 17, *ends], n),
    )


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
