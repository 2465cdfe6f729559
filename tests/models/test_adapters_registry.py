"""A family that crosslens does not know: what the error says, and that doing so is enough."""

import ast
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
import transformers as hf
from checkouts import Checkout
from tiny import LAYERS, text_settings
from tiny_families import save, smollm2_tokenizer

from crosslens.errors import InputError
from crosslens.models import adapters
from crosslens.models.adapters import adapter_for, known_adapter, register
from crosslens.models.adapters.llama import Llama
from crosslens.models.families import ADAPTERS as FAMILIES
from crosslens.models.families import model_types
from crosslens.models.hooks import capture, edit
from crosslens.models.inputs import build_inputs
from crosslens.models.load import load_model
from crosslens.models.sites import KINDS, Site
from crosslens.registry import files

README = Path(__file__).resolve().parents[2] / "README.md"


def save_family(folder, kind, config, **settings):
    tokenizer = smollm2_tokenizer()
    ids = {"vocab_size": len(tokenizer), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return save(folder, kind, config(**text_settings(), **ids, **settings), tokenizer=tokenizer)


@pytest.fixture
def registry(monkeypatch):
    """What a test registers is forgotten again."""
    monkeypatch.setattr(adapters, "_REGISTERED", dict(adapters._REGISTERED))


def check(loaded, samples):
    """The properties that a right adapter has."""
    batch = build_inputs(loaded, samples, images=None, with_caption=True)
    sites = [str(Site(layer, kind)) for layer in range(LAYERS) for kind in KINDS]
    with torch.inference_mode(), capture(loaded, sites) as values:
        logits = loaded.model(**batch.inputs).logits
    for layer in range(LAYERS):
        pre, attn, mlp = (values[f"{layer}.{kind}"] for kind in ("resid_pre", "attn_out", "mlp_out"))
        torch.testing.assert_close(pre + attn + mlp, values[str(layer)], rtol=0, atol=1e-6)
    with torch.inference_mode():
        assert torch.equal(loaded.adapter.logits(values[str(LAYERS - 1)]), logits)
    return batch, values


def test_the_error_says_what_to_declare(tmp_path):
    folder = save_family(tmp_path / "model", hf.Olmo2ForCausalLM, hf.Olmo2Config)
    with pytest.raises(InputError) as found:
        load_model(str(folder), device="cpu")
    for word in ("'olmo2'", "gemma3", "decoder", "final_norm", "attn_out", "mlp_out", "@register('olmo2')"):
        assert word in str(found.value)


def test_the_docstrings_example_in_a_file_is_enough(tmp_path, registry, samples_of):
    """As `model.adapter` of a study names it."""
    lines = adapters.__doc__.split("::\n", 1)[1].splitlines()
    example = textwrap.dedent("\n".join(line for line in lines if line.startswith("    ") or not line))
    file = tmp_path / "olmo2.py"
    file.write_text(example, encoding="utf-8")
    folder = save_family(tmp_path / "model", hf.Olmo2ForCausalLM, hf.Olmo2Config)
    loaded = load_model(str(folder), device="cpu", adapter=str(file))
    assert type(loaded.adapter).__name__ == "Olmo2" and adapter_for("olmo2", "here") is type(loaded.adapter)
    check(loaded, samples_of(loaded))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, "no file"),
        ("x = 1", "no adapter registered"),
        ("from crosslens.models.adapters.qwen import Qwen2", "no adapter registered"),
    ],
)
def test_a_file_that_declares_nothing_is_named(tmp_path, registry, text, found):
    file = tmp_path / "mine.py"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=f"mine.py: found {found}"):
        adapters.declare(file)


