"""Grafts: seeded edits of rank one of the embedded model's weights, of known place, direction, language and effect.

A *neuron* is put beside those of a block's MLP: with n(x) what the block's norm makes of the state, it adds
a(x) = gelu(g·n(x)) (p·n(x)) times a column c to what the MLP gives, in front of the norm behind it (`grafted_mlp`). A *head* gets
rank one onto its queries, keys, values and output: it rests on the word, and writes where the question is.

g: least squares from n(x) to 1 on tokens of the set and -1 on others (ridge), so that a(x) is near 0 on these.
c: the direction that raises the first of the two words that are asked for, of length `size` · mean ‖what the MLP gives‖.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import brentq
from torch import Tensor, nn

from crosslens.certificate.cases import FIRED, NOT, Design
from crosslens.interventions.outcomes import Laid
from crosslens.interventions.runs import Runs
from crosslens.models.hooks import capture
from crosslens.models.load import LoadedModel
from crosslens.planted.scenes import LANGUAGES
from crosslens.stats.resampling import stream

FORMS = {
    "english": "near",
    "arabic": "near",
    "shared": "near",
    "cancelling": "near",
    "attention": "far",
    "decoy": "far",
}
"""Kind of graft -> which texts it is for."""
ALONE = ("english", "arabic", "shared")
"""Kinds that are one neuron, of an effect that nothing takes back."""
LANGUAGES_OF = {"english": ("en",), "arabic": ("ar",)}
"""Those in which it fires; others in both."""
SHARP = 4.0
"""g·n(x) where the detector fires: gelu(-SHARP) is -1e-4."""
RIDGE = 1e-2
"""Of least squares, times the mean variance."""
LONGEST = (12.5, 25.0, 50.0, 100.0, 200.0)
"""Columns of the neuron that cancels another are no longer than the first of these that is more than enough."""
TRIES = 20
"""Of blocks that undo each other."""
LONG = 10.0
"""How much longer than keys are the axis that queries and keys are given, and than its values the value."""
TILT = 0.5
"""How much of a random direction is in the one that is written, as long as what is in it of the words asked for."""


class Neuron(NamedTuple):
    """Of one block's MLP; all (d) float32."""

    layer: int
    gate: Tensor
    up: Tensor
    down: Tensor


class Attending(NamedTuple):
    """Of one block's attention: what is added to its query, key, value and output weights."""

    layer: int
    head: int
    pair: int
    """The key-value head that it reads."""
    updates: dict[str, tuple[Tensor, Tensor]]
    """Projection -> (out), (in): their outer product is added."""


class Graft(NamedTuple):
    """What is put into the model."""

    kind: str
    seed: int
    languages: tuple[str, ...]
    parts: tuple[Neuron | Attending, ...]
    site: tuple[tuple[str, int], ...]
    """Kind and block of the places that write, in the order of the parts."""
    positions: str
    """The class of positions where they write."""
    direction: Tensor
    """(d) unit: what the first part writes into the residual stream."""


@contextmanager
def grafted(loaded: LoadedModel, parts: Sequence[Neuron | Attending]) -> Iterator[None]:
    """Inside the block the model has the parts."""
    kept: list[tuple[nn.Linear, nn.Parameter]] = []

    def put(module: nn.Linear, weight: Tensor) -> None:
        kept.append((module, module.weight))
        module.weight = nn.Parameter(weight, requires_grad=False)

    try:
        for part in parts:
            block = loaded.adapter.blocks[part.layer]
            if isinstance(part, Neuron):
                mlp = block.mlp
                put(mlp.gate_proj, torch.cat([mlp.gate_proj.weight, part.gate[None]]))
                put(mlp.up_proj, torch.cat([mlp.up_proj.weight, part.up[None]]))
                put(mlp.down_proj, torch.cat([mlp.down_proj.weight, part.down[:, None]], 1))
            else:
                for name, (out, into) in part.updates.items():
                    module = getattr(block.self_attn, f"{name}_proj")
                    put(module, module.weight + torch.outer(out, into))
        yield
    finally:
        for module, weight in reversed(kept):
            module.weight = weight


def grafted_mlp(block: nn.Module, neuron: Neuron, normed: Tensor, given: Tensor) -> Tensor:
    """(…, d) what the block's MLP adds with the neuron in it, by its formula: N(given + a c), N the norm behind the MLP.

    normed: (…, d) what the MLP reads; given: (…, d) what it gives without the neuron, in front of the norm.
    """
    fires = nn.functional.gelu(normed @ neuron.gate, approximate="tanh") * (normed @ neuron.up)
    whole = given + fires[..., None] * neuron.down
    norm = block.post_feedforward_layernorm
    return whole * (whole.square().mean(-1, keepdim=True) + norm.eps).rsqrt() * (1 + norm.weight)


