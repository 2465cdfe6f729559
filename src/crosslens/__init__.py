"""crosslens: cross-lingual sparse-autoencoder interpretability with content-addressed artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crosslens.results.study import OpenStudy


def open_study(folder: str | Path) -> OpenStudy:
    """The study that was built in `folder`, results/STUDY of a checkout: what it has, read when it is asked for.

    Raises InputError, with the command that builds it, for one that was not built.
    """
    # here, as every job imports this package, and few want torch
    from crosslens.results.study import OpenStudy

    return OpenStudy(folder)
