"""The summary of a study holds the records of all layers, and q-values over all of them."""

import numpy as np
import pytest
from language_files import write_transfer
from result_files import write_study

from crosslens.stats.fdr import benjamini_hochberg, holm
from crosslens.summary.layer import layer_summary
from crosslens.summary.study import study_summary
from crosslens.tables.documents import read_json

SITES = ("10", "2")


@pytest.fixture()
def layers(tmp_path):
    """site -> summary."""
    files, paths = write_study(tmp_path / "in", sites=SITES), {}
    for site in SITES:
        layer = files.layer(site)
        conditions = ("caption", "caption_whole")
        path = write_transfer(tmp_path / f"t{site}.json", site=site, shared=0.4, conditions=conditions)
        layer["files"]["gender_transfer"] = {"": path}
        layer_summary(**layer, out=paths.setdefault(site, tmp_path / f"{site}.json"))
    return paths


def test_it_holds_all_records_by_depth_and_corrects_over_all_layers(layers, tmp_path):
    study_summary(layers=layers, level=0.01, out=tmp_path / "summary.json")
    summary = read_json(tmp_path / "summary.json", "summary")
    assert summary["sites"] == ["2", "10"] and summary["level"] == 0.01
    for name, records in summary["records"].items():
        expected = [
            record | {"site": site}
            for site in ("2", "10")
            for record in read_json(layers[site], "layer")[name]
        ]
        assert [
            {key: value for key, value in r.items() if key not in ("q", "reachable")} for r in records
        ] == expected
    claims = {(claim["records"], claim["family"]): claim for claim in summary["claims"]}
    simes = {
        of: benjamini_hochberg([r["p"] for r in summary["records"][of[0]] if r["q_family"] == of[1]]).min()
        for of in claims
    }
    assert [claim["q"] for claim in claims.values()] == pytest.approx(
        holm(np.array([*simes.values()])).tolist()
    )
    transfer = summary["records"]["transfer"]
    families = {name: [r for r in transfer if r["q_family"] == name] for name in ("masked", "lexical", None)}
    for name, records in families.items():
        across = {record["source"] != record["target"] for record in records}
        assert across == {name is not None}
        if name is None:
            assert all(record["q"] is None for record in records)
        else:
            assert len(records) == 2 * 2 * len(SITES)
            q = benjamini_hochberg([record["p"] for record in records])
            least = claims["transfer", name]["q"] if name == "masked" else 0
            assert [record["q"] for record in records] == np.maximum(q, least).tolist()
    assert [row["q"] is None for row in summary["records"]["directions"]] == [False, True] * len(SITES)
