"""A tiny random Gemma-3 of the real class, seeded, saved like a published model: no weights are shipped for it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    Gemma3Config,
    Gemma3ForCausalLM,
    Gemma3ForConditionalGeneration,
    Gemma3Processor,
    Gemma3TextConfig,
    GemmaTokenizer,
    SiglipVisionConfig,
)
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

from crosslens.tables.documents import write_table

SAMPLES = 24
LAYERS, D_MODEL, IMAGE_TOKENS, IMAGE_SIZE = 4, 32, 4, 32
PROMPTS = {"en": "Describe the picture.", "ar": "صف الصورة."}
CAPTIONS = {
    "en": [
        "A woman holds a red book in the park.",
        "The nurse is at work, he carries a bag.",
        "A driver.",
        "In the street stands a doctor with two green umbrellas and a very long scarf.",
    ],
    "ar": [
        "امرأة تحمل كتابا أحمر في الحديقة.",
        "الممرض في العمل وهو يحمل حقيبة خضراء.",
        "سائق.",
        "تقف طبيبة في الشارع مع مظلتين خضراوين وبدراجتها الجديدة.",
    ],
}
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] | trim }}{% else %}"
    "{% for item in message['content'] %}"
    "{% if item['type'] == 'image' %}<start_of_image>{% else %}{{ item['text'] | trim }}{% endif %}"
    "{% endfor %}{% endif %}{{ '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
SPECIALS = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"]
SPECIALS += ["<start_of_image>", "<end_of_image>", "<image_soft_token>", "\n", "\n\n"]


def tiny_tokenizer(
    template: str | None = CHAT_TEMPLATE, image_token: str = "<image_soft_token>"
) -> GemmaTokenizer:
    """Byte-fallback BPE; the letter ظ is not in its training text and falls back to bytes."""
    bpe = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    bpe.normalizer = normalizers.Replace(" ", "▁")
    bpe.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    texts = [*PROMPTS.values(), *CAPTIONS["en"], *CAPTIONS["ar"], "user", "model"] * 3
    reserved = [*SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256))]
    bpe.train_from_iterator(
        [text.replace("ظ", "") for text in texts],
        trainers.BpeTrainer(vocab_size=420, special_tokens=reserved, show_progress=False),
    )
    trained = json.loads(bpe.to_str())["model"]
    return GemmaTokenizer(
        vocab=trained["vocab"],
        merges=[("\n", "\n"), *(tuple(pair) for pair in trained["merges"])],
        chat_template=template,
        padding_side="left",
        add_bos_token=True,
        extra_special_tokens={
            "image_token": image_token,
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
            "sot_token": "<start_of_turn>",
            "eot_token": "<end_of_turn>",
        },
    )


def text_settings() -> dict[str, Any]:
    """Configuration of a decoder of LAYERS blocks."""
    return {
        "hidden_size": D_MODEL,
        "intermediate_size": 64,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "max_position_embeddings": 256,
    }


def _text_config(tokenizer: GemmaTokenizer) -> Gemma3TextConfig:
    return Gemma3TextConfig(
        **text_settings(),
        vocab_size=len(tokenizer),
        query_pre_attn_scalar=16,
        sliding_window=16,
        sliding_window_pattern=2,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )


def randomise(kind: type[torch.nn.Module], config: Any) -> torch.nn.Module:
    """A seeded model of the class, in which every part counts."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Hugging Face starts the image projection and gates at zero, and norms at 1 + 0.
            scale = 0.1 if parameter.ndim == 1 else parameter.shape[-1] ** -0.5
            if "vision" not in name and "visual" not in name:
                centre = 1 if parameter.ndim == 1 and bool((parameter == 1).all()) else 0
                parameter.normal_(centre, scale, generator=generator)
    return model


def save_tiny_vlm(folder: Path) -> Path:
    """A 4-block Gemma3ForConditionalGeneration with its processor."""
    tokenizer = tiny_tokenizer()
    vision = SiglipVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=IMAGE_SIZE,
        patch_size=8,
        vision_use_head=False,
    )
    config = Gemma3Config(
        text_config=_text_config(tokenizer),
        vision_config=vision,
        mm_tokens_per_image=IMAGE_TOKENS,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
        eos_token_id=[1, tokenizer.eot_token_id],
        bos_token_id=2,
        pad_token_id=0,
    )
    model = randomise(Gemma3ForConditionalGeneration, config)
    pictures = Gemma3ImageProcessorPil(
        size={"height": IMAGE_SIZE, "width": IMAGE_SIZE},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
        do_pan_and_scan=False,
    )
    model.save_pretrained(folder)
    Gemma3Processor(
        image_processor=pictures,
        tokenizer=tokenizer,
        chat_template=CHAT_TEMPLATE,
        image_seq_length=IMAGE_TOKENS,
    ).save_pretrained(folder)
    return folder


def save_tiny_text(folder: Path, *, chat: bool = True) -> Path:
    """The same decoder without a vision tower; without `chat` its tokenizer has no template."""
    tokenizer = tiny_tokenizer()
    if not chat:
        tokenizer.chat_template = None
    model = randomise(Gemma3ForCausalLM, _text_config(tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_dataset(folder: Path, language: str, samples: int, *, images: bool = True) -> tuple[Path, Path]:
    """`samples` rows of a dataset table and their pictures; returns the parquet and the image folder."""
    rng = np.random.default_rng(0)
    pictures = folder / "images"
    pictures.mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(samples):
        name = digest = ""
        if images:
            name = f"{i:03d}.png"
            pixels = rng.integers(0, 256, (IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(pictures / name)
            digest = hashlib.sha256((pictures / name).read_bytes()).hexdigest()
        words = CAPTIONS[language][i % 4] + "".join(f" {CAPTIONS[language][j]}" for j in range(i // 4 % 3))
        rows.append(
            {
                "sample_id": f"{i:03d}#0",
                "image_id": f"{i:03d}",
                "row": i + 1,
                "caption": words,
                "prompt": PROMPTS[language],
                "gender": ("female", "male", "unknown")[i % 3],
                "gender_source": "column",
                "category": "nurse",
                "image": name,
                "image_sha256": digest,
                "split": "train",
                "label_spans": "[]",
            }
        )
    path = folder / f"{language}.parquet"
    write_table(path, "dataset", pd.DataFrame(rows))
    return path, pictures


def digests(folder: Path) -> dict[str, str]:
    """sha256 by relative path of every file below `folder`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
