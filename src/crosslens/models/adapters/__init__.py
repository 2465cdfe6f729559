"""What differs between model families: where their parts are, and what their inputs are made of.

A family that is not here is declared by a class, in a file that `model.adapter` of the study names (in a notebook: in a
cell before `load_model`). Text-only models need three places::

    from crosslens.models.adapters import Adapter, register

    @register("olmo2")  # `model_type` of the model's config.json
    class Olmo2(Adapter):
        @property
        def decoder(self):  # holds `layers`, `norm`; override `blocks` and `final_norm` where they have other names
            return self.model.model

        def attn_out(self, block):  # its output is added to the residual stream: behind a post-norm, if there is one
            return block.post_attention_layernorm

        def mlp_out(self, block):
            return block.post_feedforward_layernorm

`attn_gate` and `mlp_gate` give the factor where a block multiplies what it adds; `logit_scale` and `logit_softcap` say
what the model does to its logits. A vision-language model starts from `VisionAdapter` and has its `language_model`,
`vision_tower` and `projector`, and what its images add to the text (`image_text`) and to the inputs (`image_inputs`,
`token_inputs`). Whether the places are right is what `resid_pre + attn_out + mlp_out = resid_post` shows.
"""

from crosslens.models.adapters.base import Adapter, VisionAdapter
from crosslens.models.adapters.gemma import Gemma2, Gemma3, Gemma3Text, PaliGemma
from crosslens.models.adapters.gpt import GPT2, GPTNeoX
from crosslens.models.adapters.llama import Llama, Llava, Mllama
from crosslens.models.adapters.qwen import Qwen2, Qwen2VL
from crosslens.models.adapters.registry import ADAPTERS, adapter_for, declare, register

__all__ = [
    "ADAPTERS",
    "GPT2",
    "Adapter",
    "GPTNeoX",
    "Gemma2",
    "Gemma3",
    "Gemma3Text",
    "Llama",
    "Llava",
    "Mllama",
    "PaliGemma",
    "Qwen2",
    "Qwen2VL",
    "VisionAdapter",
    "adapter_for",
    "declare",
    "register",
]
