"""Where in a model activations are read: a block and a point of it."""

import re
from typing import NamedTuple

from crosslens.errors import InputError

KINDS = ("resid_pre", "attn_out", "mlp_out", "resid_post")
"""In the order in which a forward pass reaches them within one block."""


class Site(NamedTuple):
    """A point of the residual stream, or what one half of a block adds to it."""

    layer: int
    """Block, counted from 0."""
    kind: str = "resid_post"
    """One of KINDS."""

    def __str__(self) -> str:
        return str(self.layer) if self.kind == "resid_post" else f"{self.layer}.{self.kind}"

    @property
    def depth(self) -> tuple[int, int]:
        """Sorts sites by when a forward pass reaches them."""
        return self.layer, KINDS.index(self.kind)


def parse_site(text: str | Site) -> Site:
    """`"4"` (resid_post of block 4), `"4.resid_pre"`, `"4.attn_out"` or `"4.mlp_out"`; anything else is an InputError."""
    if isinstance(text, Site):
        return text
    match = re.fullmatch(r"(\d+)(?:\.(\w+))?", str(text), flags=re.ASCII)
    kind = (match and match[2]) or "resid_post"
    if match is None or kind not in KINDS:
        raise InputError(
            "site",
            found=repr(text),
            expected=f"a block number, alone or with one of {', '.join('.' + kind for kind in KINDS)}",
            mend="write for example '4' or '4.mlp_out'",
        )
    return Site(int(match[1]), kind)
