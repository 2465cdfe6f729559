"""One feature held at a constant while the model writes: what it writes then, and what changes at the site (methods 9)."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crosslens.alignment.dictionaries import check_digest
from crosslens.errors import InputError
from crosslens.generation.continuation import continuation_roles
from crosslens.interventions.arms import levels_on_select
from crosslens.interventions.captioned import Writer
from crosslens.interventions.edits import Change, Edit, of_features
from crosslens.interventions.reading import Damage, Passage, Reading, check_identity
from crosslens.interventions.subject import model_and_sae
from crosslens.models.hooks import capture
from crosslens.models.inputs import Encoded, Sample, encode
from crosslens.models.load import LoadedModel
from crosslens.sae.model import SAE
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_table, write_json
from crosslens.tables.tokens import read_tokens

log = logging.getLogger(__name__)

CHANNELS = 5
FIRES = 0.01
"""Share of tokens of select on which a feature must fire to be taken by itself."""
UNRELATED = (
    "Name three colours.",
    "How many days are there in a week?",
    "Write one sentence about the sea.",
    "What do bees make?",
    "List the first five prime numbers.",
)


def clamp_features(
    *,
    model: dict[str, Any],
    dataset: Path,
    tokens: list[Path],
    codes: Path,
    sae: Path,
    site: str,
    roles: Sequence[str],
    features: Sequence[int],
    value: float,
    max_new_tokens: int,
    unrelated: Sequence[str],
    batch: int,
    out: Path,
) -> None:
    """Write JSON of kind clamp: greedy answers to the study's prompts without and with each feature clamped.

    A clamped feature is `value` times the 99th percentile of its positive activations on select, at every position of `roles`
    that is no sink and at every token that is written. features: ids of this SAE; none: that which writes most (percentile × norm
    of its decoder row) of those that fire on FIRES of the tokens of select. The change at the site is decode(z′) − decode(z),
    never the difference from the input. unrelated: prompts that have nothing to do with the feature; none: UNRELATED. Raises
    InputError where SAE, codes, site or model do not belong together, and RuntimeError where an edit of nothing changes anything.
    """
    stored = Codes(codes)
    digest = check_digest(sae, stored.attributes["sae"])
    loaded, autoencoder = model_and_sae(model, sae, site)
    autoencoder = autoencoder.to(loaded.device)
    frame = read_table(dataset, "dataset")
    level = levels_on_select(stored, read_tokens(tokens), frame)
    chosen_by = "given" if len(features) else "strongest"
    features = list(features) or strongest(level.frequency, level.high, autoencoder)
    prompts = {
        "study": list(dict.fromkeys(frame["prompt"])),
        "unrelated": list(unrelated or UNRELATED),
    }
    answers = {
        name: Answers(loaded, site, own, roles=roles, max_new_tokens=max_new_tokens, batch=batch)
        for name, own in prompts.items()
    }
    write_json(
        out,
        "clamp",
        {
            "site": site,
            "sae": digest,
            "language": stored.attributes["language"],
            "roles_edited": list(dict.fromkeys([*roles, "generated"])),
            "value": float(value),
            "max_new_tokens": max_new_tokens,
            "chosen": chosen_by,
            "features": [
                {"feature": feature, "frequency": float(level.frequency[feature]), "level": value * high}
                | {name: of.told(autoencoder, feature, value * high) for name, of in answers.items()}
                for feature in features
                for high in [_level(level.high, feature, autoencoder)]
            ],
        },
    )


def strongest(frequency: np.ndarray, high: np.ndarray, sae: SAE) -> list[int]:
    """The feature of largest 99th percentile × ‖W_dec row‖ among those that fire often enough."""
    writes = high * sae.W_dec.double().norm(dim=1).cpu().numpy() * (frequency >= FIRES)
    if not writes.any():
        raise InputError(
            "a feature to clamp",
            found=f"none that fires on {FIRES:.0%} of the tokens of select",
            expected="one",
            mend="name features in clamp.features, or train the SAE on more texts",
        )
    return [int(np.argmax(writes))]


def _level(high: np.ndarray, feature: int, sae: SAE) -> float:
    if not 0 <= feature < sae.d_sae or not high[feature]:
        raise InputError(
            "clamp.features",
            found=f"feature {feature}",
            expected=f"features of 0 to {sae.d_sae - 1} that fire on split select",
            mend="take ids from the rankings of this very SAE",
        )
    return float(high[feature])


class Answers:
    """Greedy answers to prompts, and what a clamped feature makes of them."""

    def __init__(
        self,
        loaded: LoadedModel,
        site: str,
        prompts: Sequence[str],
        *,
        roles: Sequence[str],
        max_new_tokens: int,
        batch: int,
    ):
        self.loaded, self.site, self.prompts = loaded, site, prompts
        self.samples = [Sample(prompt, "", prompt) for prompt in prompts]
        self.options = {"images": None, "max_new_tokens": max_new_tokens, "batch": batch}
        self.roles = [role for role in roles if role != "generated"]
        plain = Writer(loaded, roles=self.roles, limit=np.inf, **self.options)
        self.ids = plain.write(self.samples)
        self.text = plain.text
        encoded = encode(loaded, self.samples, with_caption=False)
        passages = [
            self._passage(*each) for each in zip(self.samples, encoded, self.ids, strict=True) if each[2]
        ]
        self.reading = Reading(
            loaded, site, passages, roles=[*self.roles, "generated"], images=None, batch=batch
        )
        self.damage = Damage(self.reading)

    def _passage(self, sample: Sample, prompt: Encoded, ids: list[int]) -> Passage:
        none = np.full(len(ids), -1, dtype=np.int32)
        own = Encoded(np.array(ids, dtype=np.int32), continuation_roles(self.loaded, ids), none, none.copy())
        tokens = Encoded(*map(np.concatenate, zip(prompt, own, strict=True)))
        return Passage(sample, tokens, np.arange(len(prompt) - 1, len(tokens) - 1))

    def told(self, sae: SAE, feature: int, level: float) -> dict[str, Any]:
        """Texts before and after, the change at the site while the text before is read, and what that does to the next token."""
        change = of_features(sae, [feature], "clamp", levels=[level])
        same = of_features(sae, [feature], "amplify")
        check_identity(self.reading, [Edit(self.site, lambda x, s: same(x, s + 1))])
        writer = Writer(self.loaded, roles=self.roles, limit=self.reading.limit, **self.options)
        after = writer.write(self.samples, [Edit(self.site, change)], 1.0)
        return {
            "texts": [
                {"prompt": prompt, "before": self.text(one), "after": self.text(other), "same": one == other}
                for prompt, one, other in zip(self.prompts, self.ids, after, strict=True)
            ],
            "changed": float(np.mean([one != other for one, other in zip(self.ids, after, strict=True)])),
            "kl": self.damage.kl([Edit(self.site, change)], 1.0),
        } | self._difference(sae, change)

    @torch.no_grad()
    def _difference(self, sae: SAE, change: Change) -> dict[str, Any]:
        """Of decode(z′) − decode(z), and of decode(z) − x, which is not the feature's doing."""
        added, missed = [], []
        for part in self.reading.parts:
            with capture(self.loaded, [self.site], stop=True) as captured:
                self.loaded.model(**part.batch.inputs, use_cache=False)
            x = captured[self.site][part.mask.to(captured[self.site].device)].float()
            x = x[x.norm(dim=1) <= self.reading.limit].to(sae.W_dec.device)
            added.append(change(x, torch.ones(len(x), 1, device=x.device)).double().cpu())
            missed.append((sae(x) - x).double().cpu())
        delta = torch.cat(added).abs()
        by_channel = delta.mean(dim=0)
        top = by_channel.topk(min(CHANNELS, len(by_channel)))
        return {
            "positions": len(delta),
            "mean_abs": float(delta.mean()),
            "max_abs": float(delta.max()),
            "channels": [
                {"channel": channel, "mean_abs": mean}
                for channel, mean in zip(top.indices.tolist(), top.values.tolist(), strict=True)
            ],
            "mean_abs_error": float(torch.cat(missed).abs().mean()),
        }