def test_what_the_user_registers_stays_when_the_file_of_that_family_is_read(monkeypatch):
    monkeypatch.setattr(adapters, "_REGISTERED", {})
    for module in ("qwen", "llama"):
        monkeypatch.delitem(sys.modules, f"crosslens.models.adapters.{module}", raising=False)

    @register("llama")
    class Mine(Llama):
        pass

    assert known_adapter("mistral").__module__ == "crosslens.models.adapters.llama"
    assert known_adapter("llama") is Mine
    assert known_adapter("qwen2").__name__ == "Qwen2" and known_adapter("nobodys") is None


@pytest.mark.usefixtures("source")
def test_only_the_file_of_the_models_family_is_imported(tmp_path):
    """In a fork of a process that has torch and nothing of crosslens."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys; from crosslens.models.adapters import adapter_for; adapter_for('gemma3', 'here');"
        "print([name for name in sys.modules if name.startswith('crosslens.models.adapters.')])"
    )
    env = os.environ | {"PYTHONPATH": str(README.parent / "src"), "OMP_NUM_THREADS": "1"}
    found = subprocess.run([Checkout.python, script], env=env, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['crosslens.models.adapters.base', 'crosslens.models.adapters.gemma']"


def test_families_are_known_by_what_their_files_register_and_nothing_is_imported():
    code = (
        "import sys; from crosslens.models.families import family_of, model_types; print(family_of({'model_type': 'qwen2_vl'}),"
        "family_of({'model_type': 'olmo2'}), family_of({}), *(name for name in ('torch', 'transformers') if name in sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["crosslens.models.adapters.qwen", "None", "None"]
    for model_type, family in model_types().items():
        assert adapter_for(model_type, "here").__module__ == f"crosslens.models.adapters.{family}"


def test_the_readme_names_the_families():
    """In the words that their files begin with."""
    first_lines = [
        ast.get_docstring(ast.parse(file.read_text())).splitlines()[0] for file in files(FAMILIES).values()
    ]
    assert (
        "Families: " + ", ".join(line.removesuffix(".") for line in first_lines) + ";" in README.read_text()
    )


def test_a_family_that_scales_what_it_adds(tmp_path, registry, samples_of):
    """Granite multiplies embeddings, both halves and logits."""

    @register("granite")
    class Granite(Llama):
        @property
        def logit_scale(self):
            return 1 / self.text_config.logits_scaling

        def attn_gate(self, block):
            return block.residual_multiplier

        mlp_gate = attn_gate

    scales = {"embedding_multiplier": 3.0, "residual_multiplier": 0.25, "logits_scaling": 4.0}
    folder = save_family(tmp_path / "model", hf.GraniteForCausalLM, hf.GraniteConfig, **scales)
    loaded = load_model(str(folder), device="cpu")
    batch, clean = check(loaded, samples_of(loaded))
    torch.testing.assert_close(
        clean["0.resid_pre"], 3 * loaded.adapter.embed(batch.inputs["input_ids"]), rtol=0, atol=1e-6
    )
    with torch.inference_mode():
        with edit(loaded, "1.attn_out", lambda value: value + 1), capture(loaded, ["1.mlp_out"], stop=True):
            with capture(loaded, ["1.attn_out"]) as values:
                loaded.model(**batch.inputs)
    torch.testing.assert_close(values["1.attn_out"], clean["1.attn_out"] + 1, rtol=0, atol=1e-5)


def test_a_llava_around_another_language_model_is_refused(load_family):
    loaded = load_family("gemma3")
    with pytest.raises(InputError, match="LLaVA with the language model 'gemma3_text'"):
        adapter_for("llava", "here")(loaded.model, loaded.processor, loaded.tokenizer)


def test_a_llava_that_sees_pictures_at_many_sizes_is_refused(load_family, monkeypatch):
    loaded = load_family("llava")
    monkeypatch.setattr(loaded.model.config.vision_config, "model_type", "pixtral")
    with pytest.raises(InputError, match="LLaVA with the image encoder 'pixtral'"):
        adapter_for("llava", "here")(loaded.model, loaded.processor, loaded.tokenizer)
