"""What extraction stores, and what it refuses."""

import errno
import os
import shutil
import threading

import numpy as np
import pytest
import torch
from tiny import SAMPLES, digests
from world import Token, table_of

from crosslens.activations import extract as stage
from crosslens.activations.alone import Means
from crosslens.activations.background import Background
from crosslens.activations.disk import disk_errors
from crosslens.activations.extract import extract
from crosslens.activations.plan import cut
from crosslens.errors import InputError
from crosslens.models.hooks import capture
from crosslens.models.inputs import build_inputs
from crosslens.models.load import load_model
from crosslens.tables.activations import Activations, pack
from crosslens.tables.alone import read_alone
from crosslens.tables.documents import read_table, write_table
from crosslens.tables.tokens import ROLES, read_tokens

SITES = ("1", "2.resid_pre", "3")


def test_stored_values_are_those_of_a_direct_capture(world, whole):
    loaded = load_model(**world["model"])
    rows = {row["sample_id"]: row for row in read_table(world["dataset"], "dataset").to_dict("records")}
    tokens = read_tokens(whole["tokens"])
    opened = {site: Activations(path) for site, path in whole["sites"].items()}
    stored = {site: values.read(0, len(values)) for site, values in opened.items()}
    norms = {site: values.norms() for site, values in opened.items()}
    assert {len(values) for values in stored.values()} == {len(tokens)}
    assert sorted(tokens.sample_ids) == sorted(rows) and len(rows) == SAMPLES
    for i, sample_id in enumerate(tokens.sample_ids):
        batch = build_inputs(loaded, [rows[sample_id]], images=world["images"], with_caption=True)
        with torch.inference_mode(), capture(loaded, SITES, stop=True) as values:
            loaded.model(**batch.inputs)
        kept = batch.has_role(["prompt", "caption"])[0]
        here = slice(*tokens.offsets[i : i + 2])
        assert (tokens.sample[here] == i).all()
        assert np.array_equal(tokens.token_id[here], batch.inputs["input_ids"][0][kept])
        for column in ("role", "position", "char_start", "char_end"):
            assert np.array_equal(getattr(tokens, column)[here], getattr(batch, column)[0][kept]), column
        for site in SITES:
            expected = values[site][0][kept].numpy()
            assert np.allclose(stored[site][here], expected, rtol=2**-7, atol=1e-4)
            assert np.allclose(norms[site][here], np.linalg.norm(expected, axis=1), rtol=1e-4)


def test_stored_bits_are_the_nearest_bfloat16(world, outputs, tmp_path, small_chunks):
    """float32 storage of the same run, rounded, gives the bfloat16 storage bit for bit."""
    out32, out16 = outputs(tmp_path / "f"), outputs(tmp_path / "b")
    extract(**world, **out32, dtype="float32")
    extract(**world, **out16)
    for site in SITES:
        exact, rounded = Activations(out32["sites"][site]), Activations(out16["sites"][site])
        values = exact.read(0, len(exact))
        assert np.array_equal(pack(values, "bfloat16"), rounded.groups[0]["values"][:])
        assert np.array_equal(exact.norms(), rounded.norms())
        assert np.allclose(exact.norms(), np.linalg.norm(values.astype(np.float64), axis=1), rtol=1e-6)


def test_attributes_say_what_it_is(world, whole):
    for site, layer in zip(SITES, (1, 2, 3), strict=True):
        found = Activations(whole["sites"][site]).attributes
        expected = {"site": site, "layer": layer, "language": "ar", "d_model": 32, "dtype": "bfloat16"}
        assert expected.items() <= found.items()
        assert found["model"] == "model" and found["revision"] == ""


def test_captions_are_read_without_their_pictures_too(world, tmp_path):
    """The mean over a caption's tokens in a pass that was given no picture; the pass with pictures need not be made."""
    paths = {site: tmp_path / f"{site}.zarr" for site in ("1", "3")}
    extract(**world, sites={}, tokens=None, alone=paths)
    loaded = load_model(**world["model"])
    rows = {row["sample_id"]: row for row in read_table(world["dataset"], "dataset").to_dict("records")}
    stored = {site: read_alone([path]) for site, path in paths.items()}
    assert {tuple(sorted(found.sample_ids)) for found in stored.values()} == {tuple(sorted(rows))}
    assert any(row["image"] for row in rows.values())
    for sample_id, row in rows.items():
        seen = {}
        for name, image in (("alone", ""), ("pictured", row["image"])):
            batch = build_inputs(loaded, [row | {"image": image}], images=world["images"], with_caption=True)
            with torch.inference_mode(), capture(loaded, paths, stop=True) as values:
                loaded.model(**batch.inputs)
            kept = batch.has_role(["caption"])[0]
            seen[name] = {site: values[site][0][kept].double().mean(dim=0).numpy() for site in paths}
        for site, found in stored.items():
            mean = found.values[found.sample_ids.index(sample_id)]
            assert found.sinks == 0 and np.allclose(mean, seen["alone"][site], rtol=1e-3, atol=1e-4)
            assert not row["image"] or not np.allclose(mean, seen["pictured"][site], rtol=1e-3, atol=1e-4)