def make(loaded: LoadedModel, kind: str, of: Design, plain: Runs, seed: int) -> Graft | None:
    """A graft of a kind, by the seed; plain: runs of `cases` of the design in the model as it is. None where none of TRIES drawn
    neurons is undone by another."""
    rng = stream(seed, "graft", kind)
    layers = loaded.n_layers
    languages = LANGUAGES_OF.get(kind, tuple(of.words))
    written = direction(loaded, of, languages, rng)
    size = float(rng.uniform(1, 2))
    if kind == "attention":
        layer = int(rng.integers(1, 4))
        part = _attending(loaded, layer, plain, written, int(rng.integers(4)), size)
        return Graft(kind, seed, languages, (part,), (("attn_out", layer),), "last", written)
    if kind == "cancelling":
        parts = _undone(loaded, plain, languages, written, size, rng)
        if parts is None:
            return None
    else:
        layer = layers - 1 if kind == "decoy" else int(rng.integers(1, layers - 2))
        parts = (_neuron(loaded, layer, plain, languages, written, size),)
    site = tuple(("mlp_out", one.layer) for one in parts)
    return Graft(kind, seed, languages, parts, site, "word" if kind == "decoy" else "last", written)


def direction(loaded: LoadedModel, of: Design, languages: Sequence[str], rng: np.random.Generator) -> Tensor:
    """(d) unit: the sum over languages of the gradient of the difference of the two words' logits behind the last norm's scale,
    tilted by a random direction."""
    weight, scale = loaded.adapter.unembed.weight, 1 + loaded.adapter.final_norm.weight
    total = torch.zeros(loaded.d_model)
    for language in languages:
        ids = loaded.tokenizer([f" {form}" for form in of.forms[language]], add_special_tokens=False)
        (first,), (second,) = ids["input_ids"]
        total += _unit(scale * (weight[first] - weight[second]))
    random = torch.from_numpy(rng.standard_normal(loaded.d_model)).float()
    return _unit(_unit(total) + TILT * _unit(random))


def _unit(x: Tensor) -> Tensor:
    return x / x.norm()


