"""`crosslens sae show` and `crosslens sae convert`, as one types them."""

import json
import sys

import pytest
import torch
from foreign_files import D, F, K, tokens, weights, write

from crosslens import cli
from crosslens.sae.exchange.read import read_sae
from crosslens.sae.io import load_sae, sae_identity, sae_origin


@pytest.fixture
def crosslens(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["crosslens", "sae", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


@pytest.fixture
def gemma(tmp_path):
    """An SAE of Gemma Scope 1 in a folder that says nothing of it."""
    names = ("W_enc", "W_dec", "b_enc", "b_dec", "threshold")
    return write(tmp_path / "somewhere", None, {name: weights()[name] for name in names}, "params.npz")


@pytest.fixture
def sparse(tmp_path):
    w = weights()
    tensors = {
        "encoder.weight": w["W_enc"].T,
        "encoder.bias": w["b_enc"],
        "W_dec": w["W_dec"],
        "b_dec": w["b_dec"],
    }
    config = {
        "activation": "topk",
        "num_latents": F,
        "k": K,
        "d_in": D,
        "transcode": False,
        "skip_connection": False,
    }
    return write(tmp_path / "layers.5", config, tensors, "sae.safetensors")


def test_show(crosslens, sparse):
    code, out, _ = crosslens("show", sparse)
    rows = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert code == 0
    assert (rows["format"], rows["architecture"], rows["d_sae"], rows["site"]) == (
        "sparsify",
        "topk, k 4",
        "24",
        "5",
    )
    assert (rows["normalisation"], rows["model"]) == ("none", "not said")


def test_convert_asks_for_what_the_files_do_not_say(crosslens, gemma, tmp_path):
    out = tmp_path / "out"
    code, _, err = crosslens("convert", gemma, out)
    assert code == 2 and "no known site (nothing said)" in err and "--site" in err
    code, _, err = crosslens("convert", gemma, out, "--site", "20")
    assert code == 2 and "--model" in err and not out.exists()
    code, said, _ = crosslens(
        "convert", gemma, out, "--site", "20", "--model", "google/gemma-2-2b", "--revision", "r1"
    )
    assert code == 0 and f"wrote {out}" in said
    assert sae_identity(out) == {
        "corpus": "pretrained",
        "site": "20",
        "seed": 0,
        "model": "google/gemma-2-2b",
        "revision": "r1",
    }
    x = torch.tensor(tokens())
    assert torch.equal(load_sae(out)(x), read_sae(gemma).sae(x))


def test_convert_and_back(crosslens, sparse, tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "layers.6"
    assert crosslens("convert", sparse, ours, "--model", "org/model")[0] == 0
    assert sae_identity(ours)["site"] == "5" and sae_origin(ours) == ("topk", None)
    assert crosslens("convert", ours, theirs, "--to", "sparsify")[0] == 0
    x = torch.tensor(tokens())
    assert torch.equal(read_sae(theirs).sae(x), read_sae(sparse).sae(x))


def test_convert_a_transcoder(crosslens, sparse, tmp_path):
    config = json.loads((sparse / "cfg.json").read_text())
    mlp = sparse.rename(tmp_path / "layers.5.mlp")
    (mlp / "cfg.json").write_text(json.dumps({**config, "transcode": True}))
    known = (tmp_path / "out", "--model", "m", "--site", "5.mlp_in")
    code, _, err = crosslens("convert", mlp, *known)
    assert code == 2 and "--target" in err
    code, said, _ = crosslens("convert", mlp, *known, "--target", "5.mlp_out")
    assert code == 0 and "SAELens has no TopK transcoders" in said
    assert sae_origin(tmp_path / "out") == ("topk", "5.mlp_out")
    x = torch.tensor(tokens())
    assert torch.equal(load_sae(tmp_path / "out")(x), read_sae(mlp).sae(x))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--site", "6"], "site 5 (layers.5); expected site 6"),
        (["--site", "5.mlp"], "--site: found '5.mlp'"),
        (["--site", "5", "--target", "5.mlp_out"], "found no transcoder"),
        (["--scaling-factor", "2"], "another tool than SAELens"),
    ],
)
def test_convert_refuses_what_the_files_contradict(crosslens, sparse, tmp_path, arguments, message):
    code, _, err = crosslens("convert", sparse, tmp_path / "out", "--model", "m", *arguments)
    assert code == 2 and message in err and not (tmp_path / "out").exists()


def test_convert_writes_over_nothing(crosslens, sparse):
    code, _, err = crosslens("convert", sparse, sparse)
    assert code == 2 and "found something there" in err


def test_convert_of_our_own_sae_to_our_own_layout(crosslens, sparse, tmp_path):
    assert crosslens("convert", sparse, tmp_path / "ours", "--model", "m")[0] == 0
    code, _, err = crosslens("convert", tmp_path / "ours", tmp_path / "again")
    assert code == 2 and "SAELens reads it" in err


def test_jumprelu_is_not_written_for_sparsify(crosslens, gemma, tmp_path):
    code, _, err = crosslens("convert", gemma, tmp_path / "out", "--to", "sparsify")
    assert code == 2 and "activation jumprelu" in err
