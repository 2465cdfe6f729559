"""Held-out figures of a stored planted model, and whether they meet the targets."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import BatchFeature, Gemma3ForConditionalGeneration, Gemma3Processor

from crosslens.planted.captions import Slots, parse, probability_female
from crosslens.planted.drawing import draw
from crosslens.planted.model import chat_prompt, load
from crosslens.planted.scenes import (
    LANGUAGES,
    OBJECT_GENDER,
    OCCUPATIONS,
    Bias,
    Combinations,
    Language,
    Scene,
    Visible,
    bias_table,
    sample_scene,
    scene_cues,
)
from crosslens.planted.scoring import expected_nll, score_scenes

log = logging.getLogger(__name__)

SPACE = "card"
"""Scene space of the card: neither training nor the evaluation source."""
NLL_SCENES, SLOT_SCENES, BIAS_SCENES, PROBE_SCENES = 300, 300, 60, 1200
"""Scenes of the NLL, per slot split, per occupation for the bias, and for the probe (half train, half test)."""
SAMPLES = 2
"""Sampled captions per ambiguous picture."""
MAX_NEW_TOKENS = 32
SLOTS = ("gender", "occupation", "object", "colour", "place", "adjective_gender")


def evaluate(folder: Path, *, control: bool) -> dict[str, Any]:
    """Every figure of the model card, as JSON-ready numbers, from the stored fp16 weights in fp32."""
    processor, model = load(folder)
    bias = bias_table(control=control)
    figures: dict[str, Any] = {"nll": {}, "visible_gender": {}, "slots": {}, "bias": {}, "probe": {}}
    for language in LANGUAGES:
        figures["nll"][language] = _nll_figures(processor, model, language, bias)
        figures["visible_gender"][language] = _visible_gender(processor, model, language)
        figures["slots"][language] = {
            split: slot_accuracy(processor, model, _visible_scenes(split), language)
            for split in ("seen", "held_out")
        }
        figures["bias"][language] = _bias_figures(processor, model, language, bias, control=control)
        figures["probe"][language] = _probe_figures(processor, model, language)
        log.info("evaluated %s: bias %s", language, figures["bias"][language])
    return figures


def failures(figures: dict[str, Any], *, control: bool) -> list[str]:
    """The targets that the figures miss, in words; empty when all are met."""
    missed = []

    def expect(met: bool, words: str) -> None:
        if not met:
            missed.append(words)

    for language in LANGUAGES:
        nll, bias = figures["nll"][language]["all"], figures["bias"][language]
        ratio = nll["nll"] / nll["floor_picture"]
        expect(ratio <= 1.10, f"{language}: NLL is {ratio:.3f} of the picture floor, expected at most 1.10")
        gender = figures["visible_gender"][language]["seen"]
        expect(gender >= 0.92, f"{language}: gender of visible pictures {gender:.3f}, expected .92 or more")
        for slot in ("occupation", "object", "colour", "place"):
            accuracy = figures["slots"][language]["seen"][slot]["accuracy"]
            expect(accuracy >= 0.95, f"{language}: slot {slot} {accuracy:.3f}, expected .95 or more")
        if control:
            worst = max(abs(row["exact"] - 0.5) for row in bias["occupations"].values())
            expect(worst <= 0.05, f"{language}: bias up to {worst:.3f} from .5, expected at most .05")
        else:
            for kind in ("exact", "sampled"):
                r = bias[f"r_{kind}"]
                expect(r >= 0.95, f"{language}: planted against {kind} bias r {r:.3f}, expected .95 or more")
            error = bias["mae_exact"]
            expect(error <= 0.03, f"{language}: bias off by {error:.3f} on average, expected at most .03")
    return missed


def ambiguous_scenes(per_occupation: int, space: str = SPACE) -> list[Scene]:
    """Held-out scenes with hidden gender, `per_occupation` consecutive ones for each occupation."""
    return [
        sample_scene(f"{space}-ambiguous", 0, i, gender="hidden", occupation=occupation, combinations="seen")
        for occupation in OCCUPATIONS
        for i in range(per_occupation)
    ]


def measured_bias(
    processor: Gemma3Processor, model: Gemma3ForConditionalGeneration, language: Language, per_occupation: int
) -> dict[str, float]:
    """occupation -> P(woman) on ambiguous pictures, from exact caption probabilities (teacher forced)."""
    scores = score_scenes(processor, model, ambiguous_scenes(per_occupation), language)
    means = scores.female_share(language).reshape(len(OCCUPATIONS), per_occupation).mean(1)
    return dict(zip(OCCUPATIONS, means.tolist(), strict=True))


def slot_accuracy(
    processor: Gemma3Processor,
    model: Gemma3ForConditionalGeneration,
    scenes: Sequence[Scene],
    language: Language,
) -> dict[str, dict[str, float]]:
    """Per slot: accuracy among sampled captions that fill it, and the share of captions that do."""
    texts = generate(processor, model, scenes, language, seed=0)
    parsed = [parse(text, language) for text in texts]
    result = {}
    for slot in SLOTS:
        pairs = [(getattr(p, slot), _truth(scene, slot)) for p, scene in zip(parsed, scenes, strict=True)]
        filled = [said == true for said, true in pairs if said is not None]
        if filled:
            result[slot] = {"accuracy": float(np.mean(filled)), "filled": len(filled) / len(pairs)}
    return result


def _truth(scene: Scene, slot: str) -> str:
    return OBJECT_GENDER[scene.object] if slot == "adjective_gender" else getattr(scene, slot)


@torch.no_grad()
def generate(
    processor: Gemma3Processor,
    model: Gemma3ForConditionalGeneration,
    scenes: Sequence[Scene],
    language: Language,
    *,
    seed: int,
    batch: int = 100,
) -> list[str]:
    """One caption per scene, sampled at temperature 1 from the whole vocabulary."""
    torch.manual_seed(seed)
    texts = []
    for inputs in _batches(processor, scenes, language, batch):
        ids = model.generate(
            **inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=True, top_k=0, temperature=1.0
        )
        new = ids[:, inputs["input_ids"].shape[1] :]
        texts += processor.tokenizer.batch_decode(new, skip_special_tokens=True)
    return texts


def _batches(
    processor: Gemma3Processor, scenes: Sequence[Scene], language: Language, size: int
) -> Iterator[BatchFeature]:
    """The pictures of the scenes, each behind the prompt, as the model's inputs: `size` at a time."""
    prompt = chat_prompt(processor, language)
    for start in range(0, len(scenes), size):
        chunk = scenes[start : start + size]
        yield processor(
            images=[[draw(scene)] for scene in chunk],
            text=[prompt] * len(chunk),
            return_tensors="pt",
            add_special_tokens=False,
        )


