"""Objects of every kind, damaged: `verify` names the artifact, and no job takes the bytes."""

import shutil
from collections import defaultdict
from functools import partial
from pathlib import Path

import pytest
from jobs import Fork, World

from crosslens.store.maintenance import verify
from crosslens.store.store import Store

pytestmark = [pytest.mark.faults, pytest.mark.long]


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def lose(file: Path) -> None:
    file.unlink()


def spoiled(path: Path) -> Path:
    """Of a folder its largest file."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return max(files, key=lambda file: file.stat().st_size)


@pytest.fixture(scope="module")
def built(world):
    """The world with all of its study in the store."""
    for kind, wildcards in world.table.everything("tiny"):
        if not world.store.has(world.table.key(kind, wildcards)):
            rule = world.table.kinds[kind].by
            world.make(rule, {name: wildcards[name] for name in world.table.per(rule)})
    return world


def readers(world: World) -> dict[str, tuple[str, dict[str, str]]]:
    """Of each kind a job that reads an artifact of it, made by another rule."""
    found = {}
    for rule in world.table.works:
        for place in [place for place in world.jobs(rule) if place["study"] == "tiny"][:1]:
            for kind, _ in world.table.needed(rule, place):
                found.setdefault(kind, (rule, place))
    return found


@pytest.mark.parametrize("damage", [flip, halve, lose])
def test_damage_to_an_object_of_any_kind_is_named_and_never_read(built, tmp_path, damage):
    first = {}
    for kind, wildcards in built.table.everything("tiny"):
        first.setdefault(kind, wildcards)
    reading, refused = readers(built), defaultdict(list)
    for kind, wildcards in first.items():
        key = built.table.key(kind, wildcards)
        rule, place = reading.get(kind, (None, None))
        if rule:
            _, wildcards = next(need for need in built.table.needed(rule, place) if need[0] == kind)
            key = built.table.key(kind, wildcards)
        target = built.store.object(key)
        file, whole = spoiled(target), tmp_path / "whole"
        shutil.copy2(file, whole)
        try:
            file.parent.chmod(0o755)
            file.chmod(0o644)
            damage(file)
            path = built.table.kinds[kind].path.format(**wildcards)
            told = verify(built.store)
            assert any(line.startswith(path) for line in told), f"{kind}: {told}"
            if rule:
                made = set(built.keys(rule, place).values())
                kept = built.without(made, f"kept_{damage.__name__}_{kind}")
                own = Store(str(tmp_path / f"own_{kind}"))
                job = Fork(partial(built.run, rule, place, f"{own.own}:{kept}"), tmp_path / "said")
                assert job.wait() == 1, f"{rule} read a damaged {kind}"
                said = (tmp_path / "said").read_text()
                assert "Traceback" not in said and "To mend" in said, said
                assert not any(own.has(key) for key in made)
                refused[rule].append(kind)
        finally:
            shutil.copy2(whole, file)
            file.chmod(0o444)
    assert verify(built.store) == []
    count = sum(map(len, refused.values()))
    print(
        f"{damage.__name__}: {len(first)} kinds, all named by verify; {count} of them are read by jobs, of "
        f"{len(refused)} rules, which all refused them"
    )
    assert count > 25
