"""What the embedded study costs beside its work: starting processes, importing packages, waiting for one another.

`python tests/benchmarks/overhead.py [--cores 2] [--folder DIR] [--json]`: builds the studies that config/config.yaml
names in a fresh copy of the tracked files, with a store of its own. `wall_s`: seconds from the start of Snakemake to its
end. `work_s`: the seconds that all jobs spend in the functions that make artifacts (`work_seconds` of their records),
the models, data and packages that these load themselves included; the start of Python, what a script imports before it
calls them, digests, links and Snakemake are not in it. Both say little while others use the machine. With `--json` the
last line of stdout is one object. Ends with 1 where a stated limit is missed, unless `--no-check`.
"""

import argparse
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
MAX_WALL_S, MAX_RATIO = 180, 1.35
"""The limits, on two quiet cores: seconds, and processor time that is held over the work done."""
log = logging.getLogger(__name__)


def copy_checkout(folder: Path) -> None:
    """The files that git tracks, as they are now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, target = REPOSITORY / name, folder / name
        if source.exists() or source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)


def build(folder: Path, cores: int) -> float:
    """Seconds that `snakemake` takes there; what it says goes to the file `log`."""
    environment = {
        name: value
        for name, value in os.environ.items()
        # A user's jobs keep the bytecode of what they import.
        if name not in ("CROSSLENS_STORE", "SNAKEMAKE_PROFILE", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    }
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    began = time.monotonic()
    with (folder / "log").open("w") as output:
        subprocess.run(
            ["snakemake", "--cores", str(cores)],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=True,
        )
    return time.monotonic() - began


def work(store: Path) -> Counter[str]:
    """Kind -> seconds of work, from the records of its artifacts."""
    seconds: Counter[str] = Counter()
    for file in store.glob("actions/*/*.json"):
        record = json.loads(file.read_text(encoding="utf-8"))
        # The record stands under the key by content too.
        if file.stem == record["recipe"]["key"]:
            seconds[record["recipe"]["kind"]] += record.get("work_seconds", 0.0)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument(
        "--folder", type=Path, help="an empty folder to build in, which stays; by default a temporary one"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--no-check", action="store_true", help="end with 0 whatever the limits say")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        copy_checkout(folder)
        wall = build(folder, given.cores)
        kinds = work(folder / "results/.store")
    for kind, seconds in kinds.most_common():
        log.info("%s: %.1f s", kind, seconds)
    found = {"wall_s": round(wall, 1), "work_s": round(kinds.total(), 1), "cores": given.cores}
    ratio = wall * given.cores / kinds.total()
    kept = wall <= MAX_WALL_S and ratio <= MAX_RATIO
    log.info(
        "%.0f s on %d cores, %.2f of the work; limits, %d s and %.2f: %s",
        wall,
        given.cores,
        ratio,
        MAX_WALL_S,
        MAX_RATIO,
        "kept" if kept else "MISSED",
    )
    if given.json:
        sys.stdout.write(json.dumps(found) + "\n")
    if not (kept or given.no_check):
        sys.exit(1)


if __name__ == "__main__":
    main()
