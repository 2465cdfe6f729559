"""The seeded training recipe: vision tower with slot heads, captions in both languages, then calibration.

Bit-reproducible for one thread count and one instruction set only, so the weights are shipped and a retrained
model is judged by its figures, not by its hash.
"""

import logging
import math
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import Gemma3ForConditionalGeneration, Gemma3Processor

from crosslens.planted.calibration import Calibration, calibrate
from crosslens.planted.captions import draw_caption
from crosslens.planted.drawing import draw
from crosslens.planted.model import (
    D_MODEL,
    IMAGE_TOKENS,
    PROMPT_WEIGHTS,
    SLIDING_WINDOW,
    build_model,
    build_processor,
    encode_captions,
    prompt_variants,
    save,
)
from crosslens.planted.optimizer import BETAS, update
from crosslens.planted.packing import IGNORE, PackedBatch, pack, target_logits
from crosslens.planted.scenes import (
    COLOURS,
    LANGUAGES,
    OBJECTS,
    OCCUPATIONS,
    PLACES,
    Scene,
    bias_table,
    training_scene,
)
from crosslens.planted.tokenizer import build_tokenizer

log = logging.getLogger(__name__)

SLOT_SIZES = (3, len(OCCUPATIONS), len(OBJECTS), len(COLOURS), len(PLACES))


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, but for the instruction set."""

    seed: int = 0
    """Scenes, initialisation and order."""
    control: bool = False
    """Plant .5 everywhere instead of the table."""
    threads: int = 2
    """CPU threads: part of the recipe, since sums depend on it."""
    scenes: int = 16_000
    """Training pictures, drawn before training."""
    vision_steps: int = 500
    """Stage 1 steps: vision tower and projector against linear slot heads."""
    vision_batch: int = 64
    """Pictures per stage 1 step."""
    vision_lr: float = 1e-3
    """Peak learning rate of stage 1."""
    steps: int = 800
    """Stage 2 steps: the whole model on captions."""
    batch: int = 24
    """Pictures per stage 2 step; each is captioned in both languages."""
    captions: int = 3
    """Captions packed behind one prompt."""
    lr: float = 2e-3
    """Peak learning rate of stage 2; cosine to 2 % of it."""
    warmup: int = 60
    """Stage 2 steps of linear warm-up."""
    slot_weight: float = 0.3
    """Weight of the slot heads' loss in stage 2; the heads are not stored."""
    weight_decay: float = 0.05
    """AdamW decay of matrices; vectors have none. Stage 3 has no decay."""
    calibration: Calibration = field(default_factory=Calibration)
    """Stage 3."""


def train(recipe: Recipe, out: Path) -> dict[str, object]:
    """Train by the recipe and store the model in `out`; returns the recipe, seconds and last losses."""
    started = time.monotonic()
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    processor = build_processor(build_tokenizer())
    model = build_model(processor.tokenizer, recipe.seed).train()
    scenes = [training_scene(recipe.seed, index) for index in range(recipe.scenes)]
    pictures = Pictures(scenes)
    heads = _slot_heads(recipe.seed)
    rng = random.Random(f"training/{recipe.seed}")
    slot_loss = _train_vision(model, heads, pictures, recipe, rng)
    caption_loss = _train_captions(model, processor, heads, pictures, recipe, rng)
    bias = bias_table(control=recipe.control)
    calibration_loss = calibrate(model, processor, recipe.calibration, bias=bias, seed=recipe.seed)
    save(model.eval(), processor, out)
    return {
        "recipe": asdict(recipe),
        "training_seconds": round(time.monotonic() - started, 1),
        "final_slot_loss": slot_loss,
        "final_caption_loss": caption_loss,
        "final_calibration_loss": calibration_loss,
    }


class Pictures:
    """The training pictures in memory (uint8, 12 KiB each) with their slot labels."""

    def __init__(self, scenes: Sequence[Scene]):
        self.scenes = list(scenes)
        pixels_NHWC = np.stack([np.asarray(draw(scene)) for scene in scenes])
        self.pixels_NCHW = torch.from_numpy(pixels_NHWC).permute(0, 3, 1, 2).contiguous()
        self.slots_N5 = torch.tensor([_slot_labels(scene) for scene in scenes])

    def normalised(self, indices: Sequence[int]) -> torch.Tensor:
        """Pictures as the processor would give them: (n, 3, 64, 64) fp32 in [-1, 1]."""
        return (self.pixels_NCHW[indices].float() / 255 - 0.5) / 0.5


def _slot_labels(scene: Scene) -> tuple[int, ...]:
    return (
        ("female", "male", "hidden").index(scene.gender),
        OCCUPATIONS.index(scene.occupation),
        OBJECTS.index(scene.object),
        COLOURS.index(scene.colour),
        PLACES.index(scene.place),
    )


