"""A built study read through `crosslens.open_study`, against its files and against what its own jobs computed."""

import base64
import json
import re
import struct
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr
from safetensors.numpy import load_file

import crosslens
from crosslens.errors import InputError
from crosslens.results.notebook import run_notebook

SAE = "joint/1"


@pytest.fixture(scope="module")
def study(built_once):
    return crosslens.open_study(built_once.folder / "results/toy")


def test_it_says_what_it_is_about_and_names_can_be_completed(study):
    assert (study.name, study.languages, study.sites, study.corpora) == (
        "toy",
        ["en", "ar"],
        ["1"],
        ["joint"],
    )
    assert list(study.saes) == [SAE] and study.saes[SAE].languages == ["en", "ar"]
    assert {"languages", "saes", "summary", "claims", "dataset", "activations", "model"} <= {*dir(study)}
    assert {"features", "effects", "encode", "examples", "steered"} <= {*dir(study.saes[SAE])}
    assert "toy" in repr(study) and SAE in repr(study.saes[SAE])
    listed = study.artifacts()
    asked = listed[listed["kind"].isin(["codes", "sae", "page"])]
    assert asked["built"].all() and asked["kind"].nunique() == 3
    assert asked["path"].map(lambda path: (study.top / path).exists()).all()


def test_tables_and_documents_are_the_files(study):
    sae = study.saes[SAE]
    for language in study.languages:
        table = pq.read_table(study.folder / f"dataset/{language}.parquet").to_pandas()
        assert study.dataset(language).equals(table)
        features = pq.read_table(study.folder / f"features/joint/{language}/layer_1/features.parquet")
        assert sae.features(language).equals(features.to_pandas())
        quality = json.loads((study.folder / f"quality/joint/{language}/layer_1.json").read_text())
        assert sae.quality(language)("l0", "mean") == quality["l0"]["mean"]
    effects = pq.read_table(study.folder / "gender/joint/ar/layer_1/effects.parquet").to_pandas()
    assert sae.effects("ar").equals(effects)
    summary = json.loads((study.folder / "summary.json").read_text())
    assert len(study.records("probes")) == len(summary["records"]["probes"])
    assert list(study.claims["claim"]) == [claim["claim"] for claim in summary["claims"]]
    assert set(study.figures) == {
        path.relative_to(study.folder / "figures").as_posix().removesuffix(".png")
        for path in study.folder.glob("figures/**/*.png")
    }


