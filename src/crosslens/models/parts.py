"""Whether an adapter says all that it must, and whether the model has the parts that it names."""

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from torch import nn

from crosslens.errors import InputError

NEEDED = ({"attn_out"}, {"mlp_out"}, {"decoder", "blocks"}, {"decoder", "final_norm"})
"""Of each of these names an adapter has to define one."""


def check_declared(adapter: type, base: type, most: type) -> None:
    """InputError for an adapter's class that lacks a name, or has one that nobody reads: a misspelt one would be ignored.

    base: `Adapter`. most: a class of crosslens that has all names there are.
    """
    where = f"adapter {adapter.__name__}"
    if not (isinstance(adapter, type) and issubclass(adapter, base)):
        raise InputError(
            where,
            found="no subclass of Adapter",
            expected="one under @register(model_type)",
            mend="derive it from crosslens.models.adapters.Adapter, or from VisionAdapter for a model that sees",
        )
    own = {name for cls in adapter.__mro__ for name in vars(cls) if not name.startswith("_")}
    if unknown := sorted(own - set(dir(most))):
        near = get_close_matches(unknown[0], dir(most), n=1)
        raise InputError(
            where,
            found=f"{unknown[0]!r}, which is read nowhere",
            expected=f"{near[0]!r}, perhaps" if near else "names of crosslens.models.adapters.Adapter",
            mend="correct the name; what is of use within the class alone begins with an underscore",
        )
    defined = {name for name in own if getattr(adapter, name) is not getattr(base, name, None)}
    if missing := [
        " or ".join(f"`{name}`" for name in sorted(names)) for names in NEEDED if not names & defined
    ]:
        raise InputError(
            where,
            found=f"no {missing[0]}",
            expected="`decoder` (or `blocks` and `final_norm`), `attn_out` and `mlp_out`",
            mend="define it; crosslens.models.adapters has an example",
        )


def check_parts(adapter: Any) -> None:
    """InputError where the model has no part under a name that its adapter gives, and where that is no module."""

    def look(name: str, ask: Callable[[], Any]) -> Any:
        try:
            part = ask()
        except (AttributeError, NotImplementedError) as error:
            found = str(error) or "nothing"
        else:
            if isinstance(part, nn.Module):
                return part
            found = f"a {type(part).__name__}"
        raise InputError(
            f"adapter {type(adapter).__name__}, {name}",
            found=found,
            expected=f"a module of {type(adapter.model).__name__}",
            mend=f"correct `{name.split()[0]}`: print(model) shows what the parts are called",
        )

    blocks = look("blocks", lambda: adapter.blocks)
    look("final_norm", lambda: adapter.final_norm)
    for number, block in enumerate(blocks):
        look(f"attn_out of block {number}", lambda block=block: adapter.attn_out(block))
        look(f"mlp_out of block {number}", lambda block=block: adapter.mlp_out(block))
