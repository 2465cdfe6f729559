"""Statements that run: the files of the folder claims/, read and checked before anything does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crosslens.errors import InputError, raise_all
from crosslens.store.checkout import checkout
from crosslens.study.settings import load_yaml, validate
from crosslens.study.words import nearest

FOLDER = Path("claims")
SCHEMA = "workflow/schemas/claim.schema.yaml"


def read_claims(names: Sequence[str], folder: Path = FOLDER) -> list[dict[str, Any]]:
    """The claims of these names, all where none is named, sorted, complete with defaults and with `name`.

    Raises InputError for a name without a file and for a file that says no claim.
    """
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    raise_all(
        InputError(
            f"claims.statements: {name}",
            found=f"no file {folder / name}.yaml",
            expected=f"one of {', '.join(known) or 'none'}{nearest(name, known)}",
            mend="correct the name, or write the file (docs/claims.md)",
        )
        for name in names
        if name not in known
    )
    return [_read(folder / f"{name}.yaml") for name in names or known]


def _read(path: Path) -> dict[str, Any]:
    claim = load_yaml(path)
    validate(claim, path, load_yaml(checkout() / SCHEMA))
    faults = {
        "above, below": (claim["above"] is None) == (claim["below"] is None) and "exactly one of the two",
        "contrast": (claim["estimator"] == "contrast") != (claim["contrast"] is not None)
        and "the section contrast with the estimator contrast, and only with it",
        "interval": len(claim["interval"]) == 1 and "two fields, or none",
        "relative_to": claim["relative_to"] in claim["controls"]
        and claim["relative_to"] is not None
        and "a control that is not among `controls`: the estimate is of both",
    }
    raise_all(
        InputError(f"{path}, key {key}", found="otherwise", expected=expected, mend="correct the file")
        for key, expected in faults.items()
        if expected
    )
    thresholds = {name: None if claim[name] is None else float(claim[name]) for name in ("above", "below")}
    return {"name": path.stem, **claim, **thresholds}
