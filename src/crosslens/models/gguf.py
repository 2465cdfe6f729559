"""From a GGUF file to a folder like that of a published model: dequantised once, to bfloat16 safetensors."""

import logging
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, GemmaTokenizer, PreTrainedTokenizerFast
from transformers.integrations.gguf import read_gguf_metadata
from transformers.modeling_gguf_pytorch_utils import (
    TENSOR_PROCESSORS,
    TensorProcessor,
    get_gguf_hf_weights_map,
)

from crosslens.errors import InputError, blaming
from crosslens.models.packages import join, notices, packaged

log = logging.getLogger(__name__)

PACKAGE = "package:"
OWN_WEIGHTS = "use the safetensors that the model was published with"


class Architecture(NamedTuple):
    """How the metadata of an architecture (keys below `{architecture}.`) are read."""

    model_type: str
    """transformers' name of it."""
    settings: dict[str, str]
    """key -> the configuration's name of it. All are needed: transformers would go on with a default of its own."""
    implied: dict[str, Callable[[Any], Any]]
    """Keys that a file may have, and what the configuration says of them without being told."""
    tokenizers: dict[str, frozenset[str]]
    """`tokenizer.ggml.model` -> the `tokenizer.ggml.pre` with which it cuts text here as it does in llama.cpp."""
    tokenizer: type[PreTrainedTokenizerFast]


_SETTINGS = {
    "block_count": "num_hidden_layers",
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "rope.freq_base": "rope_theta",
}


def _head_dim(config: Any) -> int:
    return config.head_dim


def _local_rope_base(config: Any) -> float:
    return config.rope_parameters["sliding_attention"]["rope_theta"]


ARCHITECTURES = {
    "gemma3": Architecture(
        model_type="gemma3_text",
        settings={
            **_SETTINGS,
            "attention.key_length": "head_dim",
            "attention.sliding_window": "sliding_window",
        },
        implied={
            "attention.value_length": _head_dim,
            "rope.dimension_count": _head_dim,
            "rope.freq_base_swa": _local_rope_base,
            "vocab_size": lambda config: config.vocab_size,
        },
        tokenizers={"llama": frozenset({"default"})},
        tokenizer=GemmaTokenizer,
    ),
    "llama": Architecture(
        model_type="llama",
        settings={**_SETTINGS, "rope.dimension_count": "head_dim"},
        implied={
            "attention.key_length": _head_dim,
            "attention.value_length": _head_dim,
            "vocab_size": lambda config: config.vocab_size,
        },
        tokenizers={"gpt2": frozenset({"gpt-2", "smollm", "llama-bpe"})},
        tokenizer=PreTrainedTokenizerFast,
    ),
}
"""By `general.architecture`. What is not known here is refused: transformers would drop it and go on."""


def prepare_model(*, source: str, out: Path) -> None:
    """Make the model folder `out` from `package:NAME` (a model that installed packages hold) or a .gguf file.

    Raises InputError for an unknown or missing package, a file that is none, and what `convert` refuses.
    """
    if not source.startswith(PACKAGE):
        convert(Path(source).expanduser(), out)
        return
    model = packaged(source.removeprefix(PACKAGE))
    licences = notices(model)
    log.info("%s: %s", model.name, model.terms)
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        file = Path(scratch) / f"{model.name}.gguf"
        join(model, file)
        convert(file, out, notices=licences)


def convert(source: Path, out: Path, *, notices: Sequence[Path] = ()) -> None:
    """Write the GGUF file `source` as a model folder: config.json, model.safetensors (bfloat16), tokenizer.json …

    The same file gives the same bytes. `notices` are copied beside the weights. Needs memory for the weights in
    bfloat16 and twice the largest tensor in float32. Raises InputError for what is no GGUF file, and for an
    architecture, tokenizer, metadata or tensors whose meaning is not known: nothing that decides numbers is dropped.
    """
    metadata, tensors = _metadata(source)
    with _blaming(source):
        known = _architecture(source, metadata)
        config = _config(source, metadata, known, tied="output.weight" not in tensors)
        tokenizer = _tokenizer(source, metadata, known, config)
        model = _model(source, metadata["general.architecture"], config)
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    for notice in notices:
        shutil.copyfile(notice, out / notice.name)
    log.info("converted %s: %d blocks, d_model %d", source.name, config.num_hidden_layers, config.hidden_size)


