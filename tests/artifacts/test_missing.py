"""What a plain run shows, and what it leaves alone, when a store has lost some of a study."""

import itertools
import random
from pathlib import Path

import pytest

from crosslens.artifacts.missing import kept_and_lost
from crosslens.artifacts.table import Studies, Table
from crosslens.store.digests import FileDigests
from crosslens.study.study import Study

ROOT = Path(__file__).parents[2]
STUDY = "planted"


@pytest.fixture(scope="module")
def table():
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        digests = FileDigests(Path("/nowhere/files.json"))
        schema = Path("workflow/schemas/study.schema.yaml")
        read = Studies(
            lambda name: Study(name, Path("config/studies"), schema, digests, data_needed=False), {STUDY: 2}
        )
        yield Table(read)


def mark(need):
    return need[0], *sorted(need[1].items())


@pytest.fixture(scope="module")
def whole(table):
    """Every artifact of a plain run where nothing is built: what was shown from the first is shown ever after."""
    kept, lost = kept_and_lost(table, STUDY, lambda key: False)
    assert lost == [] and {mark(need) for need in table.at({"study": STUDY}).into("all")} <= set(
        map(mark, kept)
    )
    return kept


def test_where_all_is_built_all_of_it_is_shown(table, whole):
    kept, lost = kept_and_lost(table, STUDY, lambda key: True)
    assert lost == [] and sorted(map(mark, kept)) == sorted(map(mark, whole))


def test_every_artifact_is_shown_made_or_told(table, whole):
    """Whatever is gone: what the store has is shown; of the rest all that a made one reads is made, and the others are told."""
    chance = random.Random(3)
    for _ in range(20):
        gone = {table.key(*need) for need in chance.sample(whole, chance.choice((1, 3, 30)))}
        kept, lost = kept_and_lost(table, STUDY, lambda key, gone=gone: key not in gone)
        assert sorted(map(mark, itertools.chain(kept, lost))) == sorted(map(mark, whole))
        assert {table.key(*need) for need in lost} <= gone
        made = [need for need in kept if table.key(*need) in gone]
        shown = set(map(mark, kept))
        for kind, wildcards in made:
            assert set(map(mark, table.inputs(table.kinds[kind].by, wildcards))) <= shown


def test_activations_removed_to_save_their_space_are_not_made_again(table, whole):
    gone = {table.key(*need) for need in whole if need[0] == "activations"}
    _, lost = kept_and_lost(table, STUDY, lambda key: key not in gone)
    assert {table.key(*need) for need in lost} == gone
