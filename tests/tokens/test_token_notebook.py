"""The notebook runs from its first to its last cell, in its own folder, where Jupyter starts it."""

import ast
from pathlib import Path

import pytest
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]


NOTEBOOK = ROOT / "workflow/notebooks/tokens.ipynb"


def test_every_cell_runs_and_draws(monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    monkeypatch.chdir(NOTEBOOK.parent)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    drawn, namespace = [], {}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        assert not cell.outputs, f"cell {cell.id}: save the notebook without outputs"
        tree = ast.parse("\n".join(line for line in cell.source.splitlines() if not line.startswith("%")))
        # what a notebook shows is the value of a cell's last expression
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, cell.id, "exec"), namespace)
        if last is not None:
            shown = eval(compile(ast.Expression(last.value), cell.id, "eval"), namespace)
            drawn += [shown] if isinstance(shown, Figure) else []
    assert len(drawn) == 4
    found = namespace["found"]
    assert set(found.tokens["sample"]) == {"en woman", "en man", "ar woman", "ar man"}