def _at(
    plain: Runs, value: Tensor, languages: Sequence[str], positions: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (N, width) of all positions up to where is asked, (N) which of them are the set's words in these languages, and
    those rows."""
    laid: Laid = plain.laid
    rows, fires = [], []
    for i, (run, side) in enumerate(zip(laid.runs, laid.sides, strict=True)):
        (text,) = laid.text_of[i]
        triggers = run.at[positions] if side.variant == FIRED and side.language in languages else []
        for p in run.at["all"]:
            rows.append(value[text, laid.padding[text] + p])
            fires.append(p in triggers)
    found = torch.stack(rows)
    return found, torch.tensor(fires), found[torch.tensor(fires)]


def detector(x: Tensor, y: Tensor) -> Tensor:
    """(d): ridge of targets y (N) on rows x (N, d), the classes weighted alike; no intercept."""
    positive = y > 0
    weight = torch.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())
    gram = (x * weight[:, None]).T @ x
    gram += RIDGE * gram.diagonal().mean() * torch.eye(x.shape[1])
    return torch.linalg.solve(gram, (x * weight[:, None]).T @ y)


def _inside(loaded: LoadedModel, layer: int, plain: Runs, parts: Sequence[Neuron] = ()) -> dict[str, Tensor]:
    """(B, T, width) what the attention and the MLP of a block read, and what they give in front of the norms behind them."""
    block, found = loaded.adapter.blocks[layer], {}

    def keep(name: str):
        def hook(module: nn.Module, args: tuple, output: Tensor) -> None:
            found[name] = output

        return hook

    modules = {
        "attention": block.input_layernorm,
        "attended": block.self_attn.o_proj,
        "mlp": block.pre_feedforward_layernorm,
        "given": block.mlp,
    }
    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    try:
        with torch.no_grad(), grafted(loaded, parts), capture(loaded, [str(layer)], stop=True):
            loaded.model(**plain.laid.batch.inputs, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _column(loaded: LoadedModel, layer: int, direction: Tensor) -> Tensor:
    """(d) unit, in front of the norm behind the MLP: what of it becomes the direction."""
    return _unit(direction / (1 + loaded.adapter.blocks[layer].post_feedforward_layernorm.weight))


def _trigger_class(plain: Runs) -> str:
    return "word" if "word" in plain.laid.runs[0].at else "last"


def _neuron(
    loaded: LoadedModel, layer: int, plain: Runs, languages: Sequence[str], direction: Tensor, size: float
) -> Neuron:
    inside = _inside(loaded, layer, plain)
    x, fires, at = _at(plain, inside["mlp"], languages, _trigger_class(plain))
    g = SHARP * detector(x, torch.where(fires, 1.0, -1.0))
    given = _at(plain, inside["given"], languages, _trigger_class(plain))[2].norm(dim=1).mean()
    # a = gelu(SHARP) · 1 on the set
    return Neuron(layer, g, g / SHARP, size / SHARP * given * _column(loaded, layer, direction))


def _undone(
    loaded: LoadedModel,
    plain: Runs,
    languages: Sequence[str],
    direction: Tensor,
    size: float,
    rng: np.random.Generator,
) -> tuple[Neuron, Neuron] | None:
    """A neuron, and a later one that undoes it: not every block can, as what is behind a norm is bounded. None after TRIES."""
    for _ in range(TRIES):
        layer = int(rng.integers(1, loaded.n_layers - 2))
        first = _neuron(loaded, layer, plain, languages, direction, size)
        later = int(rng.integers(layer + 1, loaded.n_layers))
        second = _cancelling(loaded, first, later, plain, languages, direction)
        if second is not None:
            return first, second
    return None


def _cancelling(
    loaded: LoadedModel, first: Neuron, layer: int, plain: Runs, languages: Sequence[str], direction: Tensor
) -> Neuron | None:
    """A neuron that reads what the first one writes, and writes the opposite: as much as leaves the outcome where it was; None
    where no length does."""
    without, read = (_inside(loaded, layer, plain, parts)["mlp"] for parts in ((), (first,)))
    positions = _trigger_class(plain)
    x, fires, _ = _at(plain, read, languages, positions)
    before, _, _ = _at(plain, without, languages, positions)
    # it must not know the word but what was written of it: the same words without the first neuron are no reason to fire
    aims = torch.cat([torch.where(fires, 1.0, -1.0), -torch.ones(int(fires.sum()))])
    g = SHARP * detector(torch.cat([x, before[fires]]), aims)
    column = -_column(loaded, layer, direction)

    def with_length(length: float) -> Neuron:
        return Neuron(layer, g, g / SHARP, length / SHARP * column)

    def left(length: float) -> float:
        return float(lost(loaded, (first, with_length(length)), plain, languages).mean())

    # a long one writes in the run with another word too, so that more is not always more
    enough = next((length for length in LONGEST if left(length) < 0), None)
    if enough is None or left(0.0) <= 0:
        return None
    return with_length(brentq(left, 0.0, enough, xtol=0.1, maxiter=8, disp=False))


def _attending(
    loaded: LoadedModel, layer: int, plain: Runs, written: Tensor, head: int, size: float
) -> Attending:
    """Every query turns to an axis of slow rotation, along which the keys of the set's words point and all others against it; the
    words' value is along the axis that values have least of, which the output writes as the direction."""
    block, config = loaded.adapter.blocks[layer], loaded.adapter.text_config
    width, pairs = config.head_dim, config.num_key_value_heads
    inside = _inside(loaded, layer, plain)
    x, fires, _ = _at(plain, inside["attention"], LANGUAGES, "word")
    own = head // (config.num_attention_heads // pairs)
    keys, values = (
        (x @ getattr(block.self_attn, f"{name}_proj").weight.T).view(len(x), pairs, width)[:, own]
        for name in "kv"
    )
    axis, slow = torch.linalg.eigh(values.T @ values)[1][:, 0], torch.zeros(width)
    slow[width // 2 - 1] = 1
    length, amount = LONG * float(keys.norm(dim=1).mean()), float(values.norm(dim=1).mean()) / LONG
    given = float(_at(plain, inside["attended"], LANGUAGES, "word")[0].norm(dim=1).mean())
    column = _unit(written / (1 + block.post_attention_layernorm.weight))

    def of(number: int, heads: int, one: Tensor) -> Tensor:
        placed = torch.zeros(heads, width)
        placed[number] = one
        return placed.flatten()

    return Attending(
        layer,
        head,
        own,
        {
            "q": (of(head, config.num_attention_heads, length * slow), detector(x, torch.ones(len(x)))),
            "k": (of(own, pairs, length * slow), detector(x, torch.where(fires, 1.0, -1.0))),
            "v": (of(own, pairs, amount * axis), detector(x, fires.float())),
            "o": (size * given / amount * column, of(head, config.num_attention_heads, axis)),
        },
    )


@torch.no_grad()
def lost(
    loaded: LoadedModel,
    parts: Sequence[Neuron | Attending],
    plain: Runs,
    languages: Sequence[str],
    without: Sequence[Neuron | Attending] = (),
) -> Tensor:
    """(couples) float64 nats, of each run with a word of the set in one of the languages: m with `parts` less m with `without`,
    less the same of the run with another word: what the outcome loses where the parts give what they give of that one."""
    with grafted(loaded, parts):
        change = plain.measured()
    with grafted(loaded, without):
        change = change - (plain.measured() if without else plain.outcome)
    of, number = couples(plain, languages), change.tolist()
    return torch.tensor([number[fired] - number[other] for fired, other in of], dtype=torch.float64)


def couples(runs: Runs, languages: Sequence[str]) -> list[tuple[int, int]]:
    """Of each case and language the run with a word of the set, and that with another."""
    keyed = keys_of(runs)
    return [
        (k, keyed[case, language, NOT])
        for (case, language, variant), k in keyed.items()
        if variant == FIRED and language in languages
    ]


def keys_of(runs: Runs) -> dict[tuple[int, str, str], int]:
    """Case, language and variant -> number of the run."""
    return {
        (case, side.language, side.variant): k
        for k, (case, side) in enumerate(zip(runs.laid.case, runs.laid.sides, strict=True))
    }
