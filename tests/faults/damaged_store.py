"""What must hold of a store whatever was done to its writers."""

from collections.abc import Mapping

from crosslens.store.digests import content_digest
from crosslens.store.maintenance import verify
from crosslens.store.store import Store


def assert_right(store: Store, right: Mapping[str, str]) -> set[str]:
    """No action leads to nothing or to wrong bytes, and none of the keys in `right` to other objects than named there.

    The keys of `right` that the store has; `crosslens store verify` must be content with it, too.
    """
    found = set()
    for action in store.own.glob("actions/*/*"):
        if action.is_symlink():
            target = action.resolve(strict=True)
            assert content_digest(target) == target.name.split(".")[0], f"{action} shows a damaged object"
            assert action.with_suffix(".json").exists(), f"{action} has no record"
            if action.name in right:
                assert target.name == right[action.name], f"{action.name[:12]} is another result"
                found.add(action.name)
    assert not (told := verify(store)), told
    return found
