"""Loading: what is refused, and how it is told."""

import hashlib
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import D_MODEL, LAYERS

from crosslens.errors import InputError
from crosslens.models.load import choose_device, load_model


def test_what_was_loaded(vlm, text_model):
    for loaded in (vlm, text_model):
        assert (loaded.n_layers, loaded.d_model) == (LAYERS, D_MODEL)
        assert loaded.model.dtype == torch.float32 and not loaded.model.training
        assert loaded.adapter.text_config._attn_implementation == "eager"
        assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert vlm.processor is not None and text_model.processor is None


def test_bfloat16(vlm_folder):
    assert load_model(str(vlm_folder), dtype="bfloat16", device="cpu").model.dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", ["float16", "half", "float64"])
def test_other_dtypes_are_refused_with_the_reason(vlm_folder, dtype):
    with pytest.raises(InputError, match="float16 ends at 65,504"):
        load_model(str(vlm_folder), dtype=dtype)


def test_bad_attention_and_device(vlm_folder):
    with pytest.raises(InputError, match="eager or sdpa"):
        load_model(str(vlm_folder), attention="flash")
    with pytest.raises(InputError, match="auto"):
        choose_device("tpu")


def test_auto_takes_the_first_device_that_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"


def test_a_missing_folder(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        load_model(str(tmp_path / "none"))


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(InputError, match="config.json"):
        load_model(str(tmp_path))


def test_a_hub_model_that_cannot_be_had(monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="hf download someone/no-such-model --revision abc"):
        load_model("someone/no-such-model", revision="abc")


def test_an_unknown_family(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(InputError, match="'gpt2'.*gemma3"):
        load_model(str(tmp_path))


def test_edited_and_missing_files_are_found_by_their_digests(vlm_folder, tmp_path):
    folder = shutil.copytree(vlm_folder, tmp_path / "model")
    names = [path.name for path in folder.iterdir()]
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines))
    load_model(str(folder), device="cpu")
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(InputError, match=r"model\.safetensors.*digest does not match"):
        load_model(str(folder))
    weights.unlink()
    with pytest.raises(InputError, match=r"model\.safetensors.*no file"):
        load_model(str(folder))


def test_missing_weights_are_not_made_up(vlm_folder, tmp_path):
    folder = shutil.copytree(vlm_folder, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if "mlp.up_proj" in name and "language" in name)
    del tensors[name]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="no weights for 1 parameters"):
        load_model(str(folder))
