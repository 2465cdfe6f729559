import json

import numpy as np
import pandas as pd
import pytest
from world import table_of, tokens_of, write_corpus, write_dense_codes

from crosslens.errors import InputError
from crosslens.pooling.pool import label_tokens, pool_activations, pool_codes, sample_blocks, sample_means
from crosslens.tables.activations import Activations
from crosslens.tables.codes import Codes
from crosslens.tables.tokens import ROLES

ROLES_OF = {"prompt": ["prompt"], "caption": ["caption"], "text": ["prompt", "caption"]}


def by_hand(world, rows, values, condition, mask_labels, how):
    """pandas: one row a token, the label words found by slicing the caption's characters."""
    table = world.table
    frame = pd.DataFrame(values)
    frame["sample_id"] = [table.sample_ids[table.sample[i]] for i in rows]
    frame["role"] = [ROLES[table.role[i]] for i in rows]
    info = world.frame.set_index("sample_id")
    labelled = []
    for i, sample_id, role in zip(rows, frame["sample_id"], frame["role"], strict=True):
        characters = set(range(table.char_start[i], table.char_end[i]))
        spans = json.loads(info.loc[sample_id, "label_spans"])
        labelled.append(role == "caption" and any(characters & set(range(*span)) for span in spans))
    keep = frame["role"].isin(ROLES_OF[condition])
    if mask_labels:
        keep &= ~np.array(labelled)
    grouped = frame[keep].drop(columns="role").groupby("sample_id").agg(how)
    return grouped.loc[[s for s in world.frame["sample_id"] if s in grouped.index]]


@pytest.mark.parametrize("how", ["mean", "max", "last"])
@pytest.mark.parametrize("mask_labels", [True, False])
@pytest.mark.parametrize("condition", ["prompt", "caption", "text"])
def test_codes_pool_as_pandas_does(world, coded, condition, mask_labels, how):
    path, dense, token = coded
    pooled = pool_codes(
        Codes(path),
        world.table,
        world.frame,
        condition=condition,
        how=how,
        mask_labels=mask_labels,
        rows=50,
    )
    expected = by_hand(world, token, dense.astype(np.float64), condition, mask_labels, how)
    assert pooled.sample_ids == list(expected.index) == world.frame["sample_id"].tolist()
    assert pooled.dropped == []
    assert pooled.values.dtype == np.float32 and (pooled.values.data > 0).all()
    np.testing.assert_allclose(pooled.values.toarray(), expected.to_numpy(), rtol=1e-6)


@pytest.mark.parametrize("condition", ["prompt", "caption", "text"])
def test_activations_pool_as_pandas_does(world, condition):
    pooled = pool_activations(
        Activations(world.activations), world.table, world.frame, condition=condition, rows=40
    )
    expected = by_hand(
        world, np.arange(len(world.table)), world.x.astype(np.float64), condition, True, "mean"
    )
    assert pooled.sample_ids == list(expected.index)
    np.testing.assert_allclose(pooled.values, expected.to_numpy(), rtol=1e-5, atol=1e-6)


def test_means_are_made_of_the_samples_asked_for_alone(world):
    stored = Activations(world.activations)
    some = np.isin(world.table.sample, [2, 7, 11])
    means, having = sample_means(stored, world.table, some, rows=40)
    assert having.tolist() == [2, 7, 11] and means.shape == (3, stored.d_model)
    whole, _ = sample_means(stored, world.table, np.ones(len(world.table), dtype=bool))
    np.testing.assert_allclose(means, whole[[2, 7, 11]], rtol=1e-6)


def test_block_size_does_not_change_a_bit(world, coded):
    codes = Codes(coded[0])
    one = pool_codes(codes, world.table, world.frame, condition="text")
    for rows in (37, 1000):
        other = pool_codes(codes, world.table, world.frame, condition="text", rows=rows)
        assert (one.values != other.values).nnz == 0


