"""All methods, of all grafts of one seed of development."""

import pytest

from crosslens.certificate.measure import COMPARED, KNOWN, measure
from crosslens.certificate.scores import scores
from crosslens.models.load import load_model
from crosslens.sae.settings import ARCHITECTURES

SEED = 3


@pytest.mark.long
def test_one_seed_is_asked_of_every_method(tmp_path):
    models = {name: load_model(f"resources/{name}", device="cpu") for name in ("planted", "planted_control")}
    models["random_init"] = load_model("resources/planted", device="cpu", random_init=SEED)
    tables = measure(models, SEED, number=2, ig=False, saes=True, images=tmp_path)
    found = scores(*tables, bootstraps=20, seed=0)

    places = {(row["method"], row["kind"]): row["recovery"]["value"] for row in found["places"]}
    assert all(places["patching", kind] > 0.9 for kind in ("english", "arabic", "shared", "attention"))
    assert {kind for method, kind in places if method == "ig"} == {
        f"{kind} (features)" for kind in ("english", "arabic", "shared")
    }
    directions = {(row["method"], row["kind"]): row["recovery"]["value"] for row in found["directions"]}
    assert directions["difference", "shared"] == 1
    assert {f"sae_{name}" for name in ARCHITECTURES} <= {method for method, _ in directions}

    calls = {(row["method"], row["sae"]): row for row in found["calls"]}
    assert {sae for _, sae in calls} == {KNOWN, *COMPARED}
    assert calls["sharing", KNOWN]["recovery"]["value"] == 1
    assert calls["sharing", KNOWN]["shared"]["value"] == 1 and calls["sharing", KNOWN]["one"]["value"] == 0
    assert calls["selectivity", KNOWN]["shared"]["value"] == 0
    assert calls["selectivity", KNOWN]["one"]["value"] == 1
    claims = {(row["method"], row["of"]): row for row in found["claims"]}
    assert claims["patching", "places"]["true"]["value"] > 0.5
    assert claims["patching", "places"]["decoy"]["value"] == 0
    for model in models:
        assert claims["atp", "places"][model]["n"] == 1
