"""The shipped models: files are what SHA256SUMS says, they load, and show the bias that was planted."""

import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from crosslens.planted.card import CARD, README, SUMS, WEIGHTS, readme
from crosslens.planted.evaluation import failures, generate, measured_bias
from crosslens.planted.model import load
from crosslens.planted.scenes import LANGUAGES, PLANTED_BIAS, sample_scene

RESOURCES = Path(__file__).parents[2] / "resources"
FOLDERS = ("planted", "planted_control")


@cache
def shipped(name: str):
    return load(RESOURCES / name)


@pytest.mark.parametrize("name", FOLDERS)
def test_checksums_cover_every_file(name: str) -> None:
    folder = RESOURCES / name
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    listed = {line.split("  ", 1)[1]: line.split("  ", 1)[0] for line in lines}
    assert set(listed) == {path.name for path in folder.iterdir()} - {SUMS}
    for file, digest in listed.items():
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest, file
    assert (folder / WEIGHTS).stat().st_size <= 4_000_000


@pytest.mark.parametrize("name", FOLDERS)
def test_card_meets_its_targets_and_the_readme_is_made_from_it(name: str) -> None:
    card = json.loads((RESOURCES / name / CARD).read_text(encoding="utf-8"))
    assert card["control"] == (name == "planted_control")
    assert failures(card["figures"], control=card["control"]) == card["targets_missed"] == []
    assert (RESOURCES / name / README).read_text(encoding="utf-8") == readme(card)


@pytest.mark.parametrize("language", LANGUAGES)
def test_planted_bias_is_measured(language: str) -> None:
    measured = measured_bias(*shipped("planted"), language, per_occupation=6)
    planted = PLANTED_BIAS[language]
    pairs = np.array([(planted[occupation], p) for occupation, p in measured.items()])
    assert np.corrcoef(pairs.T)[0, 1] >= 0.99
    assert np.abs(pairs[:, 0] - pairs[:, 1]).mean() <= 0.03


@pytest.mark.parametrize("language", LANGUAGES)
def test_control_shows_no_bias(language: str) -> None:
    measured = measured_bias(*shipped("planted_control"), language, per_occupation=6)
    assert max(abs(p - 0.5) for p in measured.values()) <= 0.05


def test_sampled_captions_are_sentences_of_their_language() -> None:
    scenes = [sample_scene("test", 0, i, gender="female") for i in range(4)]
    english, arabic = (generate(*shipped("planted"), scenes, language, seed=0) for language in LANGUAGES)
    assert all(text.endswith(".") and text.isascii() for text in english)
    assert all(text.endswith(".") and not text.isascii() for text in arabic)
