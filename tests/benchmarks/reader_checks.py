"""What it costs that jobs check the objects that they read, beside their work.

`python tests/benchmarks/reader_checks.py [--store DIR] [--json]`: of every record in the store of a study that was built, here or
in --store, the processor time in which its inputs are found right, as if it were the first to use each: `looks_s` by their
seals, `bytes_s` where there are none and all bytes are read (a copied store). `work_s`: the seconds that making it took.
Artifacts of one job share inputs, which the job checks once, so both are bounds from above. With `--json` the last line of stdout
is one object. Ends with 1 where looks, or bytes, are above the stated share of all work, unless `--no-check`.
"""

import argparse
import json
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path

from crosslens.store.digests import content_digest
from crosslens.store.seals import is_sealed
from crosslens.store.store import Store

MOST = 0.03
"""Of the work."""
log = logging.getLogger(__name__)


def timed(call: Callable[[], object]) -> float:
    """Seconds of this process."""
    began = time.process_time()
    call()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=Path, default=Path("results/.store"))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--no-check", action="store_true", help="end with 0 whatever the limit says")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    store = Store(str(given.store))

    @cache
    def bytes_of(name: str) -> float:
        return timed(lambda: content_digest(store.own / "objects" / name[:2] / name))

    kinds: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for file in sorted(store.own.glob("actions/*/*.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        if file.stem != record["recipe"]["key"] or "object" not in record:
            continue
        sums = kinds[record["recipe"]["kind"]]
        sums[0] += record["work_seconds"]
        for entry in record["inputs"]:
            target = store.own / "objects" / entry["object"][:2] / entry["object"]
            if target.exists() and is_sealed(
                store, target
            ):  # once before it is timed: a copy has no seal yet
                sums[1] += timed(lambda target=target: is_sealed(store, target))
                sums[2] += bytes_of(entry["object"])
    if not kinds:
        sys.exit(f"no records in {given.store}: build a study first")
    total = [sum(column) for column in zip(*kinds.values(), strict=True)]
    for kind, (work, looks, anew) in sorted(kinds.items(), key=lambda one: -one[1][0]):
        log.info("%s: work %.2f s, looks %.4f s, bytes %.4f s", kind, work, looks, anew)
    shares = {name: sums / total[0] for name, sums in zip(("looks", "bytes"), total[1:], strict=True)}
    kept = max(shares.values()) <= MOST
    log.info(
        "of %.1f s of work looks take %.2f %%, bytes read anew %.2f %%; limit, %g %%: %s",
        total[0],
        100 * shares["looks"],
        100 * shares["bytes"],
        100 * MOST,
        "kept" if kept else "MISSED",
    )
    if given.json:
        found = dict(zip(("work_s", "looks_s", "bytes_s"), total, strict=True))
        sys.stdout.write(json.dumps({name: round(value, 4) for name, value in found.items()}) + "\n")
    if not (kept or given.no_check):
        sys.exit(1)


if __name__ == "__main__":
    main()
