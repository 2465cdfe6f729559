"""Open registries: packages whose members are modules found by name, one file each.

Nothing lists the members: a file added to the package is one more. A module imports none of them, so an artifact's code is
the package's `base` and the members that its study uses (see crosslens.store.fingerprint).
"""

import ast
import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from crosslens.errors import InputError

SHARED = {"__init__", "base"}
"""Modules of such a package that are no members."""


def files(package: str) -> dict[str, Path]:
    """The members of `package`, sorted, and where their source is; imports none of them."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations, f"{package} is no package"
    found = sorted(file for place in spec.submodule_search_locations for file in Path(place).glob("*.py"))
    return {file.stem: file for file in found if file.stem not in SHARED}


def names(package: str) -> list[str]:
    """The members of `package`, sorted; imports none of them."""
    return sorted(files(package))


def declared(package: str, name: str, constant: str) -> Any:
    """The literal that a member's file assigns to `constant`; the member is not imported. It must be there."""
    tree = ast.parse(files(package)[name].read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == constant:
            return ast.literal_eval(node.value)
    raise AttributeError(f"{package}.{name} declares no {constant}")


def member(package: str, name: str) -> ModuleType:
    """The member of that name. Raises InputError, which names those that there are."""
    if name not in (known := names(package)):
        raise InputError(
            package.rsplit(".", 1)[-1],
            found=repr(name),
            expected=f"one of {', '.join(known)}",
            mend=f"correct the name, or add a file {name}.py to {package}",
        )
    return importlib.import_module(f"{package}.{name}")
