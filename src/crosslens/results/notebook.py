"""Run a notebook from its first to its last cell and keep what its cells show. No Jupyter is needed."""

import argparse
import ast
import base64
import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from crosslens.errors import InputError

VARIABLE = "CROSSLENS_STUDY"
"""Names the study to a notebook that is run."""


def run_notebook(notebook: Path, out: Path, *, study: str) -> None:
    """Write the notebook (nbformat 4) to `out` with the outputs of its cells; they find the study's name in VARIABLE.

    Cells run in the notebook's own folder, as Jupyter starts them; lines that begin with % are left out. What a cell shows is
    what it prints and the value of its last expression: a figure as PNG, a table as HTML, else its `repr`. Raises
    InputError that names the cell, its cause behind it, where one fails.
    """
    document = json.loads(notebook.read_text(encoding="utf-8"))
    out = out.absolute()
    namespace: dict[str, Any] = {}
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = study
    try:
        with contextlib.chdir(notebook.parent):
            for count, cell in enumerate(
                (cell for cell in document["cells"] if cell["cell_type"] == "code"), 1
            ):
                cell["execution_count"] = count
                cell["outputs"] = _run(cell, namespace, count)
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _run(cell: dict[str, Any], namespace: dict[str, Any], count: int) -> list[dict[str, Any]]:
    lines = "".join(cell["source"]).splitlines()
    printed, outputs = io.StringIO(), []
    name = cell.get("id", str(count))
    try:
        tree = ast.parse("\n".join("" if line.startswith("%") else line for line in lines))
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        with contextlib.redirect_stdout(printed):
            exec(compile(tree, f"cell {name}", "exec"), namespace)
            shown = (
                eval(compile(ast.Expression(last.value), f"cell {name}", "eval"), namespace) if last else None
            )
    except Exception as error:
        raise InputError(
            f"cell {name!r} of the notebook",
            found=f"{type(error).__name__}: {error}",
            expected="cells that run one after the other",
            mend="build what it asks for, or correct the cell",
        ) from error
    if printed.getvalue():
        outputs.append({"output_type": "stream", "name": "stdout", "text": printed.getvalue()})
    if shown is not None:
        outputs.append(
            {"output_type": "execute_result", "execution_count": count, "metadata": {}, "data": _data(shown)}
        )
    return outputs


def _data(value: Any) -> dict[str, str]:
    """A value as Jupyter keeps it, by MIME type."""
    data = {"text/plain": repr(value)}
    if isinstance(value, Figure):
        drawn = io.BytesIO()
        value.savefig(drawn, format="png", dpi=100, metadata={"Software": None})
        data["image/png"] = base64.b64encode(drawn.getvalue()).decode("ascii")
    elif hasattr(value, "_repr_png_") and (png := value._repr_png_()):
        data["image/png"] = base64.b64encode(png).decode("ascii")
    elif hasattr(value, "_repr_html_") and (html := value._repr_html_()):
        data["text/html"] = html
    return data


def main(arguments: list[str] | None = None) -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(prog="python -m crosslens.results.notebook", description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--study", required=True, help="a study that was built")
    parser.add_argument("--out", type=Path, required=True, help="the notebook with its outputs")
    options = parser.parse_args(arguments)
    try:
        run_notebook(options.notebook, options.out, study=options.study)
    except InputError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
