"""The benchmarks run, on next to nothing, without what they compare with."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"
# Each starts Python and its libraries anew, too.
pytestmark = pytest.mark.workflow


def measured(script: str, *options: str) -> dict:
    """The JSON object that a benchmark prints last."""
    done = subprocess.run([sys.executable, BENCHMARKS / script, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.long
def test_sae_training_without_peers():
    options = "--quick --json --skip-peers --threads 1 --profile"
    (speeds,) = measured("sae_training.py", *options.split()).values()
    profile = speeds.pop("profile")
    # all that a step calls took time, and has a limit
    assert profile["ms"].keys() == profile["least_ms"].keys() > {"product", "decode", "adam", "rest"}
    assert all(least > 0 for least in profile["least_ms"].values()) and profile["bfloat16_gain"] > 0
    assert all(profile["ms"][piece] > 0 for piece in profile["ms"])
    absent = ("sparsify", "dictionary_learning", "saelens")
    assert [speeds.pop(name) for name in absent] == [None] * 3
    assert set(speeds) == {"ours", "ours_no_dead", "limit"}
    assert all(speed > 0 for speed in speeds.values())


def test_the_time_of_a_piece_is_its_own(monkeypatch):
    """Without the pieces that it calls: all of them together are the step."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import step_profile

    class Model:
        def outer(self):
            clock.append(clock[-1] + 1)
            self.inner()
            clock.append(clock[-1] + 3)

        def inner(self):
            clock.append(clock[-1] + 10)

    clock, model = [0.0], Model()
    monkeypatch.setattr(step_profile.time, "perf_counter", lambda: clock[-1])
    monkeypatch.setattr(step_profile, "PIECES", {"outer": (Model, "outer"), "inner": (Model, "inner")})

    def step(x):
        model.inner()
        model.outer()
        clock.append(clock[-1] + 100)

    assert step_profile.Stopwatch().of(step, None) == {"inner": 20, "outer": 4, "rest": 100}
    step(None)  # outside nothing is timed
    assert (
        step_profile.Rates(low=2, single=1, bytes=10).seconds(step_profile.Cost(low=4, single=3, gathered=20))
        == 5
    )


@pytest.mark.long
def test_matching_beyond_the_size_of_a_dense_assignment():
    found = measured("matching.py", *"--d-sae 4200 --d-model 64 --json".split())
    assert found["partners_found"] > 0.99 and found["shared"] > 0.99 and found["seconds"] > 0


@pytest.fixture(scope="module")
def small_model(tmp_path_factory):
    """A tiny model, so that what grows with the number of samples is not hidden behind it."""
    sys.path.append(str(Path(__file__).parent / "models"))
    from tiny import save_tiny_text

    return save_tiny_text(tmp_path_factory.mktemp("small") / "model")


def extraction(model: Path, samples: int) -> dict:
    options = (
        f"--model {model} --samples {samples} --repeats 1 --batch-tokens 1024 --shard-mb 0.25 --threads 1"
    )
    return measured("extraction.py", *options.split(), "--json")


@pytest.fixture(scope="module")
def few(small_model) -> dict:
    return extraction(small_model, 40)


@pytest.mark.long
def test_extraction_beside_the_forward_pass(few):
    assert {"ratio_of_forward", "peak_mb"} <= few.keys() and few["rows"] > 40 * 20
    assert 0 < few["ratio_of_forward"] < 1.5 and 0 < few["stored_bytes_per_value"] < 4


@pytest.mark.long
def test_the_memory_of_extraction_does_not_grow_with_the_samples(small_model, few):
    """Twenty-five times the samples store 21 MB more; what is planned of them is some bytes a token."""
    many = extraction(small_model, 1120)
    more_mb = (many["rows"] - few["rows"]) * 32 * 4 * 2 / 1e6
    assert more_mb > 20
    assert many["peak_mb"] - few["peak_mb"] < more_mb / 2
