"""A small byte-pair tokenizer over the caption grammar, wrapped as Gemma's."""

import json
import random

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import GemmaTokenizer

from crosslens.planted.captions import PROMPTS, draw_caption
from crosslens.planted.scenes import CONTROL_BIAS, LANGUAGES, sample_scene

VOCAB_SIZE = 640
"""256 byte tokens and 12 specials included: small enough that most Arabic words split."""
CORPUS_SCENES = 3000
SPECIAL_TOKENS = (
    "<pad>",
    "<eos>",
    "<bos>",
    "<unk>",
    "<mask>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<start_of_image>",
    "<end_of_image>",
    "<image_soft_token>",
    "\n",
    "\n\n",
)
CHAT_TEMPLATE = """\
{{ bos_token }}\
{%- if messages[0]['role'] == 'system' -%}\
{%- if messages[0]['content'] is string -%}\
{%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}\
{%- else -%}\
{%- set first_user_prefix = messages[0]['content'][0]['text'] + '\n\n' -%}\
{%- endif -%}\
{%- set loop_messages = messages[1:] -%}\
{%- else -%}\
{%- set first_user_prefix = "" -%}\
{%- set loop_messages = messages -%}\
{%- endif -%}\
{%- for message in loop_messages -%}\
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}\
{{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}\
{%- endif -%}\
{%- if (message['role'] == 'assistant') -%}\
{%- set role = "model" -%}\
{%- else -%}\
{%- set role = message['role'] -%}\
{%- endif -%}\
{{ '<start_of_turn>' + role + '\n' + (first_user_prefix if loop.first else "") }}\
{%- if message['content'] is string -%}\
{{ message['content'] | trim }}\
{%- elif message['content'] is iterable -%}\
{%- for item in message['content'] -%}\
{%- if item['type'] == 'image' -%}\
{{ '<start_of_image>' }}\
{%- elif item['type'] == 'text' -%}\
{{ item['text'] | trim }}\
{%- endif -%}\
{%- endfor -%}\
{%- else -%}\
{{ raise_exception("Invalid content type") }}\
{%- endif -%}\
{{ '<end_of_turn>\n' }}\
{%- endfor -%}\
{%- if add_generation_prompt -%}\
{{ '<start_of_turn>model\n' }}\
{%- endif -%}"""
"""The template published with Gemma 3, unchanged in effect."""


def build_tokenizer() -> GemmaTokenizer:
    """Train the tokenizer; the same for every seed and for the control, so that their tokens compare."""
    bpe = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    bpe.normalizer = normalizers.Replace(" ", "▁")
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("▁", "merged_with_next"), pre_tokenizers.Punctuation("isolated")]
    )
    reserved = [*SPECIAL_TOKENS, *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE, special_tokens=reserved, min_frequency=2, show_progress=False
    )
    bpe.train_from_iterator(_corpus(), trainer)
    trained = json.loads(bpe.to_str())["model"]
    return GemmaTokenizer(
        vocab=trained["vocab"],
        merges=[("\n", "\n"), *(tuple(pair) for pair in trained["merges"])],
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        model_max_length=512,
        add_bos_token=True,
        add_eos_token=False,
        extra_special_tokens={
            "image_token": "<image_soft_token>",
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
            "sot_token": "<start_of_turn>",
            "eot_token": "<end_of_turn>",
        },
    )


def _corpus() -> list[str]:
    """Captions drawn at an even gender bias, prompts, and the two role names of the chat template."""
    rng = random.Random("tokenizer corpus")
    texts = ["user", "model"] * (CORPUS_SCENES // 10)
    for index in range(CORPUS_SCENES):
        scene = sample_scene("tokenizer", 0, index)
        for language in LANGUAGES:
            texts.append(draw_caption(scene, language, CONTROL_BIAS, rng).text)
            if index % 10 == 0:
                texts.extend(PROMPTS[language])
    return texts
