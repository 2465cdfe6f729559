import numpy as np
import pytest
import torch
from feature_world import make_world
from sklearn.decomposition import PCA as SklearnPCA

from crosslens.errors import InputError
from crosslens.features.baselines import PCA, Covariance, RandomDictionary, TokenMeans
from crosslens.features.encode import encode, to_csr
from crosslens.features.quality import measure_quality
from crosslens.sae.io import sae_digest, save_sae
from crosslens.sae.model import TopKSAE
from crosslens.tables.activations import Activations, sinks
from crosslens.tables.arrays import open_group
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_json, write_table
from crosslens.tables.tokens import ROLES

IDENTITY = {"corpus": "joint", "site": "4", "seed": 0, "model": "toy", "revision": "1"}
D, F, K = 12, 40, 6


def random_sae(seed: int, d: int = D) -> TopKSAE:
    sae = TopKSAE(d, F, K)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.normal_(0, 0.5, generator=generator)
        sae.b_enc[5:] -= 1
        sae.b_enc[0] = -1e6
    return sae


@pytest.fixture(scope="module")
def sae(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sae") / "sae"
    save_sae(folder, random_sae(0), identity=IDENTITY)
    return folder


def run(world, sae, out, **changes):
    arguments = {"tokens": world.tokens, "activations": world.activations, "roles": ["prompt", "caption"]}
    encode(sae=sae, out=out, **{**arguments, **changes})
    return Codes(out)


@pytest.fixture(scope="module")
def dense(world):
    """(N, F) by hand: ReLU of the K largest pre-activations."""
    model = random_sae(0)
    x = torch.from_numpy(world.x)
    with torch.no_grad():
        z = ((x - model.b_dec) @ model.W_enc + model.b_enc).relu()
    kth = z.topk(K, dim=1).values[:, -1:]
    return z.where(z >= kth, 0.0).numpy()


def test_codes_are_the_topk_of_every_text_token(world, sae, dense, tmp_path):
    codes = run(world, sae, tmp_path / "codes.zarr")
    expected = np.flatnonzero(np.isin(world.table.role, [ROLES.index("prompt"), ROLES.index("caption")]))
    np.testing.assert_array_equal(codes.token, expected)
    stored = codes.rows(0, len(codes))
    np.testing.assert_allclose(stored.toarray(), dense[expected], rtol=1e-4, atol=1e-5)
    assert (stored.data > 0).all()
    for i in range(len(codes)):
        assert (np.diff(stored.indices[stored.indptr[i] : stored.indptr[i + 1]]) > 0).all()
    attributes = {key: codes.attributes[key] for key in ("d_sae", "sae", "roles", "language", "site")}
    assert attributes == {
        "d_sae": F,
        "sae": sae_digest(sae),
        "roles": ["prompt", "caption"],
        "language": "en",
        "site": "4",
    }


def test_encoding_over_a_half_written_folder_gives_the_same_bytes(world, sae, tmp_path):
    run(world, sae, tmp_path / "a.zarr")
    run(world, sae, tmp_path / "b.zarr", roles=["caption"])
    run(world, sae, tmp_path / "b.zarr")
    files = [
        {p.relative_to(r): p.read_bytes() for p in r.rglob("*") if p.is_file()} for r in tmp_path.iterdir()
    ]
    assert files[0] == files[1]


def test_other_roles_can_be_encoded(world, sae, tmp_path):
    codes = run(world, sae, tmp_path / "codes.zarr", roles=["image"])
    assert (world.table.role[codes.token] == ROLES.index("image")).all()
    with pytest.raises(InputError, match="captions"):
        run(world, sae, tmp_path / "x.zarr", roles=["captions"])


def test_nan_and_infinity_are_errors_with_sample_and_position(sae, tmp_path):
    world = make_world(tmp_path, n=12, d=D, parts=2, seed=1)
    row = int(np.flatnonzero(world.table.role == ROLES.index("caption"))[-2])
    group = open_group(world.activations[1], "activations", mode="r+")
    first = int(Activations(world.activations).starts[1])
    name = world.table.sample_ids[world.table.sample[row]]
    place = f"sample {name}, position {world.table.position[row]}, site 4"
    for value in (np.nan, np.inf):
        group["values"][row - first, 3] = value
        with pytest.raises(InputError, match=place) as error:
            run(world, sae, tmp_path / "codes.zarr")
        assert error.value.where == world.activations[1]


def test_an_sae_of_another_width_site_or_model_is_refused(world, tmp_path):
    save_sae(tmp_path / "wide", random_sae(0, d=D + 1), identity=IDENTITY)
    with pytest.raises(InputError, match="width"):
        run(world, tmp_path / "wide", tmp_path / "codes.zarr")
    for key, other in (("site", "4.mlp_out"), ("model", "other"), ("revision", "2")):
        save_sae(tmp_path / key, random_sae(0), identity={**IDENTITY, key: other})
        with pytest.raises(InputError, match=other):
            run(world, tmp_path / key, tmp_path / "codes.zarr")


def test_tokens_of_other_parts_are_refused(world, sae, tmp_path):
    with pytest.raises(InputError, match="rows"):
        run(world, sae, tmp_path / "codes.zarr", tokens=world.tokens[:1])


def test_csr_keeps_positive_values_and_sorts_ids():
    values = np.array([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0]], dtype=np.float32)
    indices = np.array([[7, 2, 1], [0, 3, 4]])
    block = to_csr(values, indices, 9)
    assert block.indices.tolist() == [2, 7] and block.data.tolist() == [1.0, 3.0]
    assert block.indptr.tolist() == [0, 2, 2]


