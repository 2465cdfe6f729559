"""What the model would say if it ended earlier: its lenses, and the gender that they read."""

from typing import Any

from crosslens.artifacts.kinds import Amount, At, Kind, Wildcards, Work
from crosslens.artifacts.needs import (
    each_language,
    longest_of,
    model_files,
    model_mb,
    model_of,
    model_place,
    samples_of,
    source_of,
)

PASSES = 40
"""Whole passes over the samples that are read, about: two words, a backward pass, the causal check."""


def lens_params(at: At, *names: str) -> dict[str, Any]:
    """The model, and what of the settings is read."""
    chosen = at.settings["lenses"]
    return {
        "model": at.study.model.identity,
        **{name: chosen[name] for name in ("samples", "batch", "seed", *names)},
    }


def with_lenses(at: At) -> list[Wildcards]:
    """One of a study that asks for lenses."""
    return [{}] if at.settings["lenses"] else []


def read_in(at: At) -> list[Wildcards]:
    """Every language of such a study."""
    return each_language(at) if at.settings["lenses"] else []


def fitting(at: At, reading: Any) -> Amount:
    """A pass, and the model's head forward and back for every block, token and epoch."""
    chosen, model = at.settings["lenses"], reading.model
    languages = at.study.languages
    samples = min(chosen["samples"], reading.samples * at.study.shares["train"])
    flops = sum(reading.pass_flops(language, samples, model.depth) for language in languages)
    tokens = chosen["tokens"] * len(languages)
    flops += (4 * chosen["epochs"] + 4) * model.depth * model.head_flops(tokens)
    return Amount("forward", flops, len(languages) * samples / chosen["batch"])


def reading_gender(at: At, reading: Any) -> Amount:
    """PASSES over the samples of one language."""
    chosen = at.settings["lenses"]
    samples = min(chosen["samples"], reading.samples * at.study.shares["test"])
    flops = reading.pass_flops(at["language"], samples, reading.model.depth)
    return Amount("forward", PASSES * flops, PASSES * samples / chosen["batch"])


def states(at: At, language: str) -> float:
    """Tokens of the samples of a language that lenses are fitted on, or tried on, at most; infinite where nobody has looked."""
    rows, longest = longest_of(at, language)
    return min(at.settings["lenses"]["samples"], rows) * longest


def lenses_mb(at: At, maps: int, tokens: float) -> int:
    """The model and its logits; of every block so many square maps, and the states of so many tokens, in float32."""
    d, config = at.study.model.d_model, at.study.model.config
    layers = config.get("text_config", config).get("num_hidden_layers", 32)
    return model_mb(at) + 3500 + round(layers * (maps * d * d + tokens * d) * 4 / 2**20)


def fitting_mb(at: At, threads: int) -> int:
    """Maps where they start, their gradients, Adam's state, the best so far and those that are saved; all states twice."""
    most = at.settings["lenses"]["tokens"]
    return lenses_mb(at, 7, 2 * sum(min(most, states(at, language)) for language in at.study.languages))


def reading_mb(at: At, threads: int) -> int:
    """Maps as read and on the model's device; the states of a language, of as many samples, which are seldom so long."""
    return lenses_mb(at, 2, min(4 * at.settings["lenses"]["tokens"], states(at, at["language"])))


KINDS = [
    Kind(
        "lenses",
        "results/{study}/lens/tuned",
        by="fit_lenses",
        module="crosslens.lens.tuned",
        params=lambda at: lens_params(at, "tokens", "epochs") | {"languages": at.study.languages},
        needs=lambda at: [*(samples_of(at, language) for language in at.study.languages), *model_of(at)],
        files_read=model_files,
        reads=source_of,
        every=with_lenses,
        files={"tuned.safetensors": "", "lenses.json": ""},
        amount=fitting,
    ),
    Kind(
        "lens_reading",
        "results/{study}/lens/{language}",
        by="read_lenses",
        module="crosslens.lens.reading",
        params=lambda at: lens_params(at, "bootstraps", "permutations") | {"language": at["language"]},
        needs=lambda at: [at.need("lenses"), samples_of(at), *model_of(at)],
        files_read=model_files,
        reads=source_of,
        every=read_in,
        into=("page",),
        files={"lens.json": "", "readings.parquet": "", "jacobian.safetensors": ""},
        amount=reading_gender,
    ),
    Kind(
        "lens_figure",
        "results/{study}/figures",
        by="draw_lens_figure",
        module="crosslens.figures.lens",
        needs=lambda at: at.every("lens_reading"),
        every=with_lenses,
        into=("page",),
        files={
            "lens.png": "What the model would say if it ended earlier: bits from its last answer, and the gender that lenses "
            "read, by block."
        },
    ),
]
WORK = [
    Work("fit_lenses", memory=fitting_mb, gpu=True, local=model_place),
    Work("read_lenses", memory=reading_mb, gpu=True, local=model_place),
    Work("draw_lens_figure", minutes=10, memory=1000),
]
