"""The sample outputs of README.md against what its commands say, and the certificate's tables there and in its page of docs/
against its numbers: `python tests/workflow/readme.py` brings them up to date."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from crosslens.certificate.cited import cited

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
CERTIFICATE = ROOT / "resources" / "examples" / "certificate" / "certificate.json"
CITING = (README, ROOT / "docs" / "certificate.md")
"""What has tables of the certificate."""
COMPUTES_NOTHING = re.compile(r"(snakemake|crosslens plan)\b(?=.* (-n|--samples)\b)")
"""Commands whose output is compared: dry runs where nothing is built yet, and plans."""


def renewed(text: str, run: Callable[[str], str]) -> str:
    """`text` with every line that a command shows as the command prints it now.

    A line is known again by its words, whatever its numbers; one that has none of its like is an AssertionError.
    """
    lines, printed = [], None
    for line in text.splitlines():
        command = line.strip().removeprefix("$ ") if line.strip().startswith("$ ") else ""
        if command:
            printed = run(command).splitlines() if COMPUTES_NOTHING.match(command) else None
        elif line.strip() == "```":
            printed = None
        elif printed and line.strip() not in ("", "…"):
            line = _now(line, printed)
        lines.append(line)
    return "\n".join(lines) + "\n"


def _now(line: str, printed: list[str]) -> str:
    if _said(line) in map(_said, printed):
        return line
    found = [other for other in printed if _words(other) == _words(line)]
    assert found, f"README.md shows a line that is not printed any more: {line}"
    return found[0]


def _said(line: str) -> str:
    """Without what differs from run to run: numbers of jobs, and widths of columns."""
    return re.sub(r"([ -])\1+", r"\1", re.sub(r"^Job \d+", "Job", line))


def _words(line: str) -> str:
    return re.sub(r"\d[\d.,]*", "0", _said(line))


def in_new_checkout(
    folder: Path, snakemake: tuple[str, ...] = (sys.executable, "-m", "snakemake")
) -> Callable[[str], str]:
    """Runs commands where the studies are and nothing was built. snakemake: how that is started."""
    for name in ("config", "resources", "profiles", "slurm", "workflow"):
        (folder / name).symlink_to(ROOT / name)
    return partial(_run, folder, snakemake)


def _run(folder: Path, snakemake: tuple[str, ...], command: str) -> str:
    program, *words = command.split("#")[0].split()
    started = {
        "snakemake": [*snakemake, "-s", str(ROOT / "Snakefile")],
        "crosslens": [sys.executable, "-m", "crosslens.cli"],
    }
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("CROSSLENS", "SNAKEMAKE"))
    }
    ended = subprocess.run(
        [*started[program], *words],
        cwd=folder,
        env=clean | {"PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        run = in_new_checkout(Path(folder))
        README.write_text(renewed(README.read_text(encoding="utf-8"), run), encoding="utf-8")
    for file in CITING:
        file.write_text(cited(file.read_text(encoding="utf-8"), CERTIFICATE), encoding="utf-8")
