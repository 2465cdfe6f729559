"""A tiny random vision-language model, and pictures for it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gender_study import write_study
from world import World

from crosslens.tables.documents import write_table


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """Folder of an untrained planted-size Gemma 3 and its processor."""
    from crosslens.planted.model import build_model, build_processor, save
    from crosslens.planted.tokenizer import build_tokenizer

    folder = tmp_path_factory.mktemp("model")
    tokenizer = build_tokenizer()
    model = build_model(tokenizer, 0)
    save(model, build_processor(tokenizer), folder)
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> tuple[Path, Path]:
    """(dataset parquet, image folder): 7 random pictures, one of known gender, with prompts of two lengths."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(7):
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(folder / f"p{i}.png")
        rows.append(
            {
                "sample_id": f"p{i}#0",
                "image_id": f"p{i}",
                "group": f"p{i}",
                "row": i + 1,
                "caption": "a person",
                "prompt": "Describe the picture." if i % 2 else "What is in this picture?",
                "gender": "male" if i == 6 else "unknown",
                "gender_source": "column",
                "category": "nurse" if i < 3 else "guard",
                "image": f"p{i}.png",
                "image_sha256": "",
                "split": "train" if i == 5 else "test",
                "label_spans": "[]",
            }
        )
    path = folder / "en.parquet"
    write_table(path, "dataset", pd.DataFrame(rows))
    return path, folder


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> World:
    """360 pictures, two captions each, in two languages; 40 female, 40 male, 40 unknown in every split."""
    return write_study(tmp_path_factory.mktemp("study"), images=360, captions=2, seed=0)
