"""Small caption tables and images, written per test."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crosslens.data.labels import load_lexicon

HEADER = ("image_id", "english_prompt", "arabic_prompt", "ground_truth_gender", "category")
LEXICONS = Path(__file__).parents[2] / "resources/lexicons"


def write_csv(path, rows, header=HEADER):
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def write_image(path, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def people(n, gendered=True):
    """n rows: every third female, male, unknown, in two categories."""
    told = {"female": ("a woman", "امرأة"), "male": ("a man", "رجل"), "unknown": ("a person", "شخص")}
    rows = []
    for i in range(n):
        gender = ("female", "male", "unknown")[i % 3]
        english, arabic = told[gender]
        row = [f"img_{i:04d}", f"{english} number {i}", f"{arabic} رقم {i}", gender, "ab"[i // 3 % 2]]
        rows.append(row if gendered else [*row[:3], row[4]])
    return rows


@pytest.fixture
def captions(tmp_path):
    """Write rows (and a header) as a caption table; returns its path."""

    def write(rows, header=HEADER, name="captions.csv"):
        return write_csv(tmp_path / name, rows, header)

    return write


@pytest.fixture(scope="session")
def lexicons():
    """The shipped lexicons by file stem."""
    return {path.stem: load_lexicon(path) for path in LEXICONS.glob("*.yaml")}
