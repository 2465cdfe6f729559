"""Configuration, seeded initialisation, processor, and how the model is stored and prompted."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3Processor,
    Gemma3TextConfig,
    GemmaTokenizer,
    GenerationConfig,
    SiglipVisionConfig,
)
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

from crosslens.planted.captions import PROMPTS
from crosslens.planted.drawing import SIZE
from crosslens.planted.scenes import Language
from crosslens.planted.tokenizer import CHAT_TEMPLATE

IMAGE_TOKENS = 16
D_MODEL, LAYERS, D_MLP, HEADS, KV_HEADS, HEAD_DIM = 128, 8, 320, 4, 2, 32
FULL_ATTENTION_EVERY = 6
"""Every sixth block attends in full: block 5 of 0..7."""
SLIDING_WINDOW = 64
D_VISION, VISION_LAYERS, PATCH = 96, 3, 8
ATTENTION = "sdpa"
"""Attention kernel of training and evaluation; eager differs in the last bits."""
PROMPT_WEIGHTS = (5, 2, 2, 1)
"""Training mixture: chat with the first and the second prompt text, then the same two without chat turns."""


def build_processor(tokenizer: GemmaTokenizer) -> Gemma3Processor:
    """Gemma-3's processor with the PIL image backend, so that torchvision is not needed."""
    images = Gemma3ImageProcessorPil(
        size={"height": SIZE, "width": SIZE},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
        resample=2,
        do_pan_and_scan=False,
    )
    return Gemma3Processor(
        image_processor=images,
        tokenizer=tokenizer,
        chat_template=CHAT_TEMPLATE,
        image_seq_length=IMAGE_TOKENS,
    )


def build_config(tokenizer: GemmaTokenizer) -> Gemma3Config:
    """About 1.8 M parameters: 8 text blocks of width 128 behind a 3-block SigLIP tower of width 96."""
    text = Gemma3TextConfig(
        vocab_size=len(tokenizer),
        hidden_size=D_MODEL,
        intermediate_size=D_MLP,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        head_dim=HEAD_DIM,
        max_position_embeddings=512,
        query_pre_attn_scalar=HEAD_DIM,
        sliding_window=SLIDING_WINDOW,
        layer_types=[
            "sliding_attention" if (layer + 1) % FULL_ATTENTION_EVERY else "full_attention"
            for layer in range(LAYERS)
        ],
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
    vision = SiglipVisionConfig(
        hidden_size=D_VISION,
        intermediate_size=4 * D_VISION,
        num_hidden_layers=VISION_LAYERS,
        num_attention_heads=D_VISION // 32,
        image_size=SIZE,
        patch_size=PATCH,
        vision_use_head=False,
    )
    return Gemma3Config(
        text_config=text,
        vision_config=vision,
        mm_tokens_per_image=IMAGE_TOKENS,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
        eos_token_id=[tokenizer.eos_token_id, tokenizer.eot_token_id],
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def build_model(tokenizer: GemmaTokenizer, seed: int) -> Gemma3ForConditionalGeneration:
    """A freshly initialised fp32 model, a function of the seed alone.

    transformers zero-initialises the image projection, so no gradient would reach the vision tower: it gets
    standard deviation D_VISION^-.5, and the text block's matrices fan_in^-.5.
    """
    torch.manual_seed(seed)
    model = Gemma3ForConditionalGeneration(build_config(tokenizer))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        model.model.language_model.embed_tokens.weight.normal_(0, D_MODEL**-0.5, generator=generator)
        projector = model.model.multi_modal_projector.mm_input_projection_weight
        projector.normal_(0, D_VISION**-0.5, generator=generator)
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "language_model.layers" in name:
                parameter.normal_(0, parameter.shape[1] ** -0.5, generator=generator)
    model.generation_config = GenerationConfig(
        eos_token_id=[tokenizer.eos_token_id, tokenizer.eot_token_id],
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    )
    model.set_attn_implementation(ATTENTION)
    return model


def save(model: Gemma3ForConditionalGeneration, processor: Gemma3Processor, out: Path) -> None:
    """Store weights in fp16 beside the processor; `model` itself is left in fp16."""
    model.to(torch.float16).save_pretrained(out)
    processor.save_pretrained(out)


def load(folder: Path) -> tuple[Gemma3Processor, Gemma3ForConditionalGeneration]:
    """Processor and model of a stored folder, computing in fp32."""
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=ATTENTION
    )
    return processor, model.eval()


def chat_prompt(processor: Gemma3Processor, language: Language, variant: int = 0) -> str:
    """The chat string up to the model's turn; `<bos>` is in it, so tokenize without special tokens."""
    content = [{"type": "image"}, {"type": "text", "text": PROMPTS[language][variant]}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )


def plain_prompt(language: Language, variant: int = 0) -> str:
    """A prompt without chat turns, a minor part of the training mixture."""
    return f"<bos><start_of_image>{PROMPTS[language][variant]}\n"


def prompt_ids(processor: Gemma3Processor, prompt: str) -> list[int]:
    """Token ids of a prompt with its image tokens expanded."""
    expanded = prompt.replace(processor.boi_token, processor.full_image_sequence)
    return processor.tokenizer(expanded, add_special_tokens=False).input_ids


def prompt_variants(processor: Gemma3Processor, language: Language) -> list[list[int]]:
    """Token ids of the prompts that training mixes, in the order of PROMPT_WEIGHTS."""
    texts = [chat_prompt(processor, language, variant) for variant in (0, 1)]
    texts += [plain_prompt(language, variant) for variant in (0, 1)]
    return [prompt_ids(processor, text) for text in texts]


def encode_captions(processor: Gemma3Processor, texts: Sequence[str]) -> list[list[int]]:
    """Caption tokens, each closed by the end-of-turn token: what the model is to produce."""
    tokenizer = processor.tokenizer
    return [[*ids, tokenizer.eot_token_id] for ids in tokenizer(texts, add_special_tokens=False).input_ids]
