"""A tiny random model of every family, of the real class, saved with its real tokenizer and processor."""

import json
from collections.abc import Callable
from pathlib import Path

import transformers as hf
from tiny import (
    CAPTIONS,
    IMAGE_SIZE,
    PROMPTS,
    randomise,
    save_tiny_text,
    save_tiny_vlm,
    text_settings,
    tiny_tokenizer,
)
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from crosslens.models.adapters.qwen import ImagesOnly

TEXTS = [*PROMPTS.values(), *CAPTIONS["en"], *CAPTIONS["ar"], "user", "assistant"] * 3
PATCH = 8

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for item in message['content'] %}"
    "{% if item['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ item['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% if date_string is not defined %}"
    "{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "{{ '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + date_string + '\n\n<|eot_id|>' }}"
    "{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{% if message['content'] is string %}{{ message['content'] | trim }}{% else %}"
    "{% for item in message['content'] %}"
    "{% if item['type'] == 'image' %}<|image|>{% else %}{{ item['text'] | trim }}{% endif %}{% endfor %}{% endif %}"
    "{{ '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
LLAVA = (
    "{% for message in messages %}{{ message['role'] | upper + ': ' }}"
    "{% for item in message['content'] %}{% if item['type'] == 'image' %}{{ '<image>\n' }}{% endif %}{% endfor %}"
    "{% for item in message['content'] %}{% if item['type'] == 'text' %}{{ item['text'] + ' ' }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}"
    "{% endfor %}"
)


def _byte_bpe(specials: list[str]) -> dict:
    """Vocabulary and merges over bytes, with the specials first."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=360, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(TEXTS, trainer)
    return _parts(bpe)


def _parts(bpe: Tokenizer) -> dict:
    trained = json.loads(bpe.to_str())["model"]
    return {"vocab": trained["vocab"], "merges": [tuple(pair) for pair in trained["merges"]]}


def _sentencepiece_like(*, bytes_too: bool) -> dict:
    """Vocabulary and merges over characters, without the letter ظ, with bytes to fall back to or without."""
    bpe = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    bpe.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first")
    specials = ["<unk>", "<s>", "</s>"]
    if bytes_too:
        specials += [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=specials, show_progress=False)
    bpe.train_from_iterator([text.replace("ظ", "") for text in TEXTS], trainer)
    return _parts(bpe)


def gpt2_tokenizer() -> hf.GPT2Tokenizer:
    """One token is BOS, EOS and unknown; there is none for padding, and none is added."""
    return hf.GPT2Tokenizer(**_byte_bpe(["<|endoftext|>"]))


def pythia_tokenizer() -> hf.GPTNeoXTokenizer:
    """Its offsets leave out the space before a word."""
    tokenizer = hf.GPTNeoXTokenizer(**_byte_bpe(["<|endoftext|>", "<|padding|>"]))
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(
        trim_offsets=True, add_prefix_space=False
    )
    return tokenizer


def smollm2_tokenizer() -> hf.GPT2Tokenizer:
    """The BOS that it names is what every turn begins with; none is added."""
    tokenizer = hf.GPT2Tokenizer(
        **_byte_bpe(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]),
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
    )
    tokenizer.chat_template = CHATML
    return tokenizer


def qwen_tokenizer() -> hf.Qwen2Tokenizer:
    """No BOS at all."""
    specials = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"]
    specials += ["<|video_pad|>"]
    tokenizer = hf.Qwen2Tokenizer(**_byte_bpe(["<|endoftext|>", *specials]), eos_token="<|im_end|>")
    tokenizer.add_special_tokens({"additional_special_tokens": specials})
    tokenizer.chat_template = CHATML
    return tokenizer


def llama3_tokenizer() -> hf.PreTrainedTokenizerFast:
    """Adds its BOS; its offsets leave out the space before a word; its template asks for the date."""
    specials = [
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|eot_id|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
    ]
    specials += ["<|finetune_right_pad_id|>", "<|python_tag|>"]
    parts = _byte_bpe(specials)
    backend = Tokenizer(models.BPE(**parts))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    bos = ("<|begin_of_text|>", parts["vocab"]["<|begin_of_text|>"])
    backend.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(single=f"{bos[0]} $A", special_tokens=[bos]),
        ]
    )
    tokenizer = hf.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=bos[0],
        eos_token="<|eot_id|>",
        pad_token="<|finetune_right_pad_id|>",
        additional_special_tokens=[*specials[3:5], "<|python_tag|>", "<|image|>"],
    )
    tokenizer.chat_template = LLAMA3
    return tokenizer


def llama2_tokenizer(template: str | None, *, bytes_too: bool = True) -> hf.LlamaTokenizer:
    """Padding is the unknown token, as in Vicuna."""
    parts = _sentencepiece_like(bytes_too=bytes_too)
    tokenizer = hf.LlamaTokenizer(**parts, pad_token="<unk>", add_bos_token=True)
    tokenizer.backend_tokenizer.model.unk_token = "<unk>"
    tokenizer.chat_template = template
    return tokenizer


def paligemma_tokenizer() -> hf.GemmaTokenizer:
    return tiny_tokenizer(template=None, image_token="<image>")


def save(folder: Path, kind: type, config: hf.PreTrainedConfig, *, tokenizer=None, processor=None) -> Path:
    """A random model of the class, with what makes its inputs."""
    randomise(kind, config).save_pretrained(folder)
    (processor or tokenizer).save_pretrained(folder)
    return folder


def _ids(tokenizer) -> dict:
    return {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _text(kind: type, config: type, make: Callable, **settings) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        tokenizer = make()
        return save(
            folder, kind, config(**text_settings(), **_ids(tokenizer), **settings), tokenizer=tokenizer
        )

    return build


def save_gpt2(folder: Path) -> Path:
    tokenizer = gpt2_tokenizer()
    config = hf.GPT2Config(n_embd=32, n_layer=4, n_head=2, n_positions=256, **_ids(tokenizer))
    return save(folder, hf.GPT2LMHeadModel, config, tokenizer=tokenizer)


def _siglip() -> hf.SiglipVisionConfig:
    return hf.SiglipVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=IMAGE_SIZE,
        patch_size=PATCH,
        vision_use_head=False,
    )


def _save_paligemma(text: type, **settings) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        pictures = SiglipImageProcessorPil(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE})
        pictures.image_seq_length = (IMAGE_SIZE // PATCH) ** 2
        processor = hf.PaliGemmaProcessor(image_processor=pictures, tokenizer=paligemma_tokenizer())
        ids = _ids(processor.tokenizer)
        config = hf.PaliGemmaConfig(
            text_config=text(**text_settings(), **ids, **settings),
            vision_config=_siglip(),
            image_token_index=processor.image_token_id,
            projection_dim=32,
            hidden_size=32,
            **ids,
        )
        return save(folder, hf.PaliGemmaForConditionalGeneration, config, processor=processor)

    return build


def save_llava_around_qwen2(folder: Path) -> Path:
    """As LLaVA-Interleave: all of a SigLIP tower's last layer, and pictures that are not cropped."""
    tokenizer = qwen_tokenizer()
    tokenizer.add_tokens("<image>", special_tokens=True)
    processor = hf.LlavaProcessor(
        image_processor=SiglipImageProcessorPil(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        chat_template=CHATML.replace("<|vision_start|><|image_pad|><|vision_end|>", "<image>"),
    )
    config = hf.LlavaConfig(
        text_config=hf.Qwen2Config(**text_settings(), **_ids(tokenizer)),
        vision_config=_siglip(),
        image_token_index=processor.image_token_id,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
    )
    return save(folder, hf.LlavaForConditionalGeneration, config, processor=processor)


def save_llava(folder: Path) -> Path:
    tokenizer = llama2_tokenizer(None)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    vision = hf.CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=IMAGE_SIZE,
        patch_size=PATCH,
    )
    processor = hf.LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": IMAGE_SIZE}, crop_size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}
        ),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA,
    )
    config = hf.LlavaConfig(
        text_config=hf.LlamaConfig(**text_settings(), **_ids(tokenizer)),
        vision_config=vision,
        image_token_index=processor.image_token_id,
    )
    return save(folder, hf.LlavaForConditionalGeneration, config, processor=processor)


