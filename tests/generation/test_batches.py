"""A killed run goes on with the batches that are whole, and with no others."""

import random

import pandas as pd
import pytest
from damage import damaged

from crosslens.generation.batches import in_batches

ROWS = pd.DataFrame({"row": range(7), "text": list("abcdefg")})


def run(parts, asked):
    def make(block):
        asked.append(int(block["row"].iloc[0]))
        return block.assign(said=block["text"].str.upper())

    return in_batches(parts, ROWS, 2, make, kind="generated", progress=("toy", "texts"))


@pytest.mark.parametrize("damage", ["bytes", "empty", "lost", "folder", "other"])
def test_a_damaged_batch_is_made_again_and_no_other(tmp_path, damage):
    parts, chance = tmp_path / "parts", random.Random(5)
    whole = run(parts, first := [])
    assert first == [0, 2, 4, 6] and run(parts, again := []).equals(whole) and again == []
    for _ in range(40 if damage == "bytes" else 1):
        part = sorted(parts.iterdir())[1]
        content = part.read_bytes()
        part.unlink()
        if damage == "folder":
            part.mkdir()
        elif damage == "other":
            (parts / "00000003-00000000.parquet").write_bytes(content)
        elif damage != "lost":
            part.write_bytes(damaged(content, chance) if damage == "bytes" else b"")
        assert run(parts, made := []).equals(whole)
        assert made == [2]
        assert len(list(parts.iterdir())) == 4
