"""Write planted scenes as a data source in the user's own format, with the planted truth beside it."""

import csv
import json
import random
from pathlib import Path

from crosslens.planted.captions import draw_caption
from crosslens.planted.drawing import draw
from crosslens.planted.scenes import (
    LANGUAGES,
    OBJECT_GENDER,
    OCCUPATIONS,
    TRAINING_SPACE,
    Scene,
    Visible,
    bias_table,
    sample_scene,
)

COLUMNS = (
    "image_id",
    "english_prompt",
    "arabic_prompt",
    "ground_truth_gender",
    "category",
    "object",
    "colour",
    "place",
    "object_gender",
)
AMBIGUOUS_IN_FIVE = (2, 4)
"""Of every five pictures of an occupation, which hide the gender."""


def draw_source(
    out: Path, *, images: int, seed: int, holdout: str = "evaluation", control: bool = False
) -> None:
    """Write `captions.csv`, `images/{image_id}.png` and `truth.json` into the folder `out`.

    Row i depends on (holdout, seed, i) only, so more images append rows and change none. Occupations cycle;
    40 % of each are ambiguous (`unknown`), the rest alternate female and male. `holdout` names the scene
    space; the training space is refused. Combinations held out of training may occur
    (`scenes.is_held_out` tells). With `control` the captions of ambiguous pictures follow .5, not the
    planted table; the pictures are the same. Raises ValueError on a bad `images` or `holdout`.
    """
    if images < 1:
        raise ValueError(f"images={images}: a planted source needs at least 1 image")
    if holdout == TRAINING_SPACE or not holdout or "/" in holdout:
        raise ValueError(
            f"holdout={holdout!r}: expected a scene space other than {TRAINING_SPACE!r}, without '/'"
        )
    folder = Path(out) / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with (Path(out) / "captions.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for index in range(images):
            scene = source_scene(index, seed=seed, holdout=holdout)
            row = _row(scene, index, control=control)
            writer.writerow(row)
            draw(scene).save(folder / f"{row['image_id']}.png")
    truth = {
        "schema": 1,
        "kind": "planted_truth",
        "control": control,
        "bias": {language: dict(bias_table(control=control)[language]) for language in LANGUAGES},
    }
    text = json.dumps(truth, ensure_ascii=False, indent=2, sort_keys=True)
    (Path(out) / "truth.json").write_text(text + "\n", encoding="utf-8")


def source_scene(index: int, *, seed: int, holdout: str = "evaluation") -> Scene:
    """The scene of row `index`."""
    occupation = OCCUPATIONS[index % len(OCCUPATIONS)]
    gender = _gender(index, seed)
    return sample_scene(holdout, seed, index, gender=gender, occupation=occupation)


def source_captions(scene: Scene, *, control: bool) -> dict[str, str]:
    """Language -> the caption of the scene's row."""
    bias = bias_table(control=control)
    rng = random.Random(f"captions/{scene.key}")
    return {language: draw_caption(scene, language, bias, rng).text for language in LANGUAGES}


def _gender(index: int, seed: int) -> Visible:
    """Hidden in two rows of five per occupation; visible rows alternate, starting by occupation and seed."""
    cycle, occupation = divmod(index, len(OCCUPATIONS))
    fives, position = divmod(cycle, 5)
    if position in AMBIGUOUS_IN_FIVE:
        return "hidden"
    visible_before = 3 * fives + sum(p not in AMBIGUOUS_IN_FIVE for p in range(position))
    return ("female", "male")[(visible_before + occupation + seed) % 2]


def _row(scene: Scene, index: int, *, control: bool) -> dict[str, str]:
    texts = source_captions(scene, control=control)
    return {
        "image_id": f"scene_{index:06d}",
        "english_prompt": texts["en"],
        "arabic_prompt": texts["ar"],
        "ground_truth_gender": "unknown" if scene.ambiguous else scene.gender,
        "category": scene.occupation,
        "object": scene.object,
        "colour": scene.colour,
        "place": scene.place,
        "object_gender": OBJECT_GENDER[scene.object],
    }
