"""How long a cluster lets a job run: what the amounts of its artifacts take at the rates of a machine, with room.

Asked when a workflow is planned, where neither torch nor a tokenizer is loaded: sizes come from the model's configuration,
tokens from the bytes of the longest text, both from above.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from crosslens.artifacts.kinds import At, Wildcards
from crosslens.artifacts.needs import longest_of, model_mb
from crosslens.artifacts.stages.activations import GEMMA
from crosslens.artifacts.table import Table
from crosslens.planning.rates import Rates
from crosslens.sae.settings import Settings
from crosslens.study.study import Study

ROOM = 4
"""How much longer than expected: other data, and processors and disks slower than those of the rates."""


class Limits:
    """The minutes that jobs may take, by the sizes of their studies."""

    def __init__(self, table: Table, rates: Rates):
        self.table, self.rates = table, rates
        self._bounds: dict[str, Bounds] = {}

    def minutes(self, rule: str, wildcards: Wildcards) -> int:
        """Of one job: ROOM times what all that it makes takes, and no less than its rule says."""
        work, bounds = self.table.works[rule], self._bounds_of(wildcards["study"])
        made = self.table.makes(rule, wildcards).values()
        amounts = [self.table.kinds[kind].amount(self.table.at(w), bounds) for kind, w in made]
        device = "gpu" if work.gpu else "cpu"
        seconds = sum(self.rates.seconds(amount, device) for amount in amounts if amount is not None)
        return max(work.minutes, math.ceil(ROOM * seconds / 60))

    def _bounds_of(self, study: str) -> "Bounds":
        if study not in self._bounds:
            self._bounds[study] = Bounds(self.table.at({"study": study}), self.rates)
        return self._bounds[study]


class Count(NamedTuple):
    """Pictures, or groups of texts that count as one, of a language: each may show its gender or hide it."""

    images: int
    labelled: int
    hidden: int


@dataclass(frozen=True)
class Sizes:
    """Of a model what amounts ask of planning.outline.Outline."""

    parameters: float
    d_model: int
    depth: int
    vocabulary: int
    vision: dict[str, int]
    """The section `vision_config` of its configuration, empty where there is none."""

    def text_flops(self, tokens: float, blocks: int) -> float:
        """Of a sample through the first blocks, as if all parameters were in blocks."""
        return (2.0 * self.parameters / self.depth + 4.0 * self.d_model * tokens) * tokens * blocks

    def head_flops(self, tokens: float) -> float:
        """Of the logits of so many tokens."""
        return 2.0 * self.d_model * self.vocabulary * tokens

    def image_flops(self) -> float:
        """Of one picture through the vision tower: matrices of attention and MLP, and attention of all its patches."""
        if not self.vision.get("patch_size"):
            return 0.0
        of = {"hidden_size": 1152, "image_size": GEMMA["image_size"], "num_hidden_layers": 27} | self.vision
        patches, width = (of["image_size"] // of["patch_size"]) ** 2, of["hidden_size"]
        weights = 4 * width**2 + 2 * width * of.get("intermediate_size", 4 * width)
        return (2.0 * weights + 4.0 * width * patches) * patches * of["num_hidden_layers"]


class Bounds:
    """Of a study what amounts ask of planning.reading.Reading."""

    def __init__(self, at: At, rates: Rates):
        self._at, self._rates = at, rates
        self.study: Study = at.study

    @cached_property
    def model(self) -> Sizes:
        """By its configuration; where that is not known, of the size that memory is asked for."""
        model, config = self.study.model, self.study.model.config
        vocabulary = config.get("text_config", config).get("vocab_size", 262_144)
        parameters = model_mb(self._at) * 2**20 / 4
        vision = {
            name: size for name, size in (config.get("vision_config") or {}).items() if isinstance(size, int)
        }
        return Sizes(parameters, model.d_model, model.depth or 32, vocabulary, vision)

    @property
    def samples(self) -> int:
        """Of one language."""
        return self.study.source.n_rows

    @property
    def counts(self) -> dict[str, Count]:
        """As if every sample were a picture of its own."""
        return dict.fromkeys(self.study.languages, Count(self.samples, self.samples, self.samples))

    @property
    def blocks(self) -> int:
        """Those up to the deepest site."""
        return 1 + max(int(site.split(".")[0]) for site in self.study.sites)

    @cached_property
    def text_tokens(self) -> dict[str, float]:
        """By language, of a sample with its template: two bytes of the longest text are a token, at most."""
        assumed, template = (
            self._rates.find(name).value for name in ("text_tokens_per_sample", "template_tokens")
        )
        longest = {language: longest_of(self._at, language)[1] for language in self.study.languages}
        return {
            language: template + (assumed if math.isinf(found) else found / 2)
            for language, found in longest.items()
        }

    @property
    def image_tokens(self) -> int:
        """Of a sample."""
        known = self.study.model.config.get("mm_tokens_per_image", GEMMA["mm_tokens_per_image"])
        return known if self.study.source.has_pictures else 0

    def pass_flops(self, language: str, samples: float, blocks: int) -> float:
        """So many samples through the first blocks, with their pictures; behind the last the logits of every token."""
        tokens = self.text_tokens[language] + self.image_tokens
        one = self.model.text_flops(tokens, blocks)
        if self.study.source.has_pictures:
            one += self.model.image_flops()
        return samples * (one + (self.model.head_flops(tokens) if blocks == self.model.depth else 0))

    @property
    def extraction_flops(self) -> dict[str, float]:
        """By language."""
        return {
            language: self.pass_flops(language, self.samples, self.blocks)
            for language in self.study.languages
        }

    @property
    def extraction_batches(self) -> dict[str, int]:
        """By language: forward passes, of half of what a batch may hold, and one more in each part."""
        batch = self.study.settings["activations"]["batch_tokens"]
        return {
            language: math.ceil(2 * self.samples * (tokens + self.image_tokens) / batch)
            + len(self.study.parts)
            for language, tokens in self.text_tokens.items()
        }

    def alone_flops(self, language: str) -> float:
        """All samples of a language without their pictures."""
        return self.samples * self.model.text_flops(self.text_tokens[language], self.blocks)

    def trained_rows(self, language: str) -> float:
        """Tokens that SAEs read."""
        roles = self.study.settings["sae"]["roles"]
        text = self.text_tokens[language] if set(roles) - {"image"} else 0
        return self.samples * (text + (self.image_tokens if "image" in roles else 0))

    def train_rows(self, language: str) -> float:
        """Those of the train split."""
        return self.study.shares["train"] * self.trained_rows(language)

    def sae_settings(self, changed: dict[str, Any]) -> Settings:
        """Of the study's SAEs, with what a variant of its sweep changes."""
        return Settings.from_dict(self.study.training | changed).resolve(d_model=self.model.d_model, tokens=1)
