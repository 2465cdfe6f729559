"""Small caption tables and images, and a shorthand for building a dataset from them."""

import csv
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from PIL import Image

from crosslens.data.dataset import build_dataset
from crosslens.tables.documents import read_json, read_table

HEADER = ("image_id", "english_prompt", "arabic_prompt", "ground_truth_gender", "category")
UNLABELLED = ("image_id", "english_prompt", "arabic_prompt", "category")
LEXICONS = Path(__file__).parents[2] / "resources/lexicons"
RELAXED = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
"""For property tests on a busy machine, where wall-clock limits say nothing."""
TOLD = {"female": ("a woman", "امرأة"), "male": ("a man", "رجل"), "unknown": ("a person", "شخص")}


def write_csv(path, rows, header=HEADER):
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def write_image(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def people(images, captions=1):
    """Rows of `images` images: female, male and unknown in turn, in two categories."""
    rows = []
    for i in range(images):
        gender = tuple(TOLD)[i % 3]
        english, arabic = TOLD[gender]
        rows += [
            [
                f"img_{i:05d}",
                f"{english} in picture {i}.{k}",
                f"{arabic} في الصورة {i}.{k}",
                gender,
                "ab"[i // 3 % 2],
            ]
            for k in range(captions)
        ]
    return rows


def build(folder, captions, **changes):
    """Run the stage on `captions`; returns (tables by language, summary)."""
    languages = changes.pop("languages", ("en", "ar"))
    folder.mkdir(exist_ok=True)
    settings = {
        "captions": captions,
        "images": None,
        "columns": None,
        "prompts": {"en": "Describe the picture.", "ar": "صف الصورة."},
        "lexicons": {"en": LEXICONS / "gender_en.yaml", "ar": LEXICONS / "gender_ar.yaml"},
        "splits": {"train": 0.6, "select": 0.2, "test": 0.2},
        "seed": 0,
        "languages": languages,
        "out": {language: folder / f"{language}.parquet" for language in languages},
        "out_summary": folder / "summary.json",
        **changes,
    }
    build_dataset(**settings)
    tables = {language: read_table(path, "dataset") for language, path in settings["out"].items()}
    return tables, read_json(settings["out_summary"], "dataset_summary")
