"""A source of names and messages: the user's own format, the same bytes every time, appended to and never reordered."""

import csv
import json
from pathlib import Path

import pytest
from catalogue_files import write_catalogues
from PIL import Image, features

from crosslens.data.captions import read_rows
from crosslens.data.dataset import build_dataset
from crosslens.errors import InputError
from crosslens.sources import write
from crosslens.sources.emoji_names import emoji_names
from crosslens.sources.plan import DEBIAN_FONT, block_identity, identity, row_count
from crosslens.sources.write import collect_source
from crosslens.tables.documents import read_json, read_table

pytest.importorskip("emoji", reason="needs the package emoji")
pytest.importorskip("polib", reason="needs the package polib")

EMOJI = {"skin_tones": False, "pictures": None, "font": None}
LEXICONS = Path(__file__).parents[2] / "resources/lexicons"


@pytest.fixture
def messages(tmp_path):
    words = ["باب", "دار", "بحر", "جبل", "نهر"]
    pairs = {f"This {a} is of {b}": f"{words[a]} و{words[b]}" for a in range(5) for b in range(5)}
    return {"folder": str(write_catalogues(tmp_path / "catalogues", {"p": pairs})), "count": 20, "seed": 0}


def test_the_same_settings_write_the_same_bytes_and_the_rows_that_were_planned(tmp_path, messages):
    for name in ("a", "b"):
        collect_source(tmp_path / name, emoji=EMOJI, messages=messages)
    for file in ("captions.csv", "source.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"captions.csv", "source.json"}
    rows = read_rows(tmp_path / "a/captions.csv", ["en", "ar"])
    assert len(rows) == row_count({"emoji": EMOJI, "messages": messages})
    names = emoji_names(skin_tones=False)
    assert [(row.image_id, row.captions["ar"], row.gender, row.group) for row in rows[: len(names)]] == [
        (name.image_id, name.ar, name.gender, name.group) for name in names
    ]
    assert {(row.category, row.gender, row.group) for row in rows[len(names) :]} == {
        ("message", "unknown", "")
    }
    told = read_json(tmp_path / "a/source.json", "names_source")
    assert sum(cell["female"] for cell in told["counts"]) == sum(row.gender == "female" for row in rows)
    assert str(tmp_path) not in json.dumps(told) and set(told["licences"]) == {"names", "messages"}
    assert told["packages"] == [{"package": "p", "version": "1", "rows": 20}]


def test_more_messages_append_and_change_no_block_before_them(tmp_path, messages):
    fewer = {**messages, "count": 8}
    collect_source(tmp_path / "a", emoji=EMOJI, messages=fewer)
    collect_source(tmp_path / "b", emoji=EMOJI, messages=messages)
    first, second = ((tmp_path / name / "captions.csv").read_bytes() for name in "ab")
    assert second.startswith(first) and len(second) > len(first)
    n = row_count({"emoji": EMOJI, "messages": fewer})
    blocks = [
        [
            block_identity({"emoji": EMOJI, "messages": drawn}, start + 1, start + 100)
            for start in range(0, n, 100)
        ]
        for drawn in (fewer, messages)
    ]
    assert blocks[0][:-1] == blocks[1][:-1] and blocks[0][-1] != blocks[1][-1]


def test_identity_has_no_path_and_changes_with_the_catalogues(tmp_path, messages):
    names = {"emoji": None, "messages": messages}
    told = identity(names)
    assert str(tmp_path) not in json.dumps(told)
    moved = Path(messages["folder"]).rename(tmp_path / "elsewhere")
    assert identity({**names, "messages": {**messages, "folder": str(moved)}}) == told
    manifest = moved / "manifest.json"
    manifest.write_text(manifest.read_text() + " ")
    assert identity({**names, "messages": {**messages, "folder": str(moved)}}) != told


def test_the_dataset_keeps_pairs_and_tones_in_one_split(tmp_path):
    collect_source(tmp_path / "source", emoji={**EMOJI, "skin_tones": True}, messages=None)
    out = {language: tmp_path / f"{language}.parquet" for language in ("en", "ar")}
    build_dataset(
        captions=tmp_path / "source/captions.csv",
        images=None,
        columns=None,
        prompts={"en": "x", "ar": "س"},
        lexicons={language: LEXICONS / f"gender_{language}.yaml" for language in out},
        splits={"train": 0.6, "select": 0.2, "test": 0.2},
        seed=0,
        languages=list(out),
        out=out,
        out_summary=tmp_path / "summary.json",
    )
    table = read_table(out["ar"], "dataset")
    with (tmp_path / "source/captions.csv").open(encoding="utf-8") as stream:
        pair = [row["pair"] for row in csv.DictReader(stream)]
    paired = table.assign(pair=pair)[[bool(name) for name in pair]]
    assert (paired.groupby("pair")["split"].nunique() == 1).all()
    assert (paired.groupby("group")["split"].nunique() == 1).all()
    genders = paired.groupby(["split", "gender"]).size().unstack()
    assert (genders["female"] == genders["male"]).all() and len(genders) == 3
    shares = paired.drop_duplicates("group")["split"].value_counts(normalize=True)
    assert abs(shares["train"] - 0.6) < 0.06


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"emoji": None}, "neither emoji nor messages"),
        ({"emoji": {**EMOJI, "pictures": 64, "font": "nowhere.ttf"}}, "nowhere.ttf.*fonts-noto-color-emoji"),
        (
            {"emoji": None, "messages": {"folder": "nowhere", "count": 1, "seed": 0}},
            "fetch-messages --to nowhere",
        ),
    ],
)
def test_refusals(tmp_path, changes, said):
    with pytest.raises(InputError, match=said):
        collect_source(tmp_path / "out", **{"emoji": EMOJI, "messages": None, **changes})
    assert not (tmp_path / "out").exists()


def test_messages_beside_pictures_are_refused(tmp_path, messages):
    with pytest.raises(InputError, match="pictures of emoji beside messages"):
        collect_source(tmp_path / "out", emoji={**EMOJI, "pictures": 64}, messages=messages)


@pytest.mark.skipif(
    not (DEBIAN_FONT.is_file() and features.check("raqm")), reason="needs fonts-noto-color-emoji and libraqm"
)
def test_every_row_has_its_picture_or_a_reason(tmp_path, monkeypatch):
    some = emoji_names(skin_tones=False)[::10]
    teacher = next(name for name in emoji_names(skin_tones=False) if name.en == "woman teacher")
    turtle = teacher._replace(emoji="👩\u200d🐢", image_id="emoji_turtle", unit="emoji_turtle")
    monkeypatch.setattr(write, "emoji_names", lambda **_: (*some, teacher, turtle))
    collect_source(tmp_path, emoji={**EMOJI, "pictures": 32}, messages=None)
    rows = read_rows(tmp_path / "captions.csv", ["en", "ar"])
    lacking = {
        entry["image_id"] for entry in read_json(tmp_path / "source.json", "names_source")["without_picture"]
    }
    drawn = {path.stem for path in (tmp_path / "images").iterdir()}
    assert drawn | lacking == {row.image_id for row in rows} and not drawn & lacking
    assert "emoji_turtle" in lacking and teacher.image_id in drawn
    with Image.open(tmp_path / "images/emoji_1f469-200d-1f3eb.png") as picture:
        assert picture.size == (32, 32)
