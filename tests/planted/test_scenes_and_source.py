"""Scenes, drawings and the written source: determinism, balance, hold-out, and the prefix property."""

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from crosslens.planted.captions import parse
from crosslens.planted.drawing import SIZE, draw
from crosslens.planted.scenes import (
    OBJECT_GENDER,
    OBJECTS,
    OCCUPATIONS,
    PLACES,
    PLANTED_BIAS,
    is_held_out,
    sample_scene,
    scene_cues,
    training_scene,
)
from crosslens.planted.source import COLUMNS, draw_source, source_scene


def read_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "captions.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_more_images_only_append(tmp_path: Path) -> None:
    draw_source(tmp_path / "small", images=20, seed=3)
    draw_source(tmp_path / "large", images=40, seed=3)
    small, large = ((tmp_path / name / "captions.csv").read_bytes() for name in ("small", "large"))
    assert large.startswith(small) and large.count(b"\n") == 41
    pictures = sorted((tmp_path / "small" / "images").iterdir())
    assert len(pictures) == 20
    for picture in pictures:
        assert picture.read_bytes() == (tmp_path / "large" / "images" / picture.name).read_bytes()


def test_source_columns_truth_and_agreement_with_the_scene(tmp_path: Path) -> None:
    draw_source(tmp_path, images=50, seed=0)
    rows = read_rows(tmp_path)
    assert tuple(rows[0]) == COLUMNS
    for index, row in enumerate(rows):
        scene = source_scene(index, seed=0)
        assert row["object_gender"] == OBJECT_GENDER[row["object"]]
        assert (row["ground_truth_gender"] == "unknown") == scene.ambiguous
        for column, language in (("english_prompt", "en"), ("arabic_prompt", "ar")):
            slots = parse(row[column], language)
            assert slots.object == row["object"] and slots.place == row["place"]
            if row["ground_truth_gender"] != "unknown" and slots.gender is not None:
                assert slots.gender == row["ground_truth_gender"]
    truth = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    expected = {"schema": 1, "kind": "planted_truth", "control": False, "bias": dict(PLANTED_BIAS)}
    assert truth == expected


def test_control_source_has_the_same_pictures_and_an_even_truth(tmp_path: Path) -> None:
    draw_source(tmp_path / "main", images=30, seed=0)
    draw_source(tmp_path / "control", images=30, seed=0, control=True)
    for main, control in zip(read_rows(tmp_path / "main"), read_rows(tmp_path / "control"), strict=True):
        assert main["ground_truth_gender"] == control["ground_truth_gender"]
        name = f"{main['image_id']}.png"
        pictures = [(tmp_path / kind / "images" / name).read_bytes() for kind in ("main", "control")]
        assert pictures[0] == pictures[1]
    truth = json.loads((tmp_path / "control" / "truth.json").read_text(encoding="utf-8"))
    assert truth["control"] is True
    assert {p for table in truth["bias"].values() for p in table.values()} == {0.5}


@pytest.mark.parametrize("images", [10, 37, 100, 430])
def test_source_is_balanced_for_any_length(images: int) -> None:
    genders = {occupation: Counter() for occupation in OCCUPATIONS}
    for index in range(images):
        scene = source_scene(index, seed=1)
        genders[scene.occupation][scene.gender] += 1
    totals = [sum(count.values()) for count in genders.values()]
    assert max(totals) - min(totals) <= 1
    for count in genders.values():
        assert abs(count["female"] - count["male"]) <= 1
        assert abs(count["hidden"] - 0.4 * sum(count.values())) < 1


def test_ambiguous_captions_follow_the_planted_bias_and_are_independent_across_languages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    monkeypatch.setattr("crosslens.planted.source.draw", lambda scene: Image.new("RGB", (1, 1)))
    draw_source(tmp_path, images=3000, seed=0)
    said = {("en", o): [] for o in OCCUPATIONS} | {("ar", o): [] for o in OCCUPATIONS}
    both = []
    for row in read_rows(tmp_path):
        if row["ground_truth_gender"] == "unknown":
            genders = {"en": parse(row["english_prompt"], "en").gender}
            genders["ar"] = parse(row["arabic_prompt"], "ar").gender
            for language, gender in genders.items():
                if gender is not None:
                    said[language, row["category"]].append(gender == "female")
            if row["category"] == "artist" and None not in genders.values():
                both.append((genders["en"] == "female", genders["ar"] == "female"))
    for (language, occupation), draws in said.items():
        p = PLANTED_BIAS[language][occupation]
        assert abs(sum(draws) / len(draws) - p) < 4.5 * (p * (1 - p) / len(draws)) ** 0.5
    joint = sum(en and ar for en, ar in both) / len(both)
    assert abs(joint - 0.5 * 0.4) < 0.14


@pytest.mark.parametrize(("images", "holdout"), [(0, "evaluation"), (5, "training"), (5, ""), (5, "a/b")])
def test_source_refuses_bad_requests(tmp_path: Path, images: int, holdout: str) -> None:
    with pytest.raises(ValueError, match="images=|holdout="):
        draw_source(tmp_path, images=images, seed=0, holdout=holdout)


def test_held_out_combinations_never_occur_in_training() -> None:
    combinations = [(c, o, p) for c in OCCUPATIONS for o in OBJECTS for p in PLACES]
    assert sum(is_held_out(*combination) for combination in combinations) == 60
    scenes = [training_scene(seed, index) for seed in (0, 1, 2) for index in range(4000)]
    assert not any(is_held_out(s.occupation, s.object, s.place) for s in scenes)
    assert len({(s.occupation, s.object, s.place) for s in scenes}) == 540
    held_out = [sample_scene("x", 0, i, combinations="held_out") for i in range(50)]
    assert all(is_held_out(s.occupation, s.object, s.place) for s in held_out)


def test_spaces_share_no_scene() -> None:
    training, evaluation = training_scene(0, 5), sample_scene("evaluation", 0, 5)
    assert training.key != evaluation.key
    assert training_scene(0, 5) == training and training_scene(1, 5) != training


def test_visible_training_pictures_are_even_in_every_occupation() -> None:
    scenes = [training_scene(0, index) for index in range(16_000)]
    for occupation in OCCUPATIONS:
        visible = [s.gender == "female" for s in scenes if s.occupation == occupation and not s.ambiguous]
        assert abs(sum(visible) / len(visible) - 0.5) < 0.06


def test_cues_are_informative_but_faint() -> None:
    genders = ("female", "male")
    scenes = [sample_scene("cues", 0, i, gender=genders[i % 2]) for i in range(4000)]
    right = [(scene_cues(s).posterior_female > 0.5) == (s.gender == "female") for s in scenes]
    assert 0.96 < sum(right) / len(right) < 0.99
    assert scene_cues(sample_scene("cues", 0, 0, gender="hidden")) is None


def test_drawing_is_a_function_of_the_scene() -> None:
    scene = sample_scene("draw", 0, 0)
    assert draw(scene).size == (SIZE, SIZE) and draw(scene).tobytes() == draw(scene).tobytes()
    assert draw(scene).tobytes() != draw(sample_scene("draw", 1, 0)).tobytes()


def test_source_modules_import_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; import crosslens.planted.source, crosslens.planted.captions, crosslens.planted.drawing; "
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