@pytest.fixture(scope="module")
def quality(world, sae, tmp_path_factory):
    out = tmp_path_factory.mktemp("quality") / "quality.json"
    measure_quality(
        dataset=world.dataset,
        sae=sae,
        tokens=world.tokens,
        activations=world.activations,
        roles=["prompt", "caption"],
        seed=0,
        out=out,
    )
    return read_json(out, "quality")


def split_of(world):
    split = world.frame.set_index("sample_id")["split"]
    text = world.table.has_role(["prompt", "caption"])
    of_token = np.array([split[world.table.sample_ids[s]] for s in world.table.sample])
    return text & (of_token == "train"), text & (of_token == "test")


def explained(x, x_hat):
    x = x.astype(np.float64)
    return 1 - ((x - x_hat) ** 2).sum() / ((x - x.mean(axis=0)) ** 2).sum()


def test_quality_is_that_of_held_out_text_tokens(world, quality, dense):
    model = random_sae(0)
    _, test = split_of(world)
    z = dense[test].astype(np.float64)
    x_hat = z @ model.W_dec.detach().double().numpy() + model.b_dec.detach().double().numpy()
    assert quality["tokens"] == test.sum()
    assert quality["ev"] == pytest.approx(explained(world.x[test], x_hat), rel=1e-4)
    assert quality["l0"]["mean"] == pytest.approx((z > 0).sum(axis=1).mean())
    assert quality["live"] == ((z > 0).any(axis=0)).sum()
    assert quality["dead"] >= 1
    assert quality["architecture"] == "topk"


def test_quality_tells_how_alike_the_decoder_rows_are(quality):
    W = random_sae(0).W_dec.detach().double().numpy()
    cosines = (W @ W.T) / np.outer(np.linalg.norm(W, axis=1), np.linalg.norm(W, axis=1))
    nearest = (cosines - 3 * np.eye(F)).max(axis=1)
    told = quality["decoder_cosine"]
    assert told["compared"] == F == sum(told["decoder"]["counts"]) == sum(told["random"]["counts"])
    assert told["decoder"]["median"] == pytest.approx(np.median(nearest), abs=1e-6)
    assert told["decoder"]["alike_share"] == (nearest > told["alike_above"]).mean()


