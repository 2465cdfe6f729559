"""Data as scripts: a page that is opened from the disk may load scripts that lie beside it, and nothing else."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any


def write_script(folder: Path, call: str, name: str, value: Any) -> None:
    """Write `value` (JSON, no NaN) as `data/{name}.js` of the page's folder, which hands it to the page: `call(name, value)`."""
    file = folder / "data" / f"{name}.js"
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    file.write_text(f"{call}({json.dumps(name)},{text});\n", encoding="utf-8")


def copy_page(package: str, folder: Path) -> None:
    """What a package has for a browser (HTML, styles, scripts) into the page's folder, which is made where it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files(package).iterdir():
        if file.name.endswith((".html", ".css", ".js")):
            (folder / file.name).write_bytes(file.read_bytes())