def test_activations_are_the_stored_bits_and_the_sae_encodes_them_to_the_stored_codes(study):
    sae, language = study.saes[SAE], "ar"
    parts = sorted(study.folder.glob(f"activations/{language}/layer_1/part_*.zarr"))
    bits = np.concatenate([zarr.open_group(part, mode="r")["values"][:] for part in parts])
    rows = [7, 2 * len(bits) // 3]
    exact = [[struct.unpack("<f", struct.pack("<HH", 0, bit))[0] for bit in bits[row]] for row in rows]
    read = study.activations(language, "1")
    assert np.array_equal(np.concatenate([read.read(row, row + 1) for row in rows]), np.float32(exact))
    assert len(study.tokens(language)) == len(read) == len(bits)
    codes = sae.codes(language)
    some = np.linspace(0, len(codes) - 1, 40).astype(int)
    x = np.concatenate([read.read(row, row + 1) for row in codes.token[some]])
    stored = np.concatenate([codes.rows(row, row + 1).toarray() for row in some])
    assert np.allclose(sae.encode(x).toarray(), stored, atol=1e-5) and (stored > 0).any()
    weights = load_file(study.folder / "sae/joint/layer_1/seed_0/sae_weights.safetensors")
    assert np.array_equal(sae.weights.W_dec.numpy(), weights["W_dec"])


def test_any_feature_has_its_strongest_texts(study):
    """Of one that no ranking names too: the largest activation of each text, from the codes as they lie."""
    sae, language = study.saes[SAE], "en"
    codes, tokens, dataset = sae.codes(language), study.tokens(language), study.dataset(language)
    dense = codes.rows(0, len(codes)).toarray()
    split = dataset.set_index("sample_id")["split"]
    of_test = np.array([split[tokens.sample_ids[sample]] == "test" for sample in tokens.sample[codes.token]])
    feature = int(dense[of_test].max(axis=0).argmax())
    examples = sae.examples([feature, 0], language, count=3)
    assert list(examples) == [feature, 0] and len(examples[feature]) == 3
    assert examples[feature][0]["max"] == pytest.approx(dense[of_test, feature].max(), abs=1e-5)
    tops = [example["max"] for example in examples[feature]]
    assert tops == sorted(tops, reverse=True)
    for example in examples[feature]:
        number = tokens.sample_ids.index(example["sample_id"])
        own = dense[tokens.sample[codes.token] == number, feature]
        assert example["max"] == pytest.approx(own.max(), abs=1e-5)
        assert len(example["tokens"]) == (own > 0).sum()
    with pytest.raises(InputError, match="100000.*take them from the tables of this SAE"):
        sae.examples([100_000], language)


def test_a_text_and_picture_of_ones_own_fire_as_in_the_study(study):
    """The study's own caption, read by hand through model and SAE, against the codes that its jobs stored."""
    sae, language = study.saes[SAE], "en"
    row = study.dataset(language).iloc[5]
    tokens, codes = study.tokens(language), sae.codes(language)
    fired = sae.fires_on([row["caption"]], language, image=row["image"])
    number = tokens.sample_ids.index(row["sample_id"])
    mine = np.flatnonzero(tokens.sample[codes.token] == number)
    stored = np.concatenate([codes.rows(m, m + 1).toarray() for m in mine])
    found = np.zeros_like(stored)
    place = {int(tokens.position[codes.token[m]]): i for i, m in enumerate(mine)}
    for of in fired.itertuples():
        if of.position in place:
            found[place[of.position], of.feature] = of.activation
    # bfloat16 is what is stored: a code near the k-th may be another
    close = np.isclose(found, stored, atol=0.02 * stored.max())
    assert (stored > 0).any() and close.mean() > 0.999
    said = fired.drop_duplicates("position")
    assert row["caption"].startswith("".join(said[said["role"] == "caption"]["token"].head(1)).strip(" ·▁"))
    own = study.images / row["image"]
    assert sae.fires_on([row["caption"]], language, image=own).equals(fired)


def test_strength_0_writes_what_the_model_writes_and_a_feature_that_is_silent_cannot_be_steered(study):
    sae, language = study.saes[SAE], "en"
    features = sae.features(language)
    strong = int(features["select_max"].idxmax())
    picture = study.dataset(language)["image"].iloc[0]
    steered = sae.steered(strong, [0, 30], language, image=picture, max_new_tokens=12)
    plain = sae.steered(strong, [1], language, how="amplify", image=picture, max_new_tokens=12)
    assert list(steered["strength"]) == [0, 30]
    assert steered["text"][0] == plain["text"][0] != steered["text"][1]
    silent = features.loc[~features["live"], "feature"]
    assert len(silent)
    with pytest.raises(InputError, match="no token of select on which it fires"):
        sae.steered(int(silent.iloc[0]), [1], language)


def test_what_was_not_built_is_told_with_the_command_that_makes_it(built_once, study, tmp_path):
    with pytest.raises(
        InputError, match=r"summary.json: found no such file.*`snakemake --cores all results/mini/summ"
    ):
        _ = crosslens.open_study(built_once.folder / "results/mini").summary
    config = (built_once.folder / "config/studies/toy.yaml").read_text()
    checkout = tmp_path / "checkout"
    for folder in ("config", "workflow", "resources"):
        checkout.mkdir(exist_ok=True)
        (checkout / folder).symlink_to(built_once.folder / folder)
    assert config
    with pytest.raises(
        InputError, match=r"no such folder.*`snakemake --cores all results/toy/report/index.html`"
    ):
        crosslens.open_study(checkout / "results/toy")
    with pytest.raises(InputError, match="defined studies: .*toy"):
        crosslens.open_study(checkout / "results/tpy")
    with pytest.raises(InputError, match="no config/config.yaml"):
        crosslens.open_study(tmp_path / "results/toy")
    with pytest.raises(InputError, match="found no such kind.*one of .*quality"):
        study.path("qualities")
    with pytest.raises(InputError, match="found the wildcards language; expected corpus, language, site"):
        study.path("quality", language="en")
    with pytest.raises(InputError, match="no artifact of the study toy"):
        study.path("quality", corpus="joint", language="en", site="7")
    with pytest.raises(InputError, match="'fr'; expected one of en, ar"):
        study.tokens("fr")
    with pytest.raises(InputError, match="'probe'; expected one of .*probes"):
        study.records("probe")


def test_what_the_readme_shows_runs(built_once, monkeypatch):
    """On a study of one layer."""
    monkeypatch.chdir(built_once.folder)
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (block,) = (code for code in re.findall(r"(?s)```python\n(.*?)```", readme) if "open_study" in code)
    names = {}
    exec(block.replace("planted", "toy").replace('"joint/4"', '"joint/1"').replace('"4"', '"1"'), names)
    assert names["codes"].shape == (100, names["sae"].weights.d_sae) and names["codes"].nnz


def test_the_notebook_runs_from_its_first_to_its_last_cell(built_once, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    out = tmp_path / "notebooks/explore.ipynb"
    run_notebook(built_once.folder / "workflow/notebooks/explore.ipynb", out, study="toy")
    notebook = nbformat.read(out, as_version=4)
    nbformat.validate(notebook)
    cells = {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}
    assert all(cell.outputs for name, cell in cells.items() if name != "inline")
    shown = {
        name: {kind: text for output in cell.outputs for kind, text in output.get("data", {}).items()}
        for name, cell in cells.items()
    }
    for name in ("own-figure", "picture", "layers"):
        assert base64.b64decode(shown[name]["image/png"]).startswith(b"\x89PNG")
    assert "toy" in shown["open"]["text/plain"] and "<table" in shown["steer"]["text/html"]
    source = json.loads((built_once.folder / "workflow/notebooks/explore.ipynb").read_text())
    assert not any(cell.get("outputs") for cell in source["cells"]), "save the notebook without outputs"


@pytest.mark.long
def test_its_rule_runs_it_once(built_once, tmp_path):
    checkout = built_once.copy(tmp_path / "own")
    target = "results/toy/notebooks/explore.ipynb"
    checkout.snakemake(target)
    assert json.loads((checkout.folder / target).read_text(encoding="utf-8"))["cells"]
    assert not checkout.planned(target)


def test_a_cell_that_fails_is_named(tmp_path):
    cell = {"cell_type": "code", "id": "third", "metadata": {}, "outputs": [], "source": ["1 / 0"]}
    broken = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "broken.ipynb").write_text(json.dumps(broken))
    with pytest.raises(InputError, match="cell 'third'.*ZeroDivisionError"):
        run_notebook(tmp_path / "broken.ipynb", tmp_path / "out.ipynb", study="toy")
    assert not (tmp_path / "out.ipynb").exists()