def _metadata(source: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    if not source.is_file():
        raise InputError(
            source,
            found="no such file",
            expected=f"a GGUF file, or {PACKAGE}NAME",
            mend="correct the path (paths are relative to the working directory)",
        )
    with _blaming(source):
        return read_gguf_metadata(str(source))


def _blaming(source: Path) -> AbstractContextManager[None]:
    return blaming(
        source,
        "what cannot be read as a GGUF file",
        expected="a whole GGUF file of version 2 or 3",
        mend="fetch the file again",
    )


def _architecture(source: Path, metadata: dict[str, Any]) -> Architecture:
    name = metadata["general.architecture"]
    if name not in ARCHITECTURES:
        raise InputError(
            source,
            found=f"architecture {name!r}",
            expected=" or ".join(ARCHITECTURES),
            mend=f"{OWN_WEIGHTS}, or add the architecture in crosslens.models.gguf",
        )
    known = ARCHITECTURES[name]
    kind, pre = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre", "default")
    if pre not in known.tokenizers.get(kind, ()):
        pairs = [f"{kind}/{pre}" for kind, pres in known.tokenizers.items() for pre in sorted(pres)]
        raise InputError(
            source,
            found=f"tokenizer {kind}/{pre}",
            expected=" or ".join(pairs),
            mend=f"{OWN_WEIGHTS} and its tokenizer.json, or add the tokenizer in crosslens.models.gguf",
        )
    return known


def _config(source: Path, metadata: dict[str, Any], known: Architecture, *, tied: bool) -> Any:
    prefix = f"{metadata['general.architecture']}."
    stated = {key.removeprefix(prefix): value for key, value in metadata.items() if key.startswith(prefix)}
    if missing := sorted(known.settings.keys() - stated.keys()):
        raise InputError(source, found=f"no {prefix}{missing[0]}", expected="a value", mend=OWN_WEIGHTS)
    if strange := sorted(stated.keys() - known.settings.keys() - known.implied.keys()):
        raise InputError(
            source,
            found=f"{prefix}{strange[0]} = {stated[strange[0]]}, which is not known here",
            expected=f"only {', '.join(sorted(known.settings.keys() | known.implied.keys()))}",
            mend=f"{OWN_WEIGHTS}, or add the key in crosslens.models.gguf",
        )
    config = AutoConfig.for_model(
        known.model_type,
        vocab_size=metadata["tokenizer.ggml.tokens"],
        tie_word_embeddings=tied,
        bos_token_id=metadata.get("tokenizer.ggml.bos_token_id"),
        eos_token_id=metadata.get("tokenizer.ggml.eos_token_id"),
        pad_token_id=metadata.get("tokenizer.ggml.padding_token_id"),
        **{name: stated[key] for key, name in known.settings.items()},
    )
    if "query_pre_attn_scalar" in config:
        config.query_pre_attn_scalar = config.head_dim
    for key in sorted(stated.keys() & known.implied.keys()):
        if stated[key] != (expected := known.implied[key](config)):
            raise InputError(
                source, found=f"{prefix}{key} = {stated[key]}", expected=expected, mend=OWN_WEIGHTS
            )
    return config


def _tokenizer(
    source: Path, metadata: dict[str, Any], known: Architecture, config: Any
) -> PreTrainedTokenizerFast:
    tokenizer = known.tokenizer.from_pretrained(
        str(source.parent), gguf_file=source.name, model_max_length=config.max_position_embeddings
    )
    backend = tokenizer.backend_tokenizer
    # transformers 5.23 reads the merges, but not …
    if metadata.get("tokenizer.ggml.pre") == "llama-bpe":
        # … that a piece which is a token stays one, whether merges lead to it or not,
        backend.model.ignore_merges = True
    if metadata.get("tokenizer.ggml.pre") == "smollm":
        # … nor that they were learned on single digits.
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), backend.pre_tokenizer]
        )
    return tokenizer


def _model(source: Path, architecture: str, config: Any) -> Any:
    """The model of `config` with the tensors of the file, all of them, in bfloat16."""
    try:
        # transformers' own, lighter reader knows no Q5_0.
        from gguf import GGUFReader, dequantize
    except ImportError as error:
        raise InputError(
            source, found="no package gguf", expected="it installed, to read tensors", mend="pip install gguf"
        ) from error
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    processor = TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config=config.to_dict())
    names = get_gguf_hf_weights_map(model, processor)
    tensors = {}
    for tensor in GGUFReader(source).tensors:
        if tensor.name not in names:
            raise InputError(
                source,
                found=f"tensor {tensor.name}, which {type(model).__name__} has no place for",
                expected="tensors of its parameters only (rope_freqs means scaled rotary embeddings)",
                mend=OWN_WEIGHTS,
            )
        values = processor.process(
            weights=dequantize(tensor.data, tensor.tensor_type), name=tensor.name
        ).weights
        tensors[names[tensor.name]] = torch.tensor(values, dtype=torch.bfloat16)
    model.load_state_dict(tensors, strict=False, assign=True)
    model.tie_weights()
    if empty := [name for name, parameter in model.named_parameters() if parameter.is_meta]:
        raise InputError(
            source,
            found=f"no tensor for {empty[0]}",
            expected=f"a whole {type(model).__name__}",
            mend="fetch the file again",
        )
    return model
