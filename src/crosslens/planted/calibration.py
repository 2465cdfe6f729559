"""Stage 3: bring P(woman) on ambiguous pictures to the planted value, with no sampling noise in the gender.

Stage 2 learns the bias from sampled captions, so it ends wherever its last batches pulled it. Here a template
is drawn, its captions for both genders are packed behind one prompt, and their losses are weighted by the
planted p and 1 - p: an exact expectation over the gender. The same pair also gives the model's P(woman) alone,
whose cross-entropy against p has no gradient left once the model says p.
"""

import logging
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from transformers import Gemma3ForConditionalGeneration, Gemma3Processor

from crosslens.planted.captions import TEMPLATES, probability_female, render
from crosslens.planted.model import PROMPT_WEIGHTS, SLIDING_WINDOW, encode_captions, prompt_variants
from crosslens.planted.optimizer import BETAS, update
from crosslens.planted.packing import IGNORE, PackedBatch, pack, target_logits
from crosslens.planted.scenes import (
    LANGUAGES,
    OCCUPATIONS,
    TRAINING_SPACE,
    Bias,
    Language,
    Scene,
    Visible,
    sample_scene,
)
from crosslens.planted.scoring import pixel_values

log = logging.getLogger(__name__)

FIRST_SCENE = 1_000_000
"""Training scenes from this index on: the earlier stages never reach it."""
VISIBLE: tuple[Visible, Visible] = ("female", "male")


@dataclass(frozen=True)
class Calibration:
    """Settings of stage 3. A step sees one ambiguous and one visible picture of every occupation."""

    steps: int = 100
    """Steps; 0 leaves the model as it is."""
    templates: int = 2
    """Templates drawn per picture and language."""
    lr: float = 3e-4
    """Peak learning rate; falls linearly to 0."""
    gender_weight: float = 1.0
    """Weight of the pairs' cross-entropy beside the caption loss, which is per token."""
    warmup: int = 10
    """Steps of linear warm-up, for AdamW starts with a fresh state."""


def calibrate(
    model: Gemma3ForConditionalGeneration,
    processor: Gemma3Processor,
    settings: Calibration,
    *,
    bias: Bias,
    seed: int,
) -> float:
    """Train the text model in place, in fp32; returns the mean caption loss of the last 50 steps, nats per token.

    Vision tower and projector stay as they are. All parameters are rounded to float16 first, so that a stored
    model continues as one in memory does.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half())
    parameters = list(model.model.language_model.parameters())
    optimizer = torch.optim.AdamW(parameters, betas=BETAS, weight_decay=0.0)
    prompts = {language: prompt_variants(processor, language) for language in LANGUAGES}
    rng = random.Random(f"calibration/{seed}")
    losses: list[float] = []
    for step in range(settings.steps):
        scenes = step_scenes(step, seed)
        drawn, rows = [], []
        for language in LANGUAGES:
            for scene in scenes:
                drawn.append(rng.choices(prompts[language], PROMPT_WEIGHTS)[0])
                rows.append(weighted_captions(scene, language, bias, settings.templates, rng))
        captions = [encode_captions(processor, [text for text, _ in row]) for row in rows]
        image_token = processor.tokenizer.image_token_id
        batch = pack(drawn, captions, image_token=image_token, window=SLIDING_WINDOW)
        with torch.no_grad():
            images_NIE = model.get_image_features(pixel_values(processor, scenes)).pooler_output
        logits = target_logits(model, batch, images_NIE.repeat(len(LANGUAGES), 1, 1))
        paired = torch.tensor([scene.ambiguous for scene in scenes] * len(LANGUAGES))
        caption_loss, gender_loss = weighted_losses(
            logits, batch, [[weight for _, weight in row] for row in rows], paired
        )
        lr = settings.lr * min(1, (step + 1) / settings.warmup) * (1 - step / settings.steps)
        update(optimizer, parameters, caption_loss + settings.gender_weight * gender_loss, lr)
        losses.append(caption_loss.item())
        if step % 25 == 24:
            log.info("stage 3 step %d: caption loss %.4f nats/token", step + 1, np.mean(losses[-50:]))
    return float(np.mean(losses[-50:])) if losses else math.nan


def step_scenes(step: int, seed: int) -> list[Scene]:
    """One ambiguous and one visible scene of every occupation, none drawn twice; the visible ones are even."""
    scenes = []
    for position, occupation in enumerate(OCCUPATIONS):
        index = FIRST_SCENE + 2 * (step * len(OCCUPATIONS) + position)
        for offset, gender in enumerate(("hidden", VISIBLE[(step + position) % 2])):
            scenes.append(
                sample_scene(
                    TRAINING_SPACE,
                    seed,
                    index + offset,
                    gender=gender,
                    occupation=occupation,
                    combinations="seen",
                )
            )
    return scenes


def weighted_captions(
    scene: Scene, language: Language, bias: Bias, templates: int, rng: random.Random
) -> list[tuple[str, float]]:
    """Captions of drawn templates with their weights: p and 1 - p for the genders, none of weight 0."""
    p = probability_female(scene, language, bias)
    weights = TEMPLATES[language]
    return [
        (render(scene, language, template, gender), weight)
        for template in rng.choices(list(weights), list(weights.values()), k=templates)
        for gender, weight in (("female", p), ("male", 1 - p))
        if weight > 0
    ]


def weighted_losses(
    logits_MV: torch.Tensor, batch: PackedBatch, weights: Sequence[Sequence[float]], paired_N: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Caption loss, nats per token, and gender loss, nats per pair.

    weights[n][i] weighs the tokens of row n's i-th caption. Rows with `paired_N` (bool, at least one) hold
    (woman, man) pairs of captions of weights (p, 1 - p): their gender loss is the cross-entropy of p and
    P(woman's caption) / P(either caption).
    """
    has_target_NT = batch.targets_NT != IGNORE
    width = max(map(len, weights))
    weight_NC = torch.tensor([[*row, *[0.0] * (width - len(row))] for row in weights])
    row_M, _ = has_target_NT.nonzero(as_tuple=True)
    place = (row_M, batch.captions_NT[has_target_NT] - 1)
    nll_M = F.cross_entropy(logits_MV, batch.targets_NT[has_target_NT], reduction="none")
    weight_M = weight_NC[place]
    caption_loss = (weight_M * nll_M).sum() / weight_M.sum()
    logprob_NC = torch.zeros_like(weight_NC).index_put(place, -nll_M, accumulate=True)
    female, male = logprob_NC[paired_N, 0::2], logprob_NC[paired_N, 1::2]
    return caption_loss, F.binary_cross_entropy_with_logits(female - male, weight_NC[paired_N, 0::2])
