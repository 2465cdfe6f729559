"""A real run's own warm process: its jobs make what jobs of the tests' make, say what they say, and it ends with them."""

import contextlib
import re
import sys
from pathlib import Path

import pytest
from checkouts import Checkout

# Of four jobs that load what analyses do, and one with PyTorch.
KINDS = ("stereotype", "probe_codes", "probe_activations", "layer_figures", "spliced")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every job has a process of its own")
@pytest.mark.long
def test_a_run_warms_a_process_whose_jobs_make_the_same_bytes_and_which_ends(built, monkeypatch):
    monkeypatch.setattr(Checkout, "python", sys.executable)
    built.environment.pop("CROSSLENS_WARM")
    before = built.digests()
    built.drop("toy", *KINDS)
    module = "src/crosslens/summary/study.py"
    built.append(module, "\nraise RuntimeError('poisoned')\n")
    lost = before.keys() - built.digests().keys()
    assert len(lost) >= len(KINDS)
    said = built.snakemake("all", *lost, fails=True)
    folder = re.search(r"(/\S*/crosslens-\w+)/python \S+study_summary.py", said)[1]
    assert "poisoned" in said
    assert not Path(folder).exists()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended since
            assert folder.encode() not in file.read_bytes()

    # what it made stands; the rest may be made by the tests' own
    monkeypatch.undo()
    built.environment["CROSSLENS_WARM"] = "0"
    built.edit(module, "\nraise RuntimeError('poisoned')\n", "")
    built.snakemake()
    assert built.digests() == before
