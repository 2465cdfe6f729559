"""A job that makes several artifacts makes the same bytes whichever of them the store already holds."""

from itertools import combinations

import pytest
from checkouts import ANSWERS, TOY
from jobs import World, at_root

from crosslens.artifacts.table import STAGES
from crosslens.registry import member, names
from crosslens.store.store import Store

STUDIES = {
    "small": {
        **TOY,
        "source": {"planted": {"images": 30, "seed": 7}},
        "sites": ["1", "2"],
        "sae": {**TOY["sae"], "sites": ["1"], "corpora": ["joint", "en"], "seeds": [0]},
        "sweep": {"k": [4]},
        "gender": {**TOY["gender"], "conditions": ["prompt", "caption", "generated"]},
        "embeddings": {"methods": ["pca"], "permutations": 10},
        "geometry": {"permutations": 19},
        "describe": {"features": 1, "examples": 1},
    },
    "answers": ANSWERS,
}
SLOW = (
    "analyse_activations",
    "analyse_codes",
    "build_report",
    "describe_features",
    "draw_layer_figures",
    "draw_maps",
    "draw_study_figures",
    "measure_geometry",
    "splice_saes",
    "splice_swept_saes",
)
ASKING = "ask_endpoint"
"""Asks a server, which need not say the same twice."""
SEVERAL = [
    work.rule
    for stage in names(STAGES)
    for work in member(STAGES, stage).WORK
    if work.per is not None and work.rule != ASKING
]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with at_root(lambda file: None):
        yield World(tmp_path_factory.mktemp("world"), STUDIES)


def half(outputs: list[str]) -> list[tuple[str, ...]]:
    """Every second."""
    return [tuple(outputs[::2])]


def subsets(outputs: list[str]) -> list[tuple[str, ...]]:
    """All but the whole; of many, each alone and the halves."""
    if len(outputs) < 5:
        return [chosen for size in range(1, len(outputs)) for chosen in combinations(outputs, size)]
    return [*((name,) for name in outputs), tuple(outputs[::2]), tuple(outputs[1::2])]


@pytest.mark.parametrize(
    ("rule", "forgetting"),
    [
        *(pytest.param(rule, half, id=rule) for rule in SEVERAL if rule not in SLOW),
        *(pytest.param(rule, subsets, id=f"{rule}-each", marks=pytest.mark.long) for rule in SEVERAL),
    ],
)
def test_any_of_its_artifacts_forgotten_come_back_with_the_same_bytes(world, rule, forgetting):
    place = world.largest(rule)
    world.make(rule, place)
    keys = world.keys(rule, place)
    assert len(keys) > 1, f"no study here has a job of {rule} that makes several artifacts"
    whole = {name: world.store.object(key).name for name, key in keys.items()}
    for number, forgotten in enumerate(forgetting(sorted(keys))):
        kept = world.without({keys[name] for name in forgotten}, f"{rule}_{forgetting.__name__}_{number}")
        own = Store(f"{kept}_own:{kept}")
        world.run(rule, place, ":".join(str(root) for root in own.roots))
        found = {name: own.object(keys[name]).name for name in forgotten}
        assert found == {name: whole[name] for name in forgotten}, f"without {forgotten}"
        made = {action.name for action in own.own.glob("actions/*/*") if not action.suffix}
        assert not made & {keys[name] for name in keys.keys() - set(forgotten)}