def save_mllama(folder: Path) -> Path:
    tokenizer = llama3_tokenizer()
    ids = {**_ids(tokenizer), "vocab_size": len(tokenizer) - 1}  # the image's id is the first beyond it
    vision = hf.models.mllama.MllamaVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_global_layers=1,
        attention_heads=2,
        image_size=IMAGE_SIZE,
        patch_size=PATCH,
        intermediate_layers_indices=[0],
        vision_output_dim=32,
    )
    text = hf.models.mllama.MllamaTextConfig(
        **{**text_settings(), **ids, "cross_attention_layers": [1, 3]},
    )
    config = hf.MllamaConfig(
        text_config=text,
        vision_config=vision,
        image_token_index=tokenizer.convert_tokens_to_ids("<|image|>"),
    )
    processor = hf.MllamaProcessor(
        image_processor=MllamaImageProcessorPil(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}),
        tokenizer=tokenizer,
        chat_template=LLAMA3,
    )
    return save(folder, hf.MllamaForConditionalGeneration, config, processor=processor)


def _save_qwen_vl(kind: type, config: type, **vision) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        tokenizer = qwen_tokenizer()
        image, video, start, end = tokenizer.convert_tokens_to_ids(
            ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
        )
        settings = config(
            text_config={
                **text_settings(),
                **_ids(tokenizer),
                "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
            },
            vision_config={"depth": 1, "num_heads": 2, "patch_size": PATCH, **vision},
            image_token_id=image,
            video_token_id=video,
            vision_start_token_id=start,
            vision_end_token_id=end,
        )
        pictures = Qwen2VLImageProcessorPil(
            patch_size=PATCH, size={"shortest_edge": 16 * 16, "longest_edge": 64 * 64}
        )
        processor = ImagesOnly(image_processor=pictures, tokenizer=tokenizer, chat_template=CHATML)
        return save(folder, kind, settings, processor=processor)

    return build