def test_a_token_of_huge_norm_is_no_part_of_a_mean(tmp_path):
    """Three captions of two tokens in two batches, one token a sink."""
    table = table_of({name: [Token("caption"), Token("caption")] for name in ("a", "b", "c")})
    x = np.arange(1.0, 19.0, dtype=np.float32).reshape(6, 3)
    means = Means(tmp_path / "alone.zarr", table, d_model=3, site="1", model="m", revision="")
    for start in (0, 4):
        norms = np.array([1, 1e6, 1, 1] if start == 0 else [1, 1])
        means.append(start, x[start : start + 4], norms)
    assert means.next_row == 6 and means.sinks == 1
    means.finish()
    means.finish()  # in the place of what was there when a job was killed behind this
    found = read_alone([tmp_path / "alone.zarr"])
    np.testing.assert_allclose(found.values, [x[0], (x[2] + x[3]) / 2, (x[4] + x[5]) / 2])
    assert found.sample_ids == ["a", "b", "c"] and found.sinks == 1


def test_samples_stand_by_length_and_then_as_given(world, whole):
    loaded = load_model(**world["model"])
    table = read_table(world["dataset"], "dataset")
    batch = build_inputs(loaded, table.to_dict("records"), images=world["images"], with_caption=True)
    lengths = batch.inputs["attention_mask"].sum(1).numpy()
    expected = table["sample_id"].to_numpy()[np.argsort(lengths, kind="stable")]
    assert list(read_tokens(whole["tokens"]).sample_ids) == list(expected)


@pytest.mark.parametrize("bound", [1, 10, 37, 10_000])
def test_batches_keep_their_bound(bound):
    lengths = np.sort(np.random.default_rng(0).integers(3, 30, 50))
    cuts = list(cut(lengths, bound))
    assert [low for low, _ in cuts] == [0, *(high for _, high in cuts[:-1])] and cuts[-1][1] == 50
    assert all((high - low) * lengths[high - 1] <= bound or high - low == 1 for low, high in cuts)


def test_a_site_added_later_fits_the_first_token_table(world, whole, outputs, tmp_path, small_chunks):
    later = outputs(tmp_path, sites=("1", "0.mlp_out"))
    extract(**world, sites=later["sites"], tokens=None)
    assert not later["tokens"].exists()
    assert len(Activations(later["sites"]["0.mlp_out"])) == len(read_tokens(whole["tokens"]))
    assert digests(later["sites"]["1"]) == digests(whole["sites"]["1"])


def test_a_token_table_alone(world, whole, outputs, tmp_path):
    out = outputs(tmp_path, sites=())
    extract(**world, **out)
    assert digests(out["tokens"]) == digests(whole["tokens"])


def test_other_roles_and_a_part_of_the_rows(world, outputs, tmp_path):
    out = outputs(tmp_path, sites=("0",))
    roles = ["bos", "special", "image", "prompt", "caption"]
    extract(**{**world, "rows": (4, 7)}, **out, roles=roles)
    tokens = read_tokens(out["tokens"])
    assert sorted(tokens.sample_ids) == ["003#0", "004#0", "005#0", "006#0"]
    assert set(tokens.role.tolist()) == {ROLES.index(role) for role in roles}
    for i in range(4):
        position = tokens.position[slice(*tokens.offsets[i : i + 2])]
        assert position.tolist() == list(range(len(position)))


def test_a_part_is_what_the_quarantine_left_of_its_rows(world, outputs, tmp_path):
    table = read_table(world["dataset"], "dataset")
    write_table(tmp_path / "ar.parquet", "dataset", table[table["row"] != 5])
    out = outputs(tmp_path, sites=("0",))
    last = {"dataset": tmp_path / "ar.parquet", "rows": (4, 6)}
    extract(**{**world, **last}, **out)
    assert sorted(read_tokens(out["tokens"]).sample_ids) == ["003#0", "005#0"]


def test_default_roles_leave_out_bos_special_and_image(whole):
    assert set(read_tokens(whole["tokens"]).role.tolist()) == {ROLES.index("prompt"), ROLES.index("caption")}


