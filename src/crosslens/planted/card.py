"""The model card: measured figures as `card.json`, a `README.md` made from them, and `SHA256SUMS`."""

import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers

from crosslens.planted.model import ATTENTION
from crosslens.planted.scenes import LANGUAGES, OCCUPATIONS
from crosslens.planted.tokenizer import VOCAB_SIZE

CARD, README, SUMS, WEIGHTS = "card.json", "README.md", "SHA256SUMS", "model.safetensors"
LANGUAGE_NAMES = {"en": "English", "ar": "Arabic"}


def environment() -> dict[str, Any]:
    """What the last bits of the weights depend on besides the recipe."""
    return {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "attention": ATTENTION,
    }


def write_card(folder: Path, training: dict[str, Any], figures: dict[str, Any], missed: list[str]) -> None:
    """Write card, README and checksums of a finished model folder; numbers are rounded to 4 places."""
    weights = folder / WEIGHTS
    card = {
        "schema": 1,
        "kind": "planted_card",
        "control": training["recipe"]["control"],
        "training": training,
        "environment": environment(),
        "weights": {
            "bytes": weights.stat().st_size,
            "sha256": _sha256(weights),
            "storage": "float16",
            "compute": "float32",
        },
        "vocabulary": VOCAB_SIZE,
        "figures": figures,
        "targets_missed": missed,
    }
    card = _rounded(card)
    text = json.dumps(card, ensure_ascii=False, indent=2, allow_nan=False)
    (folder / CARD).write_text(text + "\n", encoding="utf-8")
    (folder / README).write_text(readme(card), encoding="utf-8")
    write_sums(folder)


def write_sums(folder: Path) -> None:
    """`SHA256SUMS` over every other file of the folder, as `sha256sum -c` reads it; files made readable."""
    lines = []
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name != SUMS:
            path.chmod(0o644)
            lines.append(f"{_sha256(path)}  {path.name}\n")
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _rounded(value: Any) -> Any:
    """Floats to 4 places, all the way down; the recipe's own settings are exact at that."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return value


def readme(card: dict[str, Any]) -> str:
    """The model card in Markdown; every measured number comes from `card`."""
    control, recipe, env = card["control"], card["training"]["recipe"], card["environment"]
    flags = f"--seed {recipe['seed']}" + (" --control" if control else "")
    title = "Planted control model (no bias)" if control else "Planted model (known gender bias)"
    planted = "P(woman) = .5 for every occupation" if control else "the P(woman) of the bias table below"
    sections = [
        f"# {title}",
        "A tiny `Gemma3ForConditionalGeneration` (SigLIP tower, projector, sliding-window and full attention, "
        "`Gemma3Processor`) trained from nothing on drawn 64 x 64 scenes with English and Arabic captions. "
        f"On pictures that hide the person's gender its training captions followed {planted}; visible women "
        "and men are equally frequent in every occupation. It exists so that a bias analysis can be checked "
        "against a known answer. It is of no other use.",
        _how(card, flags, env),
        "## Measured on held-out scenes",
        "All numbers below are read from `card.json`, which the evaluation wrote.",
        _bias_section(card),
        _nll_section(card),
        _slot_section(card),
        _gender_section(card),
        _targets(card),
        LIMITS,
        "## Licence\n\nMIT, as the repository. Pictures, captions and weights were made by this repository's "
        "code; no third-party data or weights went in.",
    ]
    return "\n\n".join(sections) + "\n"


LIMITS = """\
## Limits

- Scenes, words and grammar are closed: anything else in picture or prompt is off distribution.
- Retraining gives the same bits only for the same thread count, instruction set and library versions. The
  shipped weights are pinned by `SHA256SUMS`; a retrained model is judged by its figures.
- A linear gender direction is partly built in: slot heads on the image tokens (dropped on saving) helped to train.
- Gender cues are faint on purpose, so visible gender is read less well than the other slots; "ceiling" is what
  an ideal reader of the three cue strengths would reach on the same pictures.
- Sampled bias rests on about 120 captions per occupation: its standard error is up to .05.
- Prompt and caption together stay below the sliding window, so sliding and full attention see the same tokens.
- Gender is drawn as two categories because the planted attribute is grammatical; it says nothing of people."""


def _how(card: dict[str, Any], flags: str, env: dict[str, Any]) -> str:
    training, recipe, weights = card["training"], card["training"]["recipe"], card["weights"]
    calibration = recipe["calibration"]
    return f"""\
## How it was made

```
python -m crosslens.planted --out DIR {flags}
```

