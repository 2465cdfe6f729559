"""SAEs on the tokens behind a graft's block, and what they say of its direction.

Of every architecture one is trained on the tokens of the captions of both languages: of the features the one whose codes
tell best whether a word of the set is there, by the largest |d|, as `gender.effects` has it of the genders, writes what the
SAE says is the direction; its size is the difference of the mean codes in other texts, in the units of the residual stream.
"""

from collections.abc import Sequence
from itertools import cycle, islice
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from crosslens.certificate.cases import FIRED
from crosslens.certificate.grafts import detector
from crosslens.certificate.methods import STREAM, TEXT, Pointed
from crosslens.interventions.nodes import Place
from crosslens.interventions.runs import Runs
from crosslens.sae.model import SAE, ReLUSAE
from crosslens.sae.settings import Settings
from crosslens.sae.step import fresh_state, normalisations, train_step
from crosslens.stats.effect_size import effect_sizes

D_SAE, K, BATCH, STEPS, RATE = 64, 4, 128, 300, 5e-3


class Texts(NamedTuple):
    """Tokens of prompts and captions behind a block, a row a token."""

    x: Tensor
    """(N, d) float32."""
    case: np.ndarray
    """(N) int64."""
    language: np.ndarray
    """(N) object."""
    fired: np.ndarray
    """(N) bool: of a text in which a word of the set stands."""
    caption: np.ndarray
    """(N) bool: and not of the prompt."""
    here: np.ndarray
    """(N) bool: the position where the graft writes."""

    def rows(self, keep: np.ndarray) -> "Texts":
        """Those that `keep` (N) bool selects."""
        return Texts(self.x[torch.from_numpy(keep)], *(of[keep] for of in self[1:]))

    def where(self, languages: Sequence[str]) -> "Texts":
        """The position where the graft writes, in texts of these languages."""
        return self.rows(self.here & np.isin(self.language, languages))


def texts_of(parts: Sequence[Runs], layer: int, positions: str) -> Texts:
    """Of runs of different cases, whose states behind the block are kept."""
    found, before = [], 0
    for runs in parts:
        laid = runs.laid
        text, column = laid.batch.has_role(TEXT).nonzero(as_tuple=True)
        run = laid.run_of_text[text].numpy()
        at = np.array(
            [laid.padding[laid.text_of[i][0]] + own.at[positions][0] for i, own in enumerate(laid.runs)]
        )
        found.append(
            Texts(
                runs.states[Place(STREAM, layer)][text, column].float(),
                before + np.array(laid.case)[run],
                np.array([side.language for side in laid.sides], dtype=object)[run],
                np.array([side.variant == FIRED for side in laid.sides])[run],
                laid.batch.has_role(("caption",))[text, column].numpy(),
                column.numpy() == at[run],
            )
        )
        before += len(runs.cases)
    x, *others = zip(*found, strict=True)
    return Texts(torch.cat(x), *map(np.concatenate, others))


def trained(texts: Texts, architecture: str, seed: int) -> SAE:
    """After STEPS steps on the tokens of captions in random order, round and round."""
    tokens = texts.x[torch.from_numpy(texts.caption)]
    config = Settings(
        architecture=architecture, d_sae=D_SAE, k=K, l1=(2 * K) ** -0.5, batch_tokens=BATCH, lr=RATE
    )
    config = config.resolve(d_model=tokens.shape[1], tokens=BATCH * STEPS)
    state = fresh_state(config, *normalisations(tokens, tokens.shape[1]), seed=seed)
    order = torch.randperm(len(tokens), generator=torch.Generator().manual_seed(seed))
    for x in islice(cycle(tokens[order].split(BATCH)), STEPS):
        train_step(state, x, steps=STEPS)
    return state.exported()


def known(direction: Tensor, texts: Texts, languages: Sequence[str]) -> SAE:
    """A dictionary of one feature, which fires at the set's words of these languages, as a graft's neuron does, and writes the
    direction (d): what an SAE would be that had found the graft."""
    of = texts.rows(texts.caption)
    fires = torch.from_numpy(of.here & of.fired & np.isin(of.language, languages))
    sae = ReLUSAE(len(direction), 1)
    sae.W_enc.copy_(detector(of.x, torch.where(fires, 1.0, -1.0))[:, None])
    sae.W_dec.copy_(direction[None])
    return sae


@torch.no_grad()
def codes_of(sae: SAE, texts: Texts) -> csr_array:
    """(N, F)."""
    return csr_array(sae.encode_dense(texts.x).numpy())


def of_sae(name: str, sae: SAE, chosen: Texts, told: Texts) -> Pointed:
    """Its direction and size; chosen, told: positions of texts with and without a word of the set, which choose the feature and
    tell its size."""
    d = effects(sae, chosen)
    feature = int(np.argmax(np.abs(d)))
    codes = codes_of(sae, told)[:, [feature]].toarray()[:, 0]
    size = codes[told.fired].mean() - codes[~told.fired].mean()
    row = sae.W_dec[feature].double().numpy()
    return Pointed(f"sae_{name}", row, float(abs(size)) * float(np.linalg.norm(row)))


def effects(sae: SAE, texts: Texts) -> np.ndarray:
    """(F) Cohen's d of the codes, 0 where there is none."""
    d = effect_sizes(codes_of(sae, texts), texts.fired, np.ones((len(texts.x), 1)))[:, 0]
    # a feature that never varies inside both groups is the surest of all
    return np.nan_to_num(d, nan=0.0, posinf=1e6, neginf=-1e6)


def carrier(sae: SAE, texts: Texts, direction: Tensor) -> int:
    """Of the features that fire in these captions the one whose decoder row is most along a direction (d): a graft's."""
    fires = codes_of(sae, texts.rows(texts.caption)).max(axis=0).toarray().ravel() > 0
    cosine = (sae.W_dec @ direction / sae.W_dec.norm(dim=1)).numpy()
    return int(np.argmax(np.where(fires, cosine, -np.inf)))