def test_blocks_behind_the_deepest_site_are_not_run(world, outputs, tmp_path, monkeypatch):
    reached = set()
    load = stage.load_model

    def spied(*args, **options):
        loaded = load(*args, **options)
        for i, block in enumerate(loaded.adapter.blocks):
            block.register_forward_pre_hook(lambda *_, i=i: reached.add(i))
        return loaded

    monkeypatch.setattr(stage, "load_model", spied)
    extract(**{**world, "rows": (1, 4)}, **outputs(tmp_path, sites=("1", "0.mlp_out")))
    assert reached == {0, 1}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_stops_with_its_place(world, outputs, tmp_path, monkeypatch, value):
    load = stage.load_model

    def broken(*args, **options):
        loaded = load(*args, **options)

        def spoil(module, args, output):
            output = output.clone()
            output[0, -2, 3] = value
            return output

        loaded.adapter.blocks[1].register_forward_hook(spoil)
        return loaded

    monkeypatch.setattr(stage, "load_model", broken)
    out = outputs(tmp_path)
    with pytest.raises(
        InputError, match=rf"sample 0\d\d#0, site 1, position \d+: found the activation {value}"
    ):
        extract(**world, **out)
    assert not any((path / "values" / "c" / "0").exists() for path in out["sites"].values())


def test_bad_requests(world, outputs, tmp_path):
    out = outputs(tmp_path)
    for change, message in [
        ({"rows": (SAMPLES + 1, SAMPLES + 9)}, f"it has rows 1 to {SAMPLES}"),
        ({"dtype": "float16"}, "float16 ends at"),
        ({"roles": ["captions"]}, "captions"),
        ({"sites": {"9": out["sites"]["1"]}}, "0 to 3"),
        ({"images": None}, "no image folder"),
    ]:
        with pytest.raises(InputError, match=message):
            extract(**{**world, **out, **change})


@pytest.mark.parametrize("roles", [["prompt", "caption"], ["generated"]])
def test_a_sample_without_tokens_is_named(world, outputs, tmp_path, roles):
    table = read_table(world["dataset"], "dataset")
    table.loc[5, "caption"] = ""
    write_table(tmp_path / "ar.parquet", "dataset", table)
    change = {"dataset": tmp_path / "ar.parquet", "rows": (6, 6)}
    with pytest.raises(InputError, match="sample 005#0.*no .*tokens"):
        extract(**{**world, **change}, **outputs(tmp_path), roles=roles)


def test_a_changed_image_stops_it(world, outputs, tmp_path):
    images = shutil.copytree(world["images"], tmp_path / "images")
    shutil.copy(images / "000.png", images / "001.png")
    with pytest.raises(InputError, match=r"001\.png.*sha256"):
        extract(**{**world, "images": images}, **outputs(tmp_path))


def test_the_queue_is_bounded_and_errors_come_back():
    gate, begun, put = threading.Event(), [], []
    with Background(2) as background:

        def feed():
            for i in range(6):
                background.put(lambda i=i: (begun.append(i), gate.wait(10)))
                put.append(i)

        feeder = threading.Thread(target=feed)
        feeder.start()
        feeder.join(0.3)
        # One is being worked on, two wait, and the fourth could not be put.
        assert feeder.is_alive() and begun == [0] and put == [0, 1, 2]
        gate.set()
        feeder.join(10)
    assert begun == list(range(6))

    def fail():
        raise OSError("full")

    with pytest.raises(OSError, match="full"), Background(1) as background:
        for _ in range(50):
            background.put(fail)


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (64, 4)])
def test_many_cores_do_not_hold_as_many_batches(world, outputs, tmp_path, monkeypatch, cores, threads):
    asked = []
    monkeypatch.setattr(stage.torch, "get_num_threads", lambda: cores)
    real = stage.ahead
    monkeypatch.setattr(
        stage, "ahead", lambda *rest, threads: asked.append(threads) or real(*rest, threads=threads)
    )
    extract(**world, **outputs(tmp_path, sites=("1",)))
    assert asked == [threads]


def test_an_error_of_the_writer_ends_the_extraction(world, outputs, tmp_path, monkeypatch, small_chunks):
    def full(path):
        if path.name == "0.new":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/disk/part.zarr")

    monkeypatch.setattr("crosslens.store.durable.sync", full)
    with pytest.raises(InputError, match="/disk/part.zarr.*No space left.*free space"):
        extract(**world, **outputs(tmp_path))


def test_only_disk_errors_that_can_be_mended_are_told(tmp_path):
    with pytest.raises(InputError, match="Permission denied"), disk_errors(tmp_path):
        raise PermissionError(errno.EACCES, "no", str(tmp_path))
    with pytest.raises(OSError, match="Input/output"), disk_errors(tmp_path):
        raise OSError(errno.EIO, "Input/output error")
