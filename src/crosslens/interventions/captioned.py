"""Captions that a model writes under an edit: gendered words, and what else has changed in them."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crosslens.data.labels import find_gendered, majority
from crosslens.data.languages import language_of
from crosslens.data.lexicons import Lexicon, load_lexicon
from crosslens.features.splice import cross_entropy
from crosslens.generation.continuation import continuation_roles
from crosslens.generation.decode import decode
from crosslens.generation.ids import end_tokens, text_of
from crosslens.interventions.edits import Edit, Rows, editing
from crosslens.interventions.reading import Passage, Reading
from crosslens.models.head import Head
from crosslens.models.inputs import Encoded, Sample, build_inputs, encode
from crosslens.models.load import LoadedModel
from crosslens.planted.captions import is_grammatical

Written = list[list[int]]
"""Ids of each text, without the one that ended it."""


class Writer:
    """Greedy texts behind the same prompts, under one edit after the other."""

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        roles: Sequence[str],
        images: Path | None,
        max_new_tokens: int,
        batch: int,
        limit: float,
    ):
        """roles, limit: positions of the prompt that are edited, see `Reading`; every token that is written is, too."""
        self.loaded, self.roles, self.images = loaded, roles, images
        self.max_new_tokens, self.batch, self.limit = max_new_tokens, batch, limit
        self.ends = end_tokens(loaded)

    def write(
        self, samples: Sequence[Sample], edits: Sequence[Edit] = (), strengths: Tensor | float = 0.0
    ) -> Written:
        """strengths: of each sample, or one for all."""
        strengths = torch.as_tensor(strengths, dtype=torch.float32).expand(len(samples))
        texts: Written = []
        for start in range(0, len(samples), self.batch):
            own = samples[start : start + self.batch]
            prompts = build_inputs(
                self.loaded, own, images=self.images, with_caption=False, padding_side="left"
            )
            strength = strengths[start : start + self.batch].to(prompts.role.device)
            rows = Rows(prompts.has_role(self.roles), strength, limit=self.limit)
            uniforms = torch.zeros(len(own), self.max_new_tokens)
            with editing(self.loaded, edits, rows):
                texts += decode(
                    self.loaded, prompts, uniforms, draws=1, temperature=0, ends=self.ends, rows=rows
                )
        return texts

    def ended(self, ids: Sequence[int]) -> bool:
        """Whether a text came to its end by itself."""
        return bool(ids) and ids[-1] in self.ends

    def text(self, ids: Sequence[int]) -> str:
        """Without what stands for no text."""
        return text_of(self.loaded.tokenizer, ids).strip()

    @torch.no_grad()
    def nll(self, samples: Sequence[Sample], texts: Written) -> np.ndarray:
        """(n) nats a token under the clean model, behind the samples' prompts; NaN of a text without tokens."""
        prompts = encode(self.loaded, samples, with_caption=False, images=self.images)
        passages, targets, numbers = [], [], []
        for number, (prompt, sample, ids) in enumerate(zip(prompts, samples, texts, strict=True)):
            if not ids:
                continue
            none = np.full(len(ids), -1, dtype=np.int32)
            own = Encoded(
                np.array(ids, dtype=np.int32), continuation_roles(self.loaded, ids), none, none.copy()
            )
            tokens = Encoded(*map(np.concatenate, zip(prompt, own, strict=True)))
            passages.append(
                Passage(sample, tokens, np.arange(len(prompt) - 1, len(tokens) - 1, dtype=np.int64))
            )
            targets.append(torch.tensor(ids))
            numbers.append(number)
        found = np.full(len(samples), np.nan)
        if not passages:
            return found
        reading = Reading(
            self.loaded,
            str(self.loaded.n_layers - 1),
            passages,
            roles=self.roles,
            images=self.images,
            batch=self.batch,
        )
        head = Head(self.loaded)
        for number, states, target in zip(numbers, reading.states(), targets, strict=True):
            told = head(states).log_softmax(-1)
            found[number] = float(cross_entropy(told, target.to(told.device)).double().mean())
        return found


