"""Which studies have a page that runs the model, and what is put into it."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from live_scripts import SOURCE, scripts

from crosslens.artifacts.stages import live
from crosslens.report.live.shown import chosen_pictures, label_of
from crosslens.report.live.weights import smallest
from crosslens.report.sections.live import section

ROOT = Path(__file__).parents[2]


def place(**changes):
    """A study of the embedded model as declarations see it."""
    folder = ROOT / "resources/planted"
    known = {
        "control": None,
        "pictures": True,
        "corpora": ["joint"],
        "adapter": None,
        "folder": folder,
        "config": {"model_type": "gemma3", "vision_config": {}, "text_config": {}},
    } | changes
    model = SimpleNamespace(config=known["config"], folder=known["folder"])
    study = SimpleNamespace(
        control=known["control"],
        source=SimpleNamespace(has_pictures=known["pictures"]),
        sites=["2"],
        corpora_at=lambda site: known["corpora"],
        model=model,
    )
    return SimpleNamespace(study=study, settings={"model": {"adapter": known["adapter"]}})


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({}, ""),
        ({"control": "shuffled"}, "control"),
        ({"pictures": False}, "no pictures"),
        ({"corpora": []}, "no SAE"),
        ({"config": {"model_type": "gemma3_text", "text_config": {}}}, "no Gemma-3 that sees"),
        ({"config": {"model_type": "qwen2_vl", "vision_config": {}}}, "no Gemma-3 that sees"),
        ({"adapter": "mine.py"}, "adapter"),
        ({"folder": None}, "no folder"),
        (
            {
                "config": {
                    "model_type": "gemma3",
                    "vision_config": {},
                    "text_config": {"rope_parameters": {"full_attention": {"rope_type": "yarn"}}},
                }
            },
            "attention",
        ),
    ],
)
def test_why_a_study_has_none(changes, because):
    at = place(**changes)
    found = live.why_not(at)
    assert because in found and bool(found) == bool(because)
    assert live.runnable(at) == ([] if because else [{}])


def test_a_large_model_and_another_tokenizer_are_told(monkeypatch, tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "WordPiece"}, "normalizer": null}')
    assert "tokenizer" in live.why_not(place(folder=tmp_path))
    monkeypatch.setattr(live, "LIMIT", 3_000_000)
    assert live.why_not(place()) == "its model has 4 MB of weights, and the page runs at most 3"


def test_the_report_leads_there_or_says_why_not():
    there = section(SimpleNamespace(files={"live": {"": Path("x")}}, absent={}))
    assert 'href="live/index.html"' in there.body[0]
    absent = section(SimpleNamespace(files={}, absent={"live": "its texts have no <pictures>"}))
    assert "because its texts have no &lt;pictures&gt;." in absent.body[0] and "href" not in absent.body[0]


def test_pictures_are_of_test_and_of_every_gender():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "image_id": [f"i{n // 2}" for n in range(400)],
            "image": [f"i{n // 2}.png" if n % 7 else "" for n in range(400)],
            "split": rng.choice(["train", "test"], 400),
            "gender": np.repeat(rng.choice(["female", "male", "unknown"], 200, p=[0.8, 0.1, 0.1]), 2),
            "category": np.repeat(rng.choice(["nurse", "guard", "cook"], 200), 2),
        }
    )
    found = chosen_pictures(frame, 12)
    assert len(found) == 12 == found["image_id"].nunique()
    assert set(found["split"]) == {"test"} and (found["image"] != "").all()
    assert (found.groupby("gender").size() == 4).all()
    assert found.groupby("gender")["category"].nunique().loc["female"] == 3
    assert (
        len(chosen_pictures(frame, 1000))
        == frame.query("split == 'test' and image != ''")["image_id"].nunique()
    )


def test_a_label_says_what_the_picture_shows():
    row = {"image_id": "i", "gender": "unknown", "category": "nurse"}
    assert label_of(row, gendered=True) == "gender hidden, nurse" and label_of(row, gendered=False) == "nurse"
    assert label_of(row | {"category": ""}, gendered=False) == "i"


def test_weights_lose_nothing():
    half = torch.randn(50).half()
    wide = torch.tensor([1e30, 2.0])
    exact = torch.randn(50) + 1e-7
    for given, dtype in ((half, torch.float16), (wide.bfloat16(), torch.bfloat16), (exact, torch.float32)):
        found = smallest(given)
        assert found.dtype == dtype and torch.equal(found.float(), given.float())


def test_every_script_is_in_the_page_and_nothing_else_is_loaded():
    page = (SOURCE / "index.html").read_text(encoding="utf-8")
    named = {path.name for path in scripts(SOURCE)} | {"app.js"}
    assert named == {path.name for path in SOURCE.glob("*.js")}
    assert (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'"
        in page
    )
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCE.glob("*.js"))
    for forbidden in ("innerHTML", "fetch(", "XMLHttpRequest", "import(", "eval(", "http:", "https:"):
        assert forbidden not in text and forbidden not in page.replace("http-equiv", ""), forbidden
