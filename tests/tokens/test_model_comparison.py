"""Models compared on the same texts: planted likeness is found, unlike texts are refused."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ortho_group
from tiny import save_dataset
from world import Token, table_of, write_site

from crosslens.activations.extract import extract
from crosslens.alignment.cka import unbiased_cka
from crosslens.errors import InputError
from crosslens.figures.model_comparison import comparison_figure
from crosslens.tables.activations import Activations
from crosslens.tables.documents import read_json, read_table, write_table
from crosslens.tables.tokens import read_tokens, write_tokens
from crosslens.tokens.compare import compare_models, pooled

N, LENGTH, D = 60, 5, 12


def write_model(folder, ids, sites):
    """Token table and activations (d each) of samples with LENGTH caption tokens behind a BOS of large norm."""
    folder.mkdir()
    tokens = [Token("bos"), *[Token("caption")] * LENGTH]
    write_tokens(folder / "tokens.zarr", table_of(dict.fromkeys(ids, tokens)), language="en")
    paths = {}
    for site, values in sites.items():
        x = np.full((len(ids), LENGTH + 1, values.shape[-1]), 1e4, dtype=np.float32)
        x[:, 1:] = values
        paths[site] = [write_site(folder / f"{site}.zarr", x.reshape(-1, x.shape[-1]), site=site)]
    return [folder / "tokens.zarr"], paths


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Model `b` sees in its site 1 what `a` sees, rotated into more dimensions; its site 2 is unrelated."""
    folder = tmp_path_factory.mktemp("compared")
    rng = np.random.default_rng(0)
    ids = [f"{i:03d}#0" for i in range(N)]
    own = rng.normal(size=(N, LENGTH, D)) * rng.uniform(0.2, 3, size=D)
    rotation = ortho_group.rvs(D + 4, random_state=rng)[:D]
    order = rng.permutation(N)
    a = write_model(folder / "a", ids, {"0": own, "4.mlp_out": own[..., :6]})
    turned = (7 * own @ rotation + 3)[order]
    b = write_model(
        folder / "b",
        [ids[i] for i in order],
        {"1": turned, "2": rng.normal(size=(N, LENGTH, 9))},
    )
    dataset = folder / "dataset.parquet"
    texts = pd.DataFrame(
        {"sample_id": ids, "caption": [f"text {i}" for i in ids], "prompt": "Say.", "image_sha256": ""}
    )
    write_table(dataset, "dataset", texts)
    return {
        "tokens": {"a": a[0], "b": b[0]},
        "activations": {"a": a[1], "b": b[1]},
        "datasets": {"a": dataset, "b": dataset},
        "roles": ["caption"],
    }, own


def by_sites(document):
    return {
        (pair["model_a"], pair["site_a"], pair["model_b"], pair["site_b"]): pair for pair in document["pairs"]
    }


def test_what_is_alike_is_found_whatever_its_rotation_scale_offset_and_order(planted, tmp_path):
    arguments, own = planted
    compare_models(**arguments, out=tmp_path / "out")
    document = read_json(tmp_path / "out" / "comparison.json", "model_comparison")
    pairs = by_sites(document)
    assert len(pairs) == 10 and document["samples"] == N
    for side in (("a", "0"), ("a", "4.mlp_out"), ("b", "1"), ("b", "2")):
        assert pairs[*side, *side]["linear_cka"] == pytest.approx(1)
        assert pairs[*side, *side]["unbiased_cka"] == pytest.approx(1)
    alike = pairs["a", "0", "b", "1"]
    assert alike["linear_cka"] == pytest.approx(1, abs=1e-5) and alike["unbiased_p"] == pytest.approx(1 / 21)
    means = own.mean(axis=1)
    expected = unbiased_cka(means, means[:, :6])
    assert pairs["a", "0", "a", "4.mlp_out"]["unbiased_cka"] == pytest.approx(expected, abs=1e-5)
    assert pairs["a", "4.mlp_out", "b", "1"]["unbiased_cka"] == pytest.approx(expected, abs=1e-5)
    unrelated = pairs["a", "0", "b", "2"]
    assert abs(unrelated["unbiased_cka"]) < 0.08 < unrelated["linear_cka"]
    assert unrelated["unbiased_p"] > 0.05
    assert alike["unbiased_null_max"] < 0.2
    assert (tmp_path / "out" / "comparison.png").stat().st_size > 10_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_a_first_token_of_huge_norm_is_no_likeness_of_two_models(planted, tmp_path):
    """Models without BOS: their sinks of norm 1,043 in the mean over a text would tell its length, which both share."""
    arguments, _ = planted
    rng = np.random.default_rng(1)
    ids = [f"{i:03d}#0" for i in range(N)]
    weight = LENGTH / rng.integers(3, 12, size=N)
    given = {"tokens": {}, "activations": {}}
    for name in ("a", "b"):
        x = rng.normal(size=(N, LENGTH, D)) * 18 / np.sqrt(D)
        x[:, 0] = weight[:, None] * np.eye(D)[3] * 1043
        given["tokens"][name], given["activations"][name] = write_model(tmp_path / name, ids, {"1": x})
    compare_models(**{**arguments, **given}, out=tmp_path / "out")
    document = read_json(tmp_path / "out" / "comparison.json", "model_comparison")
    assert [document["models"][name]["sinks"] for name in ("a", "b")] == [{"1": N}] * 2
    pair = by_sites(document)["a", "1", "b", "1"]
    assert abs(pair["unbiased_cka"]) < 0.1 and pair["unbiased_p"] > 0.05
    compare_models(**{**arguments, **given}, max_samples=20, out=tmp_path / "few")
    few = read_json(tmp_path / "few" / "comparison.json", "model_comparison")
    assert few["models"]["a"]["sinks"] == {"1": 20}