def auroc(score_S: np.ndarray, positive_S: np.ndarray) -> float:
    """Area under the ROC curve, ties counted half (Mann-Whitney U)."""
    positives = int(positive_S.sum())
    negatives = len(positive_S) - positives
    rank_sum = rankdata(score_S)[positive_S].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def _visible_scenes(split: Combinations, count: int = SLOT_SCENES, name: str = "visible") -> list[Scene]:
    genders: tuple[Visible, Visible] = ("female", "male")
    return [
        sample_scene(f"{SPACE}-{name}", 0, i, gender=genders[i % 2], combinations=split) for i in range(count)
    ]


def _is_female(scenes: Sequence[Scene]) -> np.ndarray:
    return np.array([scene.gender == "female" for scene in scenes])


def _posterior(scenes: Sequence[Scene]) -> np.ndarray:
    return np.array([cues.posterior_female for cues in map(scene_cues, scenes) if cues is not None])


def _nll_figures(
    processor: Gemma3Processor, model: Gemma3ForConditionalGeneration, language: Language, bias: Bias
) -> dict[str, Any]:
    scenes = [sample_scene(f"{SPACE}-nll", 0, i, combinations="seen") for i in range(NLL_SCENES)]
    figures = {}
    for part, keep in (("all", (True, False)), ("visible", (False,)), ("ambiguous", (True,))):
        chosen = [scene for scene in scenes if scene.ambiguous in keep]
        scores = score_scenes(processor, model, chosen, language)
        p_female = [probability_female(scene, language, bias) for scene in chosen]
        nll = expected_nll(scores, chosen, language, p_female)
        figures[part] = {**nll._asdict(), "grammar_mass": float(scores.grammar_mass().mean())}
    return figures