TEXT_FAMILIES: dict[str, Callable[[Path], Path]] = {
    "gemma2": _text(
        hf.Gemma2ForCausalLM,
        hf.Gemma2Config,
        tiny_tokenizer,
        sliding_window=16,
        query_pre_attn_scalar=16,
        attn_implementation="eager",
    ),
    "gemma3_text": save_tiny_text,
    "gpt2": save_gpt2,
    "llama": _text(hf.LlamaForCausalLM, hf.LlamaConfig, llama3_tokenizer),
    "mistral": _text(
        hf.MistralForCausalLM,
        hf.MistralConfig,
        lambda: llama2_tokenizer(MISTRAL),
        sliding_window=None,
    ),
    "pythia": _text(
        hf.GPTNeoXForCausalLM,
        hf.GPTNeoXConfig,
        pythia_tokenizer,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.25},
    ),
    "qwen2": _text(hf.Qwen2ForCausalLM, hf.Qwen2Config, qwen_tokenizer),
    "smollm2": _text(hf.LlamaForCausalLM, hf.LlamaConfig, smollm2_tokenizer),
}
VISION_FAMILIES: dict[str, Callable[[Path], Path]] = {
    "gemma3": save_tiny_vlm,
    "llava": save_llava,
    "llava_qwen2": save_llava_around_qwen2,
    "mllama": save_mllama,
    "paligemma": _save_paligemma(hf.GemmaConfig),
    "paligemma2": _save_paligemma(
        hf.Gemma2Config, sliding_window=16, query_pre_attn_scalar=16, attn_implementation="eager"
    ),
    "qwen2_vl": _save_qwen_vl(
        hf.Qwen2VLForConditionalGeneration, hf.Qwen2VLConfig, embed_dim=16, hidden_size=32, mlp_ratio=2
    ),
    "qwen2_5_vl": _save_qwen_vl(
        hf.Qwen2_5_VLForConditionalGeneration,
        hf.Qwen2_5_VLConfig,
        hidden_size=16,
        intermediate_size=32,
        out_hidden_size=32,
        window_size=32,
        fullatt_block_indexes=[0],
    ),
}
