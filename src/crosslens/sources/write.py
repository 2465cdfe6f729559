"""Write names of emoji and messages of software as a data source in the user's own format."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crosslens.data.genders import GENDERS
from crosslens.sources.catalogues import MANIFEST_KIND, Message, sample_messages
from crosslens.sources.emoji_names import EmojiName, emoji_names
from crosslens.sources.pictures import EmojiFont
from crosslens.sources.plan import font_path, identity, manifest_path
from crosslens.tables.documents import read_json, write_json

COLUMNS = (
    "image_id",
    "english_prompt",
    "arabic_prompt",
    "ground_truth_gender",
    "category",
    "group",
    "pair",
    "emoji",
    "package",
)
LICENCES = {
    "names": "Unicode CLDR, Unicode-3.0, by way of the Python package emoji, BSD-3-Clause",
    "pictures": "Noto Color Emoji, OFL-1.1",
    "messages": "each under its package's licence: the file `copyright` beside the catalogues",
}


def collect_source(out: Path, *, emoji: Mapping[str, Any] | None, messages: Mapping[str, Any] | None) -> None:
    """Write `captions.csv`, `source.json` and, where wanted, `images/{image_id}.png` into the folder `out`.

    `emoji` and `messages` as in `crosslens.sources.plan`. Emoji come first, by image id, then the messages as drawn.
    The skin tones and directions of an emoji are several captions of one image.
    The same settings and inputs give the same bytes. An emoji that the font does not draw as one glyph has its row and
    no picture: `source.json` says why, and the dataset quarantines it. Raises InputError as `plan.identity` does.
    """
    out = Path(out)
    whole = identity({"emoji": emoji, "messages": messages})
    names = emoji_names(skin_tones=emoji["skin_tones"]) if emoji else ()
    drawn = sample_messages(**messages) if messages else []
    out.mkdir(parents=True, exist_ok=True)
    rows = [*map(_emoji_row, names), *map(_message_row, drawn)]
    with (out / "captions.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    lacking = _draw(out / "images", names, **emoji) if emoji and emoji["pictures"] else []
    cells = Counter((row["category"], row["ground_truth_gender"]) for row in rows)
    document = {
        "rows": len(rows),
        "counts": [
            {"category": category, **{gender: cells[category, gender] for gender in GENDERS}}
            for category in sorted({category for category, _ in cells})
        ],
        "pairs": len({name.pair for name in names if name.pair}),
        "identity": whole,
        "without_picture": lacking,
        "packages": drawn_from(messages["folder"], drawn) if messages else [],
        "licences": {
            part: LICENCES[part]
            for part, there in (
                ("names", emoji),
                ("pictures", emoji and emoji["pictures"]),
                ("messages", messages),
            )
            if there
        },
    }
    write_json(out / "source.json", "names_source", document)


def _emoji_row(name: EmojiName) -> dict[str, str]:
    return {
        # The tones and directions of one emoji are all but the same text: the unit of analysis is the emoji.
        "image_id": name.unit,
        "english_prompt": name.en,
        "arabic_prompt": name.ar,
        "ground_truth_gender": name.gender,
        "category": name.category,
        "group": name.group,
        "pair": name.pair,
        "emoji": name.emoji,
        "package": "",
    }


def _message_row(message: Message) -> dict[str, str]:
    return {
        "image_id": message.image_id,
        "english_prompt": message.en,
        "arabic_prompt": message.ar,
        "ground_truth_gender": "unknown",
        "category": "message",
        "group": "",
        "pair": "",
        "emoji": "",
        "package": message.package,
    }


def _draw(
    folder: Path, names: Sequence[EmojiName], *, pictures: int, font: str | None, **_: Any
) -> list[dict[str, str]]:
    """Draw what the font has; returns the rest, each with the reason."""
    folder.mkdir(exist_ok=True)
    noto = EmojiFont(font_path(font))
    lacking = []
    for name in names:
        if reason := noto.lacks(name.emoji):
            lacking.append({"image_id": name.image_id, "reason": reason})
        else:
            noto.draw(name.emoji, pictures).save(folder / f"{name.image_id}.png")
    return lacking


def drawn_from(folder: str, messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Package, version and the number of these messages, of every package in a folder of catalogues."""
    rows = Counter(message.package for message in messages)
    manifest = read_json(manifest_path(folder), MANIFEST_KIND)
    return [
        {"package": entry["package"], "version": entry["version"], "rows": rows[entry["package"]]}
        for entry in manifest["packages"]
    ]