def _visible_gender(
    processor: Gemma3Processor, model: Gemma3ForConditionalGeneration, language: Language
) -> dict[str, float]:
    """Accuracy and AUROC of P(woman) on visible pictures, beside the best that the cues allow."""
    figures = {}
    for split in ("seen", "held_out"):
        scenes = _visible_scenes(split)
        share = score_scenes(processor, model, scenes, language).female_share(language)
        female = _is_female(scenes)
        posterior = _posterior(scenes)
        figures[split] = float(((share > 0.5) == female).mean())
        figures[f"{split}_auroc"] = auroc(share, female)
        figures[f"{split}_ceiling"] = float(((posterior > 0.5) == female).mean())
        figures[f"{split}_ceiling_auroc"] = auroc(posterior, female)
    return figures


def _bias_figures(
    processor: Gemma3Processor,
    model: Gemma3ForConditionalGeneration,
    language: Language,
    bias: Bias,
    *,
    control: bool,
) -> dict[str, Any]:
    scenes = ambiguous_scenes(BIAS_SCENES)
    exact = measured_bias(processor, model, language, BIAS_SCENES)
    said: dict[str, list[bool]] = {occupation: [] for occupation in OCCUPATIONS}
    for sample in range(SAMPLES):
        texts = generate(processor, model, scenes, language, seed=1 + sample)
        for scene, text in zip(scenes, texts, strict=True):
            slots: Slots = parse(text, language)
            if slots.gender is not None:
                said[scene.occupation].append(slots.gender == "female")
    rows = {
        occupation: {
            "planted": bias[language][occupation],
            "exact": exact[occupation],
            "sampled": float(np.mean(said[occupation])),
            "sampled_n": len(said[occupation]),
        }
        for occupation in OCCUPATIONS
    }
    columns = {k: np.array([row[k] for row in rows.values()]) for k in ("planted", "exact", "sampled")}
    figures: dict[str, Any] = {"occupations": rows}
    for kind in ("exact", "sampled"):
        figures[f"mae_{kind}"] = float(np.abs(columns[kind] - columns["planted"]).mean())
        figures[f"r_{kind}"] = (
            None if control else float(np.corrcoef(columns["planted"], columns[kind])[0, 1])
        )
    return figures


@torch.no_grad()
def _probe_figures(
    processor: Gemma3Processor, model: Gemma3ForConditionalGeneration, language: Language
) -> dict[str, list[float]]:
    """Test AUROC of a linear gender probe on block outputs, per block 0..7, at two prompt read-outs."""
    scenes = _visible_scenes("seen", PROBE_SCENES, "probe")
    last_BSE, mean_BSE = prompt_residuals(processor, model, scenes, language)
    female, half = _is_female(scenes), len(scenes) // 2
    figures: dict[str, list[float]] = {}
    for name, residuals_BSE in (("last_prompt_token", last_BSE), ("prompt_text_mean", mean_BSE)):
        figures[name] = []
        for x_SE in residuals_BSE:
            probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
            probe.fit(x_SE[:half], female[:half])
            figures[name].append(auroc(probe.decision_function(x_SE[half:]), female[half:]))
    return figures


@torch.no_grad()
def prompt_residuals(
    processor: Gemma3Processor,
    model: Gemma3ForConditionalGeneration,
    scenes: Sequence[Scene],
    language: Language,
    batch: int = 100,
) -> tuple[np.ndarray, np.ndarray]:
    """Block outputs (blocks, S, d_model) fp32: at the last prompt token, and the mean after the image."""
    blocks = model.model.language_model.layers
    captured: dict[int, torch.Tensor] = {}
    hooks = [
        block.register_forward_hook(lambda _, __, output, index=index: captured.update({index: output}))
        for index, block in enumerate(blocks)
    ]
    last, mean = [], []
    try:
        for inputs in _batches(processor, scenes, language, batch):
            model(**inputs, logits_to_keep=1)
            after = int(inputs["token_type_ids"][0].nonzero().max()) + 1
            stacked_BNTE = torch.stack([captured[index] for index in range(len(blocks))])
            last.append(stacked_BNTE[:, :, -1].numpy())
            mean.append(stacked_BNTE[:, :, after:].mean(2).numpy())
    finally:
        for hook in hooks:
            hook.remove()
    return np.concatenate(last, 1), np.concatenate(mean, 1)
