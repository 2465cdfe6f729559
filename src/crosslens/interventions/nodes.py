"""Places inside a forward pass whose values can be read and replaced: sites, and the queries, keys and outputs of heads."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from torch import Tensor

from crosslens.models.hooks import edit, on_output
from crosslens.models.load import LoadedModel
from crosslens.models.sites import Site

SITES = ("resid_post", "attn_out", "mlp_out")
OF_HEADS = {"head": "o", "query": "q", "key": "k"}
"""What a head gives to the output projection, and its query and key, with the projection that has it."""
KINDS = (*SITES, *OF_HEADS)
OF_TOWER = ("tower_attn", "tower_mlp")
"""What attention and MLP add in a block of the image encoder, whose layers are counted by themselves."""


class Place(NamedTuple):
    """A tensor of a forward pass, (B, T, width)."""

    kind: str
    """One of KINDS or OF_TOWER, or resid_pre."""
    layer: int


def places_of(loaded: LoadedModel, kinds: Sequence[str], layers: Sequence[int]) -> list[Place]:
    """Those of the kinds that the model's family has at the blocks, block by block."""
    blocks = loaded.adapter.blocks
    return [
        Place(kind, layer)
        for layer in layers
        for kind in kinds
        if kind not in OF_HEADS or OF_HEADS[kind] in loaded.adapter.projections(blocks[layer])
    ]


def slots(loaded: LoadedModel, place: Place, width: int) -> list[slice]:
    """The channels of each node of a place: all of a site, and of the others those of each head (keys: key-value head)."""
    if place.kind not in OF_HEADS:
        return [slice(0, width)]
    config = loaded.adapter.text_config
    heads = config.num_attention_heads
    if place.kind == "key":
        heads = getattr(config, "num_key_value_heads", None) or heads
    each = width // heads
    return [slice(head * each, (head + 1) * each) for head in range(heads)]


@contextmanager
def at(loaded: LoadedModel, place: Place, fn: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Replace the value of a place by `fn(value)` inside the block; a `fn` that returns what it is given reads alone."""
    if place.kind not in (*OF_HEADS, *OF_TOWER):
        with edit(loaded, Site(place.layer, place.kind), fn):
            yield
        return
    if place.kind in OF_TOWER:
        module = loaded.adapter.tower_halves[place.layer][OF_TOWER.index(place.kind)]
    else:
        module = loaded.adapter.projections(loaded.adapter.blocks[place.layer])[OF_HEADS[place.kind]]
    if place.kind == "head":
        handle = module.register_forward_pre_hook(lambda _, args: (fn(args[0]), *args[1:]))
    else:
        handle = module.register_forward_hook(on_output(fn))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def read(loaded: LoadedModel, places: Sequence[Place]) -> Iterator[dict[Place, Tensor]]:
    """The values of the places in the pass inside the block, with their graph where gradients are on."""
    values: dict[Place, Tensor] = {}

    def keep(place: Place) -> Callable[[Tensor], Tensor]:
        def fn(value: Tensor) -> Tensor:
            values[place] = value
            return value

        return fn

    with ExitStack() as stack:
        for place in places:
            stack.enter_context(at(loaded, place, keep(place)))
        yield values


def write(value: Tensor, rows: Tensor, positions: Tensor, channels: slice, new: Tensor) -> Tensor:
    """value (B, T, width) with `new` (n, channels) at the rows (n) and positions (n)."""
    changed = value.clone()
    changed[rows, positions, channels] = new.to(changed)
    return changed


def leaf(value: Tensor) -> Tensor:
    """Where gradients begin: nothing before it is followed."""
    return value.detach().requires_grad_()


def from_embedding(loaded: LoadedModel):
    """Inside the block gradients are followed from what the first block reads."""
    return edit(loaded, "0.resid_pre", leaf)


@contextmanager
def dropped(loaded: LoadedModel, layer: int) -> Iterator[None]:
    """Inside the block no gradient goes through the halves of one block, only past them (GradDrop of AtP*)."""
    with (
        edit(loaded, Site(layer, "attn_out"), Tensor.detach),
        edit(loaded, Site(layer, "mlp_out"), Tensor.detach),
    ):
        yield
