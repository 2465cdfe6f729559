"""SIGKILL at random moments of every stage: what is there afterwards is whole, and the next run ends with the same bytes."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from damaged_store import assert_right
from jobs import Fork, World

from crosslens.store.digests import content_digest
from crosslens.store.garbage import collect_garbage, find_garbage
from crosslens.store.store import Store

pytestmark = [pytest.mark.faults, pytest.mark.long]

KILLS = int(os.environ.get("CROSSLENS_KILLS", "25"))
"""Of each stage, but the one that takes minutes."""
STAGES = {
    "build_dataset": KILLS,
    "extract": KILLS,
    "train_saes": KILLS,
    "apply_saes": KILLS,
    "splice_saes": KILLS,
    "analyse_codes": KILLS,
    "generate_captions": KILLS,
    "ablate_features": KILLS,
    "steer_features": KILLS // 5,
}


def job_of(world: World, rule: str, roots: str, said: Path) -> Fork:
    place = world.largest(rule)
    return Fork(lambda: world.run(rule, place, roots), said)


@pytest.mark.parametrize("rule", STAGES)
def test_a_job_killed_at_random_moments_ends_with_the_same_bytes(world, tmp_path, rule):
    world.make(rule, world.largest(rule))
    keys = set(world.keys(rule, world.largest(rule)).values())
    right = {key: world.store.object(key).name for key in keys}
    kept = world.without(keys, f"kept_{rule}")
    chance, said = random.Random(rule), tmp_path / "said"

    began = time.monotonic()
    undisturbed = job_of(world, rule, f"{tmp_path / 'undisturbed'}:{kept}", said)
    assert undisturbed.wait() == 0, said.read_text()
    takes = time.monotonic() - began
    assert assert_right(Store(str(tmp_path / "undisturbed")), right) == keys

    stores, resumed, killed, published = 0, 0, 0, 0
    while killed < STAGES[rule]:
        own = Store(str(tmp_path / f"own_{stores}"))
        left = bool(list(own.own.glob("partial/*/*")))
        job = job_of(world, rule, f"{own.own}:{kept}", said)
        time.sleep(chance.uniform(0, takes))
        job.kill()
        ended = job.wait()
        assert ended in (0, -signal.SIGKILL), said.read_text()
        resumed += left
        if ended == 0:
            assert assert_right(own, right) == keys
            stores += 1
        else:
            killed += 1
            published += bool(assert_right(own, right))
    own = Store(str(tmp_path / f"own_{stores}"))
    last = job_of(world, rule, f"{own.own}:{kept}", said)
    assert last.wait() == 0, said.read_text()
    assert assert_right(own, right) == keys
    collect_garbage(find_garbage(own, grace_seconds=0))
    assert not list(own.own.glob("partial/*/*")), "work that nobody needs is not taken for garbage"
    print(
        f"{rule}: {killed} kills of a job of {takes:.1f} s, {resumed} begun on what a killed one left, "
        f"{published} after it had published something, {stores} done before the kill; 0 wrong results"
    )


def test_publishing_killed_at_random_moments_shows_nothing_half_made(tmp_path):
    """A folder of two files a time, as fast as they can be stored, under key after key."""
    chance, store = random.Random(7), Store(str(tmp_path / "store"))

    def publish() -> None:
        number = 0
        while True:
            made = tmp_path / f"made_{os.getpid()}_{number}.zarr"
            made.mkdir()
            for name in ("values", "index"):
                (made / name).write_bytes(os.urandom(2000))
            key = content_digest(made)
            recipe = {"kind": "toy", "key": key, "own": key, "path": key, "shown": [key]}
            store.publish(key, store.commit(made), {"recipe": recipe})
            number += 1

    kills, seen = 4 * KILLS, set()
    for _ in range(kills):
        job = Fork(publish, tmp_path / "said")
        time.sleep(chance.uniform(0.01, 0.25))
        job.kill()
        assert job.wait() == -signal.SIGKILL, (tmp_path / "said").read_text()
        shown = {action for action in store.own.glob("actions/*/*") if action.is_symlink()}
        for action in shown - seen:
            assert content_digest(action.resolve(strict=True)) == action.name
        seen = shown
    assert_right(store, {})
    print(
        f"publishing: {kills} kills among {len(seen)} published artifacts; 0 that show other bytes, or none"
    )


def test_a_job_killed_before_it_stores_is_no_hindrance_to_the_next(world, tmp_path):
    """Of every rule of a study with all that is asked for, before each of its artifacts: what is finished lies there."""
    study, kills = "wide", 0
    rules = list(dict.fromkeys(world.table.kinds[kind].by for kind, _ in world.table.everything(study)))
    for rule in rules:
        place = next(place for place in world.jobs(rule) if place["study"] == study)
        world.make(rule, place)
        keys = set(world.keys(rule, place).values())
        right = {key: world.store.object(key).name for key in keys}
        kept, own = world.without(keys, f"finished_{rule}"), Store(str(tmp_path / rule))

        def killed_once(rule=rule, place=place, kept=kept, own=own) -> None:
            commit = Store.commit

            def dies(store: Store, path: Path) -> Path:
                # the folder of the key, whichever writer's it is
                mark = tmp_path / f"{rule}_{path.parent.parent.name}"
                if not mark.exists():
                    mark.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                return commit(store, path)

            Store.commit = dies
            world.run(rule, place, f"{own.own}:{kept}")

        for _ in range(len(keys) + 1):
            job = Fork(killed_once, tmp_path / "said")
            if job.wait() == 0:
                break
            assert job.wait() == -signal.SIGKILL, f"{rule}: {job.said.read_text()}"
            kills += 1
        assert assert_right(own, right) == keys, rule
    print(f"{kills} kills before {len(rules)} rules stored what they had made; all resumed to the same bytes")
    assert kills > 60
