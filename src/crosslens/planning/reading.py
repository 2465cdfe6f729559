"""What the model of a study reads: samples and tokens of each language, and the operations that takes."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from crosslens.planning.counts import Counts, batches, count_tokens
from crosslens.planning.outline import Outline, outline
from crosslens.planning.rates import Rates
from crosslens.sae.settings import Settings
from crosslens.study.study import Study


@dataclass(frozen=True)
class Reading:
    """A study's model and the counts of its languages."""

    study: Study
    model: Outline
    counts: dict[str, Counts]

    @property
    def samples(self) -> int:
        """Of one language."""
        return len(next(iter(self.counts.values())).all)

    @property
    def part_rows(self) -> int:
        """Samples of a part."""
        return self.study.settings["activations"]["part_rows"]

    @property
    def parts(self) -> int:
        """Of a language."""
        return -(-self.samples // self.part_rows)

    def rows_of_parts(self, language: str) -> list[int]:
        """Stored tokens of each part."""
        stored = self.counts[language].stored
        return [
            int(stored[first : first + self.part_rows].sum())
            for first in range(0, len(stored), self.part_rows)
        ]

    @property
    def blocks(self) -> int:
        """Those up to the deepest site."""
        return 1 + max(int(site.split(".")[0]) for site in self.study.sites)

    def alone_flops(self, language: str) -> float:
        """The stored tokens of all samples of a language without their pictures."""
        return self.samples * self.model.text_flops(float(self.counts[language].stored.mean()), self.blocks)

    @cached_property
    def extraction_flops(self) -> dict[str, float]:
        """By language: the blocks up to the deepest site over all padded tokens, and the vision tower for each picture."""
        batch = self.study.settings["activations"]["batch_tokens"]
        found = {}
        for language, counts in self.counts.items():
            mean = sum(batches(counts, batch, self.part_rows)) / self.samples
            found[language] = self.samples * self.model.text_flops(mean, self.blocks) + self._seen(counts)
        return found

    @property
    def extraction_batches(self) -> dict[str, int]:
        """By language: forward passes."""
        batch = self.study.settings["activations"]["batch_tokens"]
        return {
            language: len(list(batches(counts, batch, self.part_rows)))
            for language, counts in self.counts.items()
        }

    def pass_flops(self, language: str, samples: float, blocks: int) -> float:
        """So many of a language's samples through the first blocks; behind the last the logits of every token."""
        counts = self.counts[language]
        mean = float(np.mean(counts.all))
        one = self.model.text_flops(mean, blocks) + self._seen(counts) / self.samples
        return samples * (one + (self.model.head_flops(mean) if blocks == self.model.depth else 0))

    def trained_rows(self, language: str) -> int:
        """Tokens that SAEs read."""
        return int(self.counts[language].trained.sum())

    def train_rows(self, language: str) -> float:
        """Those of the train split."""
        return self.study.shares["train"] * self.trained_rows(language)

    def sae_settings(self, changed: dict[str, Any]) -> Settings:
        """Of the study's SAEs, with what a variant of its sweep changes."""
        return Settings.from_dict(self.study.training | changed).resolve(d_model=self.model.d_model, tokens=1)

    def _seen(self, counts: Counts) -> float:
        return counts.pictures * self.model.image_flops()


def read_study(
    study: Study, rates: Rates, *, config: Path | None, samples: int | None, tokens: int | None
) -> Reading:
    """The model of `study` by `config` (see outline), and its texts (see count_tokens)."""
    model = outline(study, config)
    counts = {
        language: count_tokens(study, model, rates, language, samples=samples, tokens=tokens)
        for language in study.languages
    }
    return Reading(study, model, counts)