Stage 1: {recipe["vision_steps"]} steps of vision tower and projector against slot heads. Stage 2:
{recipe["steps"]} steps of {recipe["batch"]} pictures x 2 languages x {recipe["captions"]} captions (AdamW, peak
{recipe["lr"]}, cosine). Stage 3, run on the float16 weights of stages 1 and 2: {calibration["steps"]} steps of
calibration (AdamW, peak {calibration["lr"]}, linear to 0) on one ambiguous and one visible picture of every
occupation x 2 languages x {calibration["templates"]} templates; on ambiguous pictures the captions of both genders
are weighted by the planted p and 1 - p, and the cross-entropy of p against the model's P(woman) of that pair is
added, so that no sampled gender is left in the loss; vision tower and projector are frozen. In all
{training["training_seconds"]:.0f} s of wall clock on {recipe["threads"]} CPU threads ({env["machine"]},
{env["cpu_capability"]}); torch {env["torch"]}, transformers {env["transformers"]}, tokenizers
{env["tokenizers"]}, {env["attention"]} attention, deterministic algorithms. Stored in {weights["storage"]}
({weights["bytes"]:,} bytes), to be computed in {weights["compute"]}:
`AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)`. Vocabulary {card["vocabulary"]}."""


def _table(header: list[str], rows: list[list[Any]]) -> str:
    def line(cells: list[Any]) -> str:
        return "| " + " | ".join(f"{c:.3f}" if isinstance(c, float) else str(c) for c in cells) + " |"

    return "\n".join([line(header), "|" + "---|" * len(header), *map(line, rows)])


def _bias_section(card: dict[str, Any]) -> str:
    bias = card["figures"]["bias"]
    header = ["occupation"] + [
        f"{language} {kind}" for language in LANGUAGES for kind in ("planted", "exact", "sampled")
    ]
    rows: list[list[Any]] = [
        [occupation]
        + [
            bias[language]["occupations"][occupation][kind]
            for language in LANGUAGES
            for kind in ("planted", "exact", "sampled")
        ]
        for occupation in OCCUPATIONS
    ]
    words = []
    for language in LANGUAGES:
        figures = bias[language]
        r = "r not applicable" if card["control"] else f"r {figures['r_exact']} / {figures['r_sampled']}"
        worst = max(abs(row["exact"] - row["planted"]) for row in figures["occupations"].values())
        words.append(
            f"{LANGUAGE_NAMES[language]}: {r}, MAE {figures['mae_exact']} / {figures['mae_sampled']}, "
            f"largest exact error {worst:.3f}."
        )
    return (
        "### Bias on ambiguous pictures\n\nP(woman): planted; exact, from the probabilities of all captions of "
        "the grammar (teacher forced); and counted in captions sampled at temperature 1. Pearson r and mean "
        f"absolute error against the planted values, exact / sampled. {' '.join(words)}\n\n{_table(header, rows)}"
    )


def _nll_section(card: dict[str, Any]) -> str:
    rows = [
        [LANGUAGE_NAMES[language], part, f["nll"], f["floor"], f["floor_picture"], f["grammar_mass"]]
        for language in LANGUAGES
        for part, f in card["figures"]["nll"][language].items()
    ]
    return (
        "### Negative log-likelihood, nats per token\n\n`floor` is the exact entropy of the caption grammar given "
        "the scene, `picture floor` the same given only what the gender cues tell; `grammar mass` the probability "
        "of captions that are right about all but, maybe, the gender.\n\n"
        + _table(["language", "pictures", "NLL", "floor", "picture floor", "grammar mass"], rows)
    )


def _slot_section(card: dict[str, Any]) -> str:
    slots = card["figures"]["slots"]
    names = list(slots["ar"]["seen"])
    rows = [
        [
            LANGUAGE_NAMES[language],
            "seen" if split == "seen" else "held out",
            *(slots[language][split].get(name, {}).get("accuracy", "–") for name in names),
        ]
        for language in LANGUAGES
        for split in ("seen", "held_out")
    ]
    return (
        "### Slots of sampled captions, visible pictures\n\nAccuracy among captions that fill the slot, on "
        "occupation x object x place combinations seen in training and held out of it.\n\n"
        + _table(["language", "combinations", *(name.replace("_", " ") for name in names)], rows)
    )


def _gender_section(card: dict[str, Any]) -> str:
    figures = card["figures"]
    rows = [
        [
            LANGUAGE_NAMES[language],
            split.replace("_", " "),
            *(
                figures["visible_gender"][language][split + suffix]
                for suffix in ("", "_ceiling", "_auroc", "_ceiling_auroc")
            ),
        ]
        for language in LANGUAGES
        for split in ("seen", "held_out")
    ]
    probe_rows = [
        [LANGUAGE_NAMES[language], read_out.replace("_", " "), *values]
        for language in LANGUAGES
        for read_out, values in figures["probe"][language].items()
    ]
    blocks = [f"block {index}" for index in range(len(probe_rows[0]) - 2)]
    return (
        "### Gender of visible pictures\n\n"
        + _table(["language", "combinations", "accuracy", "ceiling", "AUROC", "ceiling AUROC"], rows)
        + "\n\nTest AUROC of a linear gender probe on prompt positions (block outputs):\n\n"
        + _table(["language", "read-out", *blocks], probe_rows)
    )


def _targets(card: dict[str, Any]) -> str:
    missed = card["targets_missed"]
    return "Targets missed: " + ("none." if not missed else "; ".join(missed) + ".")
