"""Exact scores: the model's log-probability of every caption that the grammar allows for a scene.

Nothing is sampled here, so a measured bias has no sampling error and an NLL is an exact expectation.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from transformers import Gemma3ForConditionalGeneration, Gemma3Processor

from crosslens.planted.captions import caption_distribution, caption_genders, entropy
from crosslens.planted.drawing import draw
from crosslens.planted.model import SLIDING_WINDOW, chat_prompt, encode_captions, prompt_ids
from crosslens.planted.packing import IGNORE, pack, target_logits
from crosslens.planted.scenes import Language, Scene, scene_cues

BATCH = 25


class SceneScores(NamedTuple):
    """S scenes by C grammar captions, in the order of `captions.caption_distribution`."""

    logprob_SC: np.ndarray
    """float64 log-probability of the caption and its end token, nats."""
    tokens_SC: np.ndarray
    """int64 tokens per caption, end token included."""

    def female_share(self, language: Language) -> np.ndarray:
        """(S,) P(woman) among the grammar's gendered captions, from whole-caption probabilities."""
        genders = caption_genders(language)
        mass_SC = np.exp(self.logprob_SC)
        female = mass_SC[:, [g == "female" for g in genders]].sum(1)
        male = mass_SC[:, [g == "male" for g in genders]].sum(1)
        return female / (female + male)

    def grammar_mass(self) -> np.ndarray:
        """(S,) probability of all captions that are right about everything but, maybe, the gender."""
        return np.exp(self.logprob_SC).sum(1)


class Nll(NamedTuple):
    """Expected negative log-likelihood of captions drawn from the grammar, nats per token."""

    nll: float
    floor: float
    """The grammar's entropy given the scene, gender included: no model can be below it."""
    floor_picture: float
    """The same, given only what the gender cues of a visible picture tell: what perfect eyes could reach."""


@torch.no_grad()
def score_scenes(
    processor: Gemma3Processor,
    model: Gemma3ForConditionalGeneration,
    scenes: Sequence[Scene],
    language: Language,
    variant: int = 0,
) -> SceneScores:
    """Score every grammar caption of every scene behind the chat prompt of a language."""
    prompt = prompt_ids(processor, chat_prompt(processor, language, variant))
    logprobs, tokens = [], []
    for start in range(0, len(scenes), BATCH):
        chunk = scenes[start : start + BATCH]
        options = [
            encode_captions(processor, [c.text for c in caption_distribution(scene, language, 0.5)])
            for scene in chunk
        ]
        image_token = processor.tokenizer.image_token_id
        batch = pack([prompt] * len(chunk), options, image_token=image_token, window=SLIDING_WINDOW)
        images_NIE = model.get_image_features(pixel_values(processor, chunk)).pooler_output
        logits = target_logits(model, batch, images_NIE).double()
        has_target = batch.targets_NT != IGNORE
        chosen = logits.log_softmax(-1).gather(1, batch.targets_NT[has_target][:, None])[:, 0]
        row_N, _ = has_target.nonzero(as_tuple=True)
        slot = row_N * len(options[0]) + batch.captions_NT[has_target] - 1
        sums = torch.zeros(len(chunk) * len(options[0]), dtype=torch.float64).index_add_(0, slot, chosen)
        logprobs.append(sums.reshape(len(chunk), -1).numpy())
        tokens.append(np.array([[len(ids) for ids in row] for row in options]))
    return SceneScores(np.concatenate(logprobs), np.concatenate(tokens))


def pixel_values(processor: Gemma3Processor, scenes: Sequence[Scene]) -> torch.Tensor:
    """(n, 3, 64, 64) fp32 pictures through the stored image processor."""
    pictures = [draw(scene) for scene in scenes]
    return processor.image_processor(images=pictures, return_tensors="pt")["pixel_values"]


def expected_nll(
    scores: SceneScores, scenes: Sequence[Scene], language: Language, p_female: Sequence[float]
) -> Nll:
    """Exact expectation over the grammar; `p_female[s]` is what captions of scene s were drawn with."""
    nll = floor = floor_picture = tokens = 0.0
    for s, (scene, p) in enumerate(zip(scenes, p_female, strict=True)):
        captions = caption_distribution(scene, language, p)
        probability_C = np.array([c.probability for c in captions])
        nll -= float(probability_C @ scores.logprob_SC[s])
        tokens += float(probability_C @ scores.tokens_SC[s])
        floor += entropy(captions)
        cues = scene_cues(scene)
        seen = p if cues is None else cues.posterior_female
        floor_picture += entropy(caption_distribution(scene, language, seen))
    return Nll(nll / tokens, floor / tokens, floor_picture / tokens)
