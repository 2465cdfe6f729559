"""Features are found again in SAEs that are the same in another order, with some of them replaced."""

import numpy as np
import pytest
import torch

from crosslens.alignment.counterparts import find_counterparts
from crosslens.errors import InputError
from crosslens.sae.io import load_sae, sae_digest, save_sae
from crosslens.sae.settings import Settings
from crosslens.sae.step import fresh_state, normalisations
from crosslens.tables.documents import read_table

IDENTITY = {"corpus": "en", "site": "4", "seed": "0", "model": "m", "revision": None}


def reordered(sae, order, fresh):
    """The SAE with feature f at order[f], those of `fresh` in random directions."""
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        decoder, encoder = torch.empty_like(sae.W_dec), torch.empty_like(sae.W_enc)
        decoder[order], encoder[:, order] = sae.W_dec, sae.W_enc
        decoder[order[fresh]] = torch.nn.functional.normalize(
            torch.randn(len(fresh), 32, generator=rng), dim=1
        )
        sae.W_dec.copy_(decoder)
        sae.W_enc.copy_(encoder)
    return sae


def test_a_dictionary_in_another_order_is_found_feature_by_feature(tmp_path):
    first, order = tmp_path / "first", np.random.default_rng(0).permutation(64)
    x = torch.randn(200, 32, generator=torch.Generator().manual_seed(0))
    config = Settings(d_sae=64, k=4, batch_tokens=50).resolve(d_model=32, tokens=200)
    sae = fresh_state(config, *normalisations(x, 32), seed=0).exported()
    save_sae(first, sae, identity=IDENTITY)
    other = tmp_path / "other"
    save_sae(other, reordered(load_sae(first), order, np.arange(50, 64)), identity=IDENTITY | {"seed": "1"})
    find_counterparts(sae=first, others={"seed_1": other, "same": first}, out=tmp_path / "out.parquet")
    table = read_table(tmp_path / "out.parquet", "counterparts").set_index(["other", "feature"])
    found = table.loc["seed_1"]
    assert found["partner"].loc[:49].tolist() == order[:50].tolist() and sorted(found["partner"]) == list(
        range(64)
    )
    np.testing.assert_allclose(found[["decoder_cosine", "encoder_cosine"]].loc[:49], 1, atol=1e-6)
    assert found["decoder_cosine"].loc[50:].max() < 0.9
    assert (table["sae"] == sae_digest(first)).all() and (found["other_sae"] == sae_digest(other)).all()
    assert table.loc["same", "partner"].tolist() == list(range(64))
    save_sae(tmp_path / "elsewhere", sae, identity=IDENTITY | {"site": "5"})
    with pytest.raises(InputError, match="site.*5"):
        find_counterparts(sae=first, others={"seed_1": tmp_path / "elsewhere"}, out=tmp_path / "none.parquet")


def test_another_architecture_starts_from_the_same_directions_and_another_seed_elsewhere():
    """What the page warns of: partners in another architecture are alike before anything was learned."""
    x = torch.randn(200, 32, generator=torch.Generator().manual_seed(0))
    rows = {}
    for architecture, seed in (("topk", 0), ("relu", 0), ("topk", 1)):
        config = Settings(d_sae=64, k=4, batch_tokens=50, architecture=architecture)
        state = fresh_state(config.resolve(d_model=32, tokens=200), *normalisations(x, 32), seed=seed)
        decoder = state.exported().W_dec
        rows[architecture, seed] = torch.nn.functional.normalize(decoder, dim=1).numpy()
    first = rows["topk", 0]
    np.testing.assert_allclose((first * rows["relu", 0]).sum(axis=1), 1, atol=1e-5)
    assert np.abs((first * rows["topk", 1]).sum(axis=1)).max() < 0.8
