"""What the pages of docs/ and README.md tell a reader to type, and files that they write out."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "config/README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
SHELL = ("", "bash", "sh", "console")
TITLE = re.compile(r'^\w+ title="([^" ]+)"$')
BUILT = {
    "planted": "toy",
    "layer_4": "layer_1",
    "layers/4": "layers/1",
    '"joint/4"': '"joint/1"',
    '"4"': '"1"',
}
"""What pages show of the study `planted`, and what the small study that tests build has instead."""


class Block(NamedTuple):
    """One fenced block."""

    page: Path
    info: str
    """What stands behind the fence."""
    text: str


def blocks(*pages: Path) -> list[Block]:
    """All of them, as they follow each other."""
    found = []
    for page in pages or PAGES:
        for indent, info, text in BLOCK.findall(page.read_text(encoding="utf-8")):
            lines = [line.removeprefix(indent) for line in text.splitlines()]
            found.append(Block(page, info.strip(), "\n".join(lines) + "\n"))
    return found


def commands(*pages: Path) -> list[str]:
    """Every command once; of a block with lines that begin with `$` these alone, the others are what is printed."""
    found: dict[str, None] = {}
    for block in blocks(*pages):
        if block.info in SHELL:
            lines = block.text.replace("\\\n", " ").splitlines()
            typed = [line[2:] for line in lines if line.startswith("$ ")] or lines
            found |= dict.fromkeys(line.split(" #")[0].strip() for line in typed if line.strip("… "))
    return [command for command in found if command]


def words_of(command: str) -> list[str]:
    """The words, without the folder of the environment, and with braces written out as a shell does."""
    words = shlex.split(command)
    program = words[0].removeprefix(".venv/bin/")
    return [program, *(one for word in words[1:] for one in _expanded(word))]


def _expanded(word: str) -> list[str]:
    braces = re.search(r"\{([^{}]*,[^{}]*)\}", word)
    if braces is None:
        return [word]
    parts = braces[1].split(",")
    return [one for part in parts for one in _expanded(word[: braces.start()] + part + word[braces.end() :])]


def of_small_study(text: str) -> str:
    """The same of the small study."""
    for shown, small in BUILT.items():
        text = text.replace(shown, small)
    return text
