"""Which pictures the page offers, and how they are told."""

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crosslens.models.inputs import as_sample, load_images
from crosslens.models.load import LoadedModel

PICTURES = 24
TOLD = {"female": "a woman", "male": "a man"}


def chosen_pictures(frame: pd.DataFrame, count: int = PICTURES) -> pd.DataFrame:
    """At most `count` rows of split test, one a picture: as many of each gender as of another, and of as many categories."""
    own = frame[(frame["split"] == "test") & (frame["image"] != "")].drop_duplicates("image_id")
    turn = own.groupby(["gender", "category"]).cumcount()
    mixed = own.assign(turn=turn).sort_values(["turn", "category"], kind="stable")
    mixed["turn"] = mixed.groupby("gender").cumcount()
    first = mixed.sort_values("turn", kind="stable").head(count)
    return first.sort_values(["gender", "category"], kind="stable").drop(columns="turn")


def pictures_of(
    loaded: LoadedModel, frames: Mapping[str, pd.DataFrame], images: Path | None, *, gendered: bool
) -> list[dict[str, Any]]:
    """Of each chosen picture its id, label, gender, the prompt in every language, and its RGB bytes as large as it is seen.

    Raw bytes, as the model's own processor scales the picture: no decoder of a browser can change a bit of them.
    """
    rows = chosen_pictures(next(iter(frames.values())))
    prompts = {
        language: dict(zip(frame["image_id"], frame["prompt"], strict=True))
        for language, frame in frames.items()
    }
    rows = rows[[all(image in known for known in prompts.values()) for image in rows["image_id"]]]
    samples = [as_sample(row) for row in rows.to_dict("records")]
    found = []
    for row, picture in zip(rows.to_dict("records"), load_images(loaded, samples, images), strict=True):
        scaled = loaded.processor.image_processor(
            images=[[picture]],
            do_pan_and_scan=False,
            do_rescale=False,
            do_normalize=False,
            return_tensors="np",
        )["pixel_values"][0]
        rgb = np.ascontiguousarray(scaled.transpose(1, 2, 0)).round().astype(np.uint8)
        found.append(
            {
                "id": row["image_id"],
                "label": label_of(row, gendered=gendered),
                "gender": row["gender"],
                "prompts": {language: known[row["image_id"]] for language, known in prompts.items()},
                "rgb": b64encode(rgb.tobytes()).decode("ascii"),
            }
        )
    return found


def label_of(row: Mapping[str, Any], *, gendered: bool) -> str:
    """`a woman, nurse`; of a study that asks for gender also `gender hidden, nurse`."""
    person = TOLD.get(row["gender"], "gender hidden") if gendered else ""
    return ", ".join(filter(None, [person, row["category"]])) or row["image_id"]
