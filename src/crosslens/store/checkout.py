"""Where the workflow that this library belongs to has its Snakefile, rules, scripts and schemas."""

from pathlib import Path

from crosslens.store.imports import SRC

CARRIED = "crosslens_workflow"
"""Folder beside the installed library with what its wheel carries of a checkout (pyproject.toml says what)."""


def checkout(src: Path = SRC) -> Path:
    """The folder with the Snakefile: the one around `src`, or of an installed library the one that its wheel brought."""
    carried = src / CARRIED
    return carried if carried.is_dir() else src.parent