def test_fewer_samples_are_drawn_with_the_seed(planted, tmp_path):
    arguments, _ = planted
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        compare_models(**arguments, max_samples=30, seed=seed, draws=3, out=tmp_path / name)
    first, again, other = (
        read_json(tmp_path / name / "comparison.json", "model_comparison")
        for name in ("first", "again", "other")
    )
    assert first == again and first["pairs"] != other["pairs"]
    assert first["samples"] == 30 and first["samples_available"] == N


def test_the_panels_show_the_file(planted, tmp_path):
    arguments, _ = planted
    compare_models(**arguments, out=tmp_path / "out")
    pairs = pd.DataFrame(read_json(tmp_path / "out" / "comparison.json", "model_comparison")["pairs"])
    figure = comparison_figure(pairs, samples=N, roles=["caption"], draws=20)
    panels = {(axes.get_ylabel(), axes.get_xlabel()): axes for axes in figure.axes if axes.texts}
    shown, own = (panels["site of a", f"site of {of}"].collections[0].get_array() for of in ("b", "a"))
    found = pairs.set_index(["model_a", "site_a", "model_b", "site_b"])["unbiased_cka"]
    expected = [[found["a", down, "b", across] for across in ("1", "2")] for down in ("0", "4.mlp_out")]
    np.testing.assert_allclose(shown, expected)
    np.testing.assert_allclose(own, own.T)
    crosses = [text for text in panels["site of a", "site of b"].texts if text.get_text() == "×"]
    assert {text.get_position()[0] for text in crosses} == {1.5}, "in the middle of the second column"


def test_the_same_model_twice_on_the_real_class(text_folder, tmp_path):
    dataset, _ = save_dataset(tmp_path, "en", 16, images=False)
    made = {}
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        sites = {site: folder / f"{site}.zarr" for site in ("0", "3")}
        extract(
            dataset=dataset,
            images=None,
            rows=(1, 16),
            model={"id": str(text_folder), "device": "cpu"},
            sites=sites,
            tokens=folder / "tokens.zarr",
            batch_tokens=512,
            shard_bytes=1 << 20,
            language="en",
            dtype="float32",
        )
        made[name] = sites
    compare_models(
        tokens={name: [tmp_path / name / "tokens.zarr"] for name in made},
        activations={name: {site: [path] for site, path in sites.items()} for name, sites in made.items()},
        datasets=dict.fromkeys(made, dataset),
        roles=["prompt", "caption"],
        out=tmp_path / "out",
    )
    pairs = by_sites(read_json(tmp_path / "out" / "comparison.json", "model_comparison"))
    for site in ("0", "3"):
        assert pairs["a", site, "b", site]["linear_cka"] == pytest.approx(1)
    assert pairs["a", "0", "b", "3"]["linear_cka"] == pytest.approx(pairs["a", "0", "a", "3"]["linear_cka"])
    table = read_tokens(tmp_path / "a" / "tokens.zarr")
    activations = Activations(made["a"]["3"])
    ids = list(reversed(table.sample_ids))
    values, _ = pooled(activations, table, ids, ["caption"], rows=7)
    whole = activations.read(0, len(activations)).astype(np.float64)
    for i, sample_id in enumerate(ids):
        own = (table.sample == table.sample_ids.index(sample_id)) & table.has_role(["caption"])
        np.testing.assert_allclose(values[i], whole[own].mean(axis=0), rtol=1e-6, atol=1e-6)


def test_unlike_texts_and_samples_are_refused(planted, tmp_path):
    arguments, _ = planted
    other = tmp_path / "other.parquet"
    table = read_table(arguments["datasets"]["a"], "dataset")
    table.loc[7, "caption"] = "another"
    write_table(other, "dataset", table)
    datasets = {**arguments["datasets"], "b": other}
    with pytest.raises(
        InputError, match="models a and b, sample 007#0: found caption 'text 007#0' and 'another'"
    ):
        compare_models(**{**arguments, "datasets": datasets}, out=tmp_path / "out")
    ids = [f"{i:03d}#0" for i in range(10)]
    tokens, sites = write_model(tmp_path / "c", ids, {"1": np.ones((10, LENGTH, 3))})
    few = {
        **arguments,
        "tokens": {**arguments["tokens"], "b": tokens},
        "activations": {**arguments["activations"], "b": sites},
    }
    with pytest.raises(InputError, match="50 samples that only one of them has, 010#0 among them"):
        compare_models(**few, out=tmp_path / "out")
    with pytest.raises(InputError, match="no finite mean for sample 000#0"):
        compare_models(**{**arguments, "roles": ["generated"]}, out=tmp_path / "out")
    with pytest.raises(InputError, match="roles: found"):
        compare_models(**{**arguments, "roles": ["captions"]}, out=tmp_path / "out")
    with pytest.raises(InputError, match="all three of the same models"):
        compare_models(**{**arguments, "datasets": {"a": other}}, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
