"""What is read of markup."""

from typing import Any

from markupsafe import Markup


def words(shown: Any) -> str:
    """Of a piece of markup, or of words."""
    return shown.striptags() if isinstance(shown, Markup) else str(shown)
