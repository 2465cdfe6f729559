"""The examples of gendered features: the right features, test samples only, of the right SAE."""

import numpy as np
import pandas as pd
import pytest
from result_files import change, write_study
from scipy.sparse import csr_array

from crosslens.errors import InputError
from crosslens.gender.examples import gendered_examples
from crosslens.report.sections.features import Examples
from crosslens.tables.codes import write_codes
from crosslens.tables.documents import read_json, write_table
from crosslens.tables.tokens import ROLES, TokenTable, write_tokens

TEXT = "one two six"


@pytest.fixture()
def given(tmp_path):
    """Arguments of gendered_examples: six samples of three caption tokens; every feature fires on sample i with i + 1."""
    files = write_study(tmp_path / "in", sites=("2",))
    n, d_sae = 6, 64
    ids = [f"p{i}#0" for i in range(n)]
    frame = pd.DataFrame({"sample_id": ids, "image_id": [name[:2] for name in ids]})
    frame["caption"] = [f"{TEXT} {i}" for i in range(n)]
    frame = frame.assign(prompt="say", gender="female", category="nurse", image="")
    frame["split"] = ["train", "select", "test", "test", "test", "train"]
    write_table(tmp_path / "en.parquet", "dataset", frame)
    tokens = TokenTable(
        sample_ids=tuple(ids),
        offsets=np.arange(n + 1) * 3,
        sample=np.repeat(np.arange(n), 3),
        position=np.tile(np.arange(3), n),
        token_id=np.zeros(3 * n),
        role=np.full(3 * n, ROLES.index("caption")),
        char_start=np.tile([0, 4, 8], n),
        char_end=np.tile([3, 7, 11], n),
    )
    write_tokens(tmp_path / "tokens.zarr", tokens, language="en")
    values = np.zeros((3 * n, d_sae), dtype=np.float32)
    values[1::3] = np.arange(1, n + 1)[:, None]
    write_codes(
        tmp_path / "codes.zarr",
        [csr_array(values)],
        token=np.arange(3 * n),
        norm=np.ones(3 * n),
        d_sae=d_sae,
        sae="digest-joint-2",
        roles=["caption"],
        language="en",
        site="2",
    )
    return {
        "dataset": tmp_path / "en.parquet",
        "tokens": [tmp_path / "tokens.zarr"],
        "codes": tmp_path / "codes.zarr",
        "gender": files.gender["2"]["joint/en"],
        "corpus": "joint",
        "language": "en",
        "features": 2,
        "count": 2,
    }


def test_examples_are_the_strongest_test_samples_of_the_chosen_features(given, tmp_path):
    gendered_examples(**given, out=tmp_path / "out.json")
    conditions = read_json(given["gender"], "gender")["conditions"].values()
    chosen = {
        entry["feature"] for c in conditions for side in ("top_female", "top_male") for entry in c[side][:2]
    }
    found = Examples(tmp_path / "out.json", "gendered_examples")
    assert found.sae == "digest-joint-2"
    assert set(found.features) == chosen
    for examples in found.features.values():
        assert [example["sample_id"] for example in examples] == ["p4#0", "p3#0"]
        assert examples[0]["max"] == 5.0
        assert [token[:3] for token in examples[0]["tokens"]] == [["caption", 4, 7]]


def test_two_runs_write_the_same_bytes(given, tmp_path):
    for name in ("first", "second"):
        gendered_examples(**given, out=tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_features_of_another_sae_are_refused(given, tmp_path):
    change(given["gender"], "gender", lambda document: document.update(sae="another"))
    with pytest.raises(InputError, match="features of the SAE another"):
        gendered_examples(**given, out=tmp_path / "out.json")
