"""The texts that examples are of and their pictures, each once however many features show it."""

import hashlib
from pathlib import Path
from typing import Any

from PIL import Image

from crosslens.errors import InputError
from crosslens.explorer.page.scripts import provide
from crosslens.pictures import load_picture
from crosslens.tables.documents import read_table

PER_FILE = 500
SIDE = 128
"""Pixels of a picture, at most."""
LONGEST = 4000
"""Characters of a text; the rest is not shown."""
FIELDS = ["sample_id", "image", "image_sha256", "gender", "category", "prompt", "caption"]


class Samples:
    """The samples that features show, numbered as they are asked for."""

    def __init__(self, datasets: dict[str, Path]):
        """datasets: language to its table."""
        self.rows: dict[str, dict[str, dict[str, Any]]] = {}
        """Language to sample id to its row."""
        for language, dataset in datasets.items():
            table = read_table(dataset, "dataset", FIELDS)
            self.rows[language] = {row["sample_id"]: row for row in table.to_dict("records")}
        self._numbers: dict[str, int] = {}

    def number(self, sample_id: str) -> int:
        """Which sample of the page it is."""
        return self._numbers.setdefault(sample_id, len(self._numbers))

    def text(self, language: str, sample_id: str) -> str:
        """What is shown of its caption; empty where the language has none."""
        row = self.rows[language].get(sample_id)
        return row["caption"][:LONGEST] if row else ""

    def prompt(self, language: str, sample_id: str) -> str:
        """What the model was asked."""
        return self.rows[language][sample_id]["prompt"]

    def write(self, out: Path, images: Path | None) -> dict[str, int]:
        """Write `data/samples/{k}.js` and `pictures/{k}.jpg`; says how many there are and how many a file has.

        images: the folder that the tables' `image` is in. Raises InputError where a picture is another by now.
        """
        varied = {
            language: len({row["prompt"] for row in of.values()}) > 1 for language, of in self.rows.items()
        }
        pictures: dict[str, int] = {}
        told = [self._told(name, varied, pictures, images, out) for name in self._numbers]
        for start in range(0, len(told), PER_FILE):
            provide(out, f"samples/{start // PER_FILE}", told[start : start + PER_FILE])
        return {"count": len(told), "perFile": PER_FILE}

    def _told(
        self,
        sample_id: str,
        varied: dict[str, bool],
        pictures: dict[str, int],
        images: Path | None,
        out: Path,
    ) -> dict[str, Any]:
        rows = {language: of[sample_id] for language, of in self.rows.items() if sample_id in of}
        first = next(iter(rows.values()))
        told = {"id": sample_id, "gender": first["gender"], "category": first["category"]}
        told["texts"] = {language: self.text(language, sample_id) for language in rows}
        told["cut"] = [language for language, row in rows.items() if len(row["caption"]) > LONGEST]
        told["prompts"] = {language: row["prompt"] for language, row in rows.items() if varied[language]}
        if images and first["image"]:
            known = pictures.get(first["image_sha256"])
            if known is None:
                known = pictures[first["image_sha256"]] = len(pictures)
                write_picture(
                    images / first["image"], first["image_sha256"], out / "pictures" / f"{known}.jpg"
                )
            told["picture"] = known
        return told


def write_picture(file: Path, sha256: str, out: Path) -> None:
    """The picture small; raises InputError where its bytes are not those that the dataset was built from."""
    data = file.read_bytes() if file.is_file() else b""
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise InputError(
            file,
            found=f"sha256 {found}" if data else "no file",
            expected=f"{sha256}, the picture that the features were read on",
            mend="restore the picture, or rebuild the dataset",
        )
    picture = load_picture(data)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    out.parent.mkdir(parents=True, exist_ok=True)
    picture.save(out, "JPEG", quality=88)
