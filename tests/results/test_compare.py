"""Two builds of a study: what is the same, and how far the rest is apart."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from world import write_site

from crosslens.errors import InputError
from crosslens.results.compare import compare_results, told


@pytest.fixture
def both(tmp_path):
    """results/a with one file of each sort, and its copy b."""
    a = tmp_path / "a"
    (a / "sae").mkdir(parents=True)
    (a / "layer.json").write_text(json.dumps({"ev": 0.9, "rows": [{"d": 1.0, "name": "x"}, {"d": -2.0, "name": "y"}], "none": None}))
    pd.DataFrame({"feature": [1, 2], "d": [0.5, None]}).to_parquet(a / "effects.parquet")
    save_file({"W": torch.tensor([[3.0, 4.0]])}, a / "sae/weights.safetensors")
    write_site(a / "activations.zarr", np.array([[1.0, 2.0], [3.0, 4.0]]), dtype="bfloat16")
    (a / "page.html").write_text("<p>a</p>")
    return a, shutil.copytree(a, tmp_path / "b")


def test_a_copy_is_the_same(both):
    found = compare_results(*both)
    assert (found.same, found.differences) == (5, [])
    assert told(found) == "5 files have the same bytes, 0 have not"


def test_numbers_are_compared_by_field_and_in_their_own_units(both):
    a, b = both
    (b / "layer.json").write_text(json.dumps({"ev": 0.9, "rows": [{"d": 1.0, "name": "x"}, {"d": -2.5, "name": "y"}], "none": None}))
    pd.DataFrame({"feature": [1, 2], "d": [0.6, None]}).to_parquet(b / "effects.parquet")
    save_file({"W": torch.tensor([[3.0, 4.5]])}, b / "sae/weights.safetensors")
    shutil.rmtree(b / "activations.zarr")
    write_site(b / "activations.zarr", np.array([[1.0, 2.0], [3.0, 6.0]]), dtype="bfloat16")
    (b / "page.html").write_text("<p>b</p>")
    found = {of.path: of for of in compare_results(a, b).differences}
    # of two rows, as one list of numbers: 1 and -2
    assert found["layer.json"][1:] == ("numbers", 0.5, pytest.approx(0.5 / np.sqrt(5)), "rows[].d")
    assert found["effects.parquet"][1:] == ("numbers", pytest.approx(0.1), pytest.approx(0.2), "d")
    assert found["sae/weights.safetensors"][1:] == ("numbers", 0.5, pytest.approx(0.1), "W")
    # norms differ by less than the rows do
    assert found["activations.zarr"][1:] == ("numbers", 2.0, pytest.approx(2 / np.sqrt(30)), "values")
    assert found["page.html"].what == "other bytes"
    lines = told(compare_results(a, b)).splitlines()
    assert lines[0] == "0 files have the same bytes, 5 have not"
    assert lines[1] == "activations.zarr: numbers: at most 2, in values 0.37 of its norm"


def test_what_has_no_partner_is_told(both):
    a, b = both
    (a / "layer.json").write_text(json.dumps({"ev": 0.9, "rows": [], "none": None}))
    pd.DataFrame({"feature": [1, 2], "d": [0.5, 0.1]}).to_parquet(b / "effects.parquet")
    (b / "page.html").unlink()
    (b / "more.json").write_text("{}")
    found = {of.path: of.what for of in compare_results(a, b).differences}
    assert found == {
        "layer.json": "words or shape",
        "effects.parquet": "words or shape",
        "page.html": "only in A",
        "more.json": "only in B",
    }
    with pytest.raises(InputError, match="no results"):
        compare_results(a, a / "none")
