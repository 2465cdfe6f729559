"""The page's JavaScript outside of the page: in node, or in a browser where there is no node."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from browser import BROWSER, shown_in

SOURCE = Path(__file__).parents[2] / "src/crosslens/report/live"
DRIVER = Path(__file__).with_name("live_driver.js")
NODE = shutil.which("node")
needs_javascript = pytest.mark.skipif(
    not (NODE or BROWSER),
    reason="neither node nor Chromium here: THAT THE PAGE COMPUTES WHAT PYTORCH DOES IS NOT TESTED",
)
IN_NODE = """
const fs = require("fs");
const [folder, scripts, asked] = process.argv.slice(1);
for (const script of JSON.parse(scripts)) require(script);
process.stdout.write(JSON.stringify(answer(JSON.parse(fs.readFileSync(asked, "utf8")))));
"""


def scripts(folder: Path) -> list[Path]:
    """Those that index.html names, in its order, but for the one that runs the page."""
    named = re.findall(r'<script src="([^"]+)"', (folder / "index.html").read_text(encoding="utf-8"))
    return [folder / name for name in named if name not in ("app.js", "data/study.js")]


def answers(
    requests: list[dict[str, Any]], work: Path, folder: Path = SOURCE, data: tuple[str, ...] = ()
) -> list[Any]:
    """What live_driver.js answers. folder: of the page; data: those of its data scripts that are needed; work: to write to."""
    files = [*scripts(folder), *(folder / f"data/{name}.js" for name in data), DRIVER]
    asked = work / "asked.json"
    asked.write_text(json.dumps(requests), encoding="utf-8")
    if NODE:
        named = json.dumps([str(file.resolve()) for file in files])
        command = [NODE, "-e", IN_NODE, str(folder), named, str(asked)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)
    return in_browser(files, asked, work)


def in_browser(files: list[Path], asked: Path, work: Path) -> list[Any]:
    """The same in headless Chromium."""
    tags = "".join(f'<script src="{file.resolve().as_uri()}"></script>' for file in files)
    told = f"answer({asked.read_text(encoding='utf-8')})"
    told = told.replace("</", "<\\/")
    page = work / "asked.html"
    page.write_text(
        f"<!doctype html><meta charset=utf-8><pre id=told></pre>{tags}"
        f"<script>document.getElementById('told').textContent = JSON.stringify({told})</script>",
        encoding="utf-8",
    )
    return json.loads(shown_in(page, work / "profile"))