def test_a_sample_that_is_all_label_is_dropped_and_named(world, coded):
    frame = world.frame.copy()
    frame.loc[5, "label_spans"] = json.dumps([[0, len(frame.loc[5, "caption"])]])
    pooled = pool_codes(Codes(coded[0]), world.table, frame, condition="caption")
    raw = pool_activations(Activations(world.activations), world.table, frame, condition="caption")
    assert pooled.dropped == raw.dropped == [frame.loc[5, "sample_id"]]
    assert len(pooled.sample_ids) == len(frame) - 1 == pooled.values.shape[0] == raw.values.shape[0]
    assert frame.loc[5, "sample_id"] not in pooled.sample_ids


def test_the_dataset_decides_which_samples_and_their_order(world, coded):
    codes = Codes(coded[0])
    some = world.frame.iloc[[30, 2, 17]]
    pooled = pool_codes(codes, world.table, some, condition="caption")
    everything = pool_codes(codes, world.table, world.frame, condition="caption")
    assert pooled.sample_ids == some["sample_id"].tolist()
    assert (pooled.values != everything.values[[30, 2, 17]]).nnz == 0


def test_a_token_that_only_touches_a_label_word_is_masked(world):
    frame = world.frame.copy()
    frame["label_spans"] = json.dumps([[1, 2]])
    first = (world.table.char_start == 0) & (world.table.role == ROLES.index("caption"))
    np.testing.assert_array_equal(label_tokens(world.table, frame), first)


def test_errors_name_what_is_wrong(world, coded):
    codes = Codes(coded[0])
    with pytest.raises(InputError, match="captoin"):
        pool_codes(codes, world.table, world.frame, condition="captoin")
    stranger = pd.concat([world.frame, world.frame.head(1).assign(sample_id="x#0")])
    with pytest.raises(InputError, match="x#0"):
        pool_codes(codes, world.table, stranger, condition="caption")
    codes.attributes["roles"] = ["caption"]
    with pytest.raises(InputError, match="prompt"):
        pool_codes(codes, world.table, world.frame, condition="text")


def test_blocks_cover_all_rows_and_cut_no_sample():
    rng = np.random.default_rng(0)
    sample = np.repeat(np.arange(30), rng.integers(1, 9, 30))
    for rows in (1, 3, 10, 1000):
        blocks = list(sample_blocks(sample, rows))
        assert [b[0] for b in blocks] == [0] + [b[1] for b in blocks[:-1]]
        assert blocks[-1][1] == len(sample)
        assert all(stop == len(sample) or sample[stop - 1] != sample[stop] for _, stop in blocks)


def test_sinks_leave_codes_where_they_leave_activations(tmp_path):
    """A caption one token shorter for women, behind a sink that fires a feature: the mean would tell the length."""
    frames, samples = [], {}
    for i in range(20):
        female = i % 2 == 0
        words = ["first", "a", "b"] + ([] if female else ["c"])
        samples[f"i{i}#0"] = tokens_of("caption", words)
        frames.append(
            {"sample_id": f"i{i}#0", "image_id": f"i{i}", "caption": " ".join(words), "label_spans": "[]"}
        )
    tokens = table_of(samples)
    first = tokens.position == 0
    x = np.ones((len(tokens), 4))
    x[first] = 100.0
    world = write_corpus(tmp_path, pd.DataFrame(frames), samples, x)
    codes = np.where(first, 50.0, 1.0)[:, None]
    write_dense_codes(
        tmp_path / "codes.zarr", codes, sae="0" * 64, roles=["caption"], norm=np.linalg.norm(x, axis=1)
    )
    pooled = pool_codes(Codes(tmp_path / "codes.zarr"), world.table, world.frame, condition="caption")
    raw = pool_activations(Activations(world.activations), world.table, world.frame, condition="caption")
    assert pooled.values.toarray()[:, 0].tolist() == [1.0] * 20 and (raw.values == 1).all()
    assert pooled.sinks == raw.sinks == 20


@pytest.mark.parametrize("d_sae", [None, "a", [8], 2**40, 10**30, 0, -1, 1.5], ids=range(8))
def test_codes_that_do_not_say_of_how_many_features_are_refused(tmp_path, d_sae):
    group = write_dense_codes(tmp_path / "codes.zarr", np.eye(8), sae="a", roles=["caption"])
    told = json.loads((group / "zarr.json").read_text())
    told["attributes"]["d_sae"] = d_sae
    (group / "zarr.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match="the number of features"):
        Codes(group)