def test_baselines_are_fitted_on_train_and_measured_on_test(world, quality):
    train, test = split_of(world)
    baselines = quality["baselines"]
    rank = baselines["pca"]["rank"]
    assert rank == round(quality["l0"]["mean"])
    pca = SklearnPCA(rank).fit(world.x[train].astype(np.float64))
    projected = pca.inverse_transform(pca.transform(world.x[test].astype(np.float64)))
    assert baselines["pca"]["ev"] == pytest.approx(explained(world.x[test], projected), rel=1e-6)
    assert baselines["test_mean_ev"] == pytest.approx(0, abs=1e-9)
    assert -0.1 < baselines["train_mean"]["ev"] <= 0
    by_token = np.stack(
        [world.x[train & (world.table.token_id == t)].mean(axis=0) for t in world.table.token_id[test]]
    )
    assert baselines["token_mean"]["ev"] == pytest.approx(explained(world.x[test], by_token), rel=1e-4)
    assert baselines["token_mean"]["unseen_share"] == 0


def test_gates_say_what_failed(quality):
    assert quality["gates"]["beats_pca"]["passed"] == (quality["ev"] > quality["baselines"]["pca"]["ev"])
    assert quality["gates"]["alive"]["passed"] == (quality["dead"] <= F / 2)
    assert quality["gates"]["sparse"]["passed"] == (quality["l0"]["mean"] < 0.5 * quality["live"])


def test_streaming_covariance_far_from_the_origin_is_sklearns():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)) * [9, 5, 3, 2, 1, 0.5] + 1e5
    covariance = Covariance()
    for part in np.array_split(x, 7):
        covariance.update(part)
    expected = SklearnPCA(3, svd_solver="full").fit(x)
    projected = expected.inverse_transform(expected.transform(x))
    np.testing.assert_allclose(PCA(covariance, 3).reconstruct(x), projected, rtol=0, atol=1e-6)


def test_random_dictionary_explains_with_the_best_coefficients_of_its_k_directions():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 10))
    dictionary = RandomDictionary(np.zeros(10), d_sae=30, k=3, seed=1)
    D_ = dictionary.D.numpy().astype(np.float64)
    for row, x_hat in zip(x, dictionary.reconstruct(x), strict=True):
        atoms = D_[np.argsort(-np.abs(D_ @ row))[:3]].T
        best = atoms @ np.linalg.lstsq(atoms, row, rcond=None)[0]
        np.testing.assert_allclose(x_hat, best, atol=1e-3)


def test_a_token_never_seen_in_train_gets_the_fallback():
    means = TokenMeans(np.array([5, 9]), 2)
    means.update(np.array([5, 5, 3]), np.array([[1.0, 3.0], [3.0, 5.0], [100.0, 100.0]]))
    assert means.seen(np.array([5, 9])).tolist() == [True, False]
    reconstruction = means.reconstruct(np.array([9, 5]), np.array([-1.0, -1.0]))
    assert reconstruction.tolist() == [[-1.0, -1.0], [2.0, 4.0]]


def test_sinks_are_measured_against_the_median():
    norm, fitted = np.array([1.0, 1.2, 11.9, 12.5, 50.0]), np.array([1, 1, 0, 1, 0], dtype=bool)
    assert sinks(norm, norm[fitted], 10.0).tolist() == [False, False, False, True, True]
    assert not sinks(norm, norm[fitted], None).any()


def test_a_split_without_tokens_is_an_error(world, sae, tmp_path):
    write_table(tmp_path / "d.parquet", "dataset", world.frame.assign(split="train"))
    with pytest.raises(InputError, match="split select"):
        measure_quality(
            dataset=tmp_path / "d.parquet",
            sae=sae,
            tokens=world.tokens,
            activations=world.activations,
            roles=["caption"],
            seed=0,
            out=tmp_path / "q.json",
        )