class Writing:
    """Captions of the same pictures under one edit after the other; clean: those without an edit."""

    def __init__(
        self,
        writer: Writer,
        samples: Sequence[Sample],
        clean: Sequence[str],
        language: str,
        lexicon: Path,
        grammar: bool,
        asked: str | None,
    ):
        self.writer, self.language, self.asked = writer, language, asked
        self.lexicon = load_lexicon(lexicon, language)
        self.samples, self.clean = samples, clean
        self.valid: Callable[[str], bool] | None = (
            (lambda text: is_grammatical(text, language)) if grammar else None
        )

    def told(
        self, wanted: str | None, edits: Sequence[Edit] = (), strength: float = 0.0, prompt: str | None = None
    ) -> dict[str, Any]:
        """See `scores`; `ended` and the perplexity under the clean model beside."""
        shown = [s if prompt is None else s._replace(prompt=prompt) for s in self.samples]
        ids = self.writer.write(shown, edits, strength)
        nll = self.writer.nll(self.samples, ids)
        found = scores(
            [self.writer.text(own) for own in ids],
            self.clean,
            language=self.language,
            lexicon=self.lexicon,
            valid=self.valid,
            wanted=wanted,
        )
        mean = float(np.nanmean(nll)) if np.isfinite(nll).any() else None
        return found | {
            "ended": float(np.mean([self.writer.ended(own) for own in ids])),
            "perplexity": None if mean is None else float(np.exp(mean)),
        }


def scores(
    texts: Sequence[str],
    clean: Sequence[str],
    *,
    language: str,
    lexicon: Lexicon,
    valid: Callable[[str], bool] | None,
    wanted: str | None,
) -> dict[str, Any]:
    """Of edited captions beside those of the same pictures without an edit; None where there is nothing to divide by.

    wanted: the gender that the edit is for; None: none, an edit towards neither. cause: of pictures whose clean caption is not
    of the wanted gender, the share whose edited one is; where neither is wanted, of those whose clean caption is of one, the
    share whose edited one tells none. isolation: share of the clean caption's words, gendered ones left out, that are still
    there, mean over pictures. repetition: share of pairs of neighbouring words that have been before in the caption.
    """
    counts = [find_gendered(text, language, lexicon)[1] for text in texts]
    words = sum(count.words for count in counts)
    before = [majority(*find_gendered(text, language, lexicon)[1][:2]) for text in clean]
    after = [majority(count.female, count.male) for count in counts]
    changed = [
        now == (wanted or "unknown")
        for was, now in zip(before, after, strict=True)
        if was != (wanted or "unknown")
    ]
    kept = [_kept(was, now, language, lexicon) for was, now in zip(clean, texts, strict=True)]
    cause, isolation = _mean(changed), _mean([share for share in kept if share is not None])
    return {
        "captions": len(texts),
        "female_per_100_words": 100 * sum(count.female for count in counts) / words if words else None,
        "male_per_100_words": 100 * sum(count.male for count in counts) / words if words else None,
        "female_share": _mean([now == "female" for now in after]),
        "male_share": _mean([now == "male" for now in after]),
        "words_per_caption": words / len(texts) if texts else None,
        "repetition": _mean([_repetition(text, language) for text in texts]),
        "valid": None if valid is None else _mean([valid(text) for text in texts]),
        "cause": cause,
        "isolation": isolation,
        "disentanglement": None if cause is None or isolation is None else (cause + isolation) / 2,
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _ungendered(text: str, language: str, lexicon: Lexicon) -> Counter:
    spans = find_gendered(text, language, lexicon)[0]
    spoken = language_of(language)
    return Counter(
        spoken.normalise(word.text)
        for word in spoken.words(text)
        if not any(start < word.end and word.start < end for start, end, _ in spans)
    )


def _kept(clean: str, edited: str, language: str, lexicon: Lexicon) -> float | None:
    own, other = (_ungendered(text, language, lexicon) for text in (clean, edited))
    return (own & other).total() / own.total() if own else None


def _repetition(text: str, language: str) -> float:
    words = [word.text for word in language_of(language).words(text)]
    pairs = list(zip(words, words[1:], strict=False))
    return 1 - len({*pairs}) / len(pairs) if pairs else 0.0
