"""SAEs of every architecture on the tokens behind a graft's block: does one feature know the graft?

Each is trained on the same tokens. Of two halves of the texts one chooses the feature, by the largest |d| between runs with a
word of the set and others, as `gender.effects` has it of the genders; its decoder row is what the SAE says is the direction.
Its size is the difference of the mean codes in the other half, in the units of the residual stream.
"""

from collections.abc import Iterator, Sequence
from itertools import cycle, islice

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from crosslens.certificate.grafts import couples
from crosslens.certificate.methods import STREAM, Pointed, state_of
from crosslens.interventions.nodes import Place
from crosslens.interventions.runs import Runs
from crosslens.sae.model import SAE
from crosslens.sae.settings import ARCHITECTURES, Settings
from crosslens.sae.step import fresh_state, normalisations, train_step
from crosslens.stats.effect_size import effect_sizes

D_SAE, K, BATCH, STEPS = 512, 16, 512, 250
CASES = 24
"""Pictures whose texts' tokens are learned."""
TEXT = ("prompt", "caption")


def of_saes(
    parts: Sequence[Runs], layer: int, positions: str, languages: Sequence[str], seed: int
) -> Iterator[Pointed]:
    """A direction of every architecture, `sae_` and its name; parts: runs of cases, whose states behind the block are kept."""
    tokens = torch.cat([_tokens(runs, layer) for runs in parts])
    order = torch.randperm(len(tokens), generator=torch.Generator().manual_seed(seed))
    half = len(parts) // 2
    chosen, told = (_rows(of, layer, positions, languages) for of in (parts[:half], parts[half:]))
    for architecture in ARCHITECTURES:
        sae = trained(tokens[order], architecture, seed)
        with torch.no_grad():
            d = _effects(sae, *chosen)
            feature = int(np.argmax(np.abs(d)))
            codes = sae.encode_dense(told[0])[:, feature]
            size = codes[told[1]].mean() - codes[~told[1]].mean()
            row = sae.W_dec[feature].double().numpy()
        yield Pointed(f"sae_{architecture}", row, float(abs(size)) * float(np.linalg.norm(row)))


def trained(tokens: Tensor, architecture: str, seed: int) -> SAE:
    """After STEPS steps on the rows (N, d) float32, round and round."""
    config = Settings(architecture=architecture, d_sae=D_SAE, k=K, l1=(2 * K) ** -0.5, batch_tokens=BATCH)
    config = config.resolve(d_model=tokens.shape[1], tokens=BATCH * STEPS)
    state = fresh_state(config, *normalisations(tokens, tokens.shape[1]), seed=seed)
    for x in islice(cycle(tokens.split(BATCH)), STEPS):
        train_step(state, x, steps=STEPS)
    return state.exported()


def _tokens(runs: Runs, layer: int) -> Tensor:
    return runs.states[Place(STREAM, layer)][runs.laid.batch.has_role(TEXT)].float()


def _rows(
    parts: Sequence[Runs], layer: int, positions: str, languages: Sequence[str]
) -> tuple[Tensor, np.ndarray]:
    """States (n, d) of all runs of these languages, and (n) bool whether a word of the set stands in them."""
    x, fired = [], []
    for runs in parts:
        of, states = couples(runs, languages), state_of(runs, layer, positions)
        x += [states[[couple[side] for couple in of]].float() for side in range(2)]
        fired += [True] * len(of) + [False] * len(of)
    return torch.cat(x), np.array(fired)


def _effects(sae: SAE, x: Tensor, fired: np.ndarray) -> np.ndarray:
    """(F) Cohen's d of the codes, 0 where there is none."""
    codes = csr_array(sae.encode_dense(x).numpy())
    d = effect_sizes(codes, fired, np.ones((len(x), 1)))[:, 0]
    # a feature that never varies inside both groups is the surest of all
    return np.nan_to_num(d, nan=0.0, posinf=1e6, neginf=-1e6)
