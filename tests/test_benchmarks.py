"""The benchmarks run, on next to nothing, without what they compare with."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parent / "benchmarks"


def test_sae_training_without_peers():
    options = "--quick --json --skip-peers --threads 1".split()
    command = [sys.executable, BENCHMARKS / "sae_training.py", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (speeds,) = json.loads(done.stdout.splitlines()[-1]).values()
    absent = ("sparsify", "dictionary_learning", "saelens")
    assert [speeds.pop(name) for name in absent] == [None] * 3
    assert set(speeds) == {"ours", "ours_no_dead", "limit"}
    assert all(speed > 0 for speed in speeds.values())