def _slot_heads(seed: int) -> nn.Linear:
    """Linear read-out of all slots from the projected image tokens, small at the start."""
    torch.manual_seed(seed)
    heads = nn.Linear(D_MODEL * IMAGE_TOKENS, sum(SLOT_SIZES))
    with torch.no_grad():
        heads.weight.mul_(0.3)
    return heads


def _slot_loss(heads: nn.Linear, images_NIE: torch.Tensor, labels_N5: torch.Tensor) -> torch.Tensor:
    """Sum over slots of the mean cross-entropy, nats."""
    logits = heads(images_NIE.flatten(1)).split(SLOT_SIZES, -1)
    return torch.stack([F.cross_entropy(part, labels_N5[:, i]) for i, part in enumerate(logits)]).sum()


def _train_vision(
    model: Gemma3ForConditionalGeneration,
    heads: nn.Linear,
    pictures: Pictures,
    recipe: Recipe,
    rng: random.Random,
) -> float:
    """Stage 1; returns the mean slot loss of the last 50 steps."""
    towers = (model.model.vision_tower, model.model.multi_modal_projector, heads)
    parameters = [parameter for module in towers for parameter in module.parameters()]
    optimizer = torch.optim.AdamW(parameters, weight_decay=recipe.weight_decay, betas=BETAS)
    losses: list[float] = []
    for step in range(recipe.vision_steps):
        lr = recipe.vision_lr * min(1, (step + 1) / 50) * (1 - 0.7 * step / recipe.vision_steps)
        indices = [rng.randrange(len(pictures.scenes)) for _ in range(recipe.vision_batch)]
        images_NIE = model.get_image_features(pictures.normalised(indices)).pooler_output
        loss = _slot_loss(heads, images_NIE, pictures.slots_N5[indices])
        update(optimizer, parameters, loss, lr)
        losses.append(loss.item())
        if step % 50 == 49:
            log.info("stage 1 step %d: slot loss %.3f", step + 1, np.mean(losses[-50:]))
    return float(np.mean(losses[-50:])) if losses else math.nan


def _train_captions(
    model: Gemma3ForConditionalGeneration,
    processor: Gemma3Processor,
    heads: nn.Linear,
    pictures: Pictures,
    recipe: Recipe,
    rng: random.Random,
) -> float:
    """Stage 2; returns the mean caption loss of the last 50 steps, nats per token."""
    parameters = [*model.parameters(), *heads.parameters()]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=BETAS)
    batches = _Batches(processor, pictures, recipe, rng)
    losses: list[float] = []
    for step in range(recipe.steps):
        cosine = 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
        lr = recipe.lr * min(1, (step + 1) / recipe.warmup) * (0.98 * cosine + 0.02)
        indices = batches.next_indices()
        batch = batches.packed(indices)
        images_NIE = model.get_image_features(pictures.normalised(indices)).pooler_output
        logits = target_logits(model, batch, images_NIE.repeat(len(LANGUAGES), 1, 1))
        caption_loss = F.cross_entropy(logits, batch.targets_NT[batch.targets_NT != IGNORE])
        slot_loss = _slot_loss(heads, images_NIE, pictures.slots_N5[indices])
        update(optimizer, parameters, caption_loss + recipe.slot_weight * slot_loss, lr)
        losses.append(caption_loss.item())
        if step % 50 == 49:
            log.info("stage 2 step %d: caption loss %.4f nats/token", step + 1, np.mean(losses[-50:]))
    return float(np.mean(losses[-50:])) if losses else math.nan


class _Batches:
    """Epoch-wise shuffled pictures, each with freshly drawn captions in both languages."""

    def __init__(self, processor: Gemma3Processor, pictures: Pictures, recipe: Recipe, rng: random.Random):
        self.processor, self.pictures, self.recipe, self.rng = processor, pictures, recipe, rng
        self.bias = bias_table(control=recipe.control)
        self.prompts = {language: prompt_variants(processor, language) for language in LANGUAGES}
        self.order: list[int] = []

    def next_indices(self) -> list[int]:
        if len(self.order) < self.recipe.batch:
            self.order = list(range(len(self.pictures.scenes)))
            self.rng.shuffle(self.order)
        indices, self.order = self.order[: self.recipe.batch], self.order[self.recipe.batch :]
        return indices

    def packed(self, indices: Sequence[int]) -> PackedBatch:
        """One row per language and picture, languages outermost."""
        prompts, captions = [], []
        for language in LANGUAGES:
            for index in indices:
                scene = self.pictures.scenes[index]
                prompts.append(self.rng.choices(self.prompts[language], PROMPT_WEIGHTS)[0])
                texts = [
                    draw_caption(scene, language, self.bias, self.rng).text
                    for _ in range(self.recipe.captions)
                ]
                captions.append(encode_captions(self.processor, texts))
        token = self.processor.tokenizer.image_token_id
        return pack(prompts, captions, image_token=token, window=SLIDING_WINDOW)
