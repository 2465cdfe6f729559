"""Start of the warm process, and the interpreter that leads to it."""

import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from crosslens.warm.client import THREADS

ANALYSIS = (
    "PIL.Image",
    "pandas",
    "pyarrow.parquet",
    "zarr",
    "scipy.stats",
    "sklearn.preprocessing",
    "sklearn.model_selection",
    "matplotlib.figure",
)
"""Libraries that jobs of envs/analysis.yaml load."""
TORCH = (
    "torch",
    "safetensors.torch",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.processing_auto",
    "transformers.models.gemma3.modeling_gemma3",
    "pandas",
    "pyarrow.parquet",
    "zarr",
)
"""Libraries that jobs of envs/torch.yaml load."""
_READ_WHEN_LOADED = {
    # As Snakemake sets for a job of one thread.
    **{f"{name}_NUM_THREADS": THREADS for name in ("OMP", "GOTO", "OPENBLAS", "MKL", "NUMEXPR")},
    # A library that asks whether there are GPUs must not begin to use them.
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
}
MOST_CHARACTERS = 100
"""A socket's path may have a few more."""


@contextlib.contextmanager
def serving(libraries: Iterable[str]) -> Iterator[str]:
    """An interpreter whose scripts run in forks of a process that loads these libraries, while this context lasts.

    It runs them in a process of their own until they are loaded, where a job is to have several threads, and if that
    process is gone. Nobody else can connect to it. Elsewhere than on Linux, where forking is not safe, and where nothing
    in the folder of temporary files may be executed: Python itself.
    """
    with tempfile.TemporaryDirectory(prefix="crosslens-", ignore_cleanup_errors=True) as name:
        folder, python = Path(name), sys.executable
        # Snakemake does not quote the interpreter's path.
        if sys.platform != "linux" or len(name) > MOST_CHARACTERS or shlex.quote(name) != name:
            yield python
            return
        interpreter = folder / "python"
        own = [python, "-IS", f"{Path(__file__).with_name('client.py')}", f"{folder}/socket", python]
        interpreter.write_text(f'#!/bin/sh\nexec {shlex.join(own)} "$@"\n', encoding="utf-8")
        interpreter.chmod(0o700)
        if not runs(interpreter):
            yield python
            return
        server = subprocess.Popen(
            [python, "-P", Path(__file__).with_name("server.py"), folder, *libraries],
            env=os.environ | _READ_WHEN_LOADED,
            stdin=subprocess.PIPE,
            # What a terminal sends goes to the clients, which pass it on.
            start_new_session=True,
        )
        try:
            yield str(interpreter)
        finally:
            server.kill()
            server.wait()


def runs(interpreter: Path) -> bool:
    """Whether it can be executed: not on a file system that is mounted noexec."""
    try:
        return subprocess.run([interpreter, "--version"], capture_output=True).returncode == 0
    except OSError:
        return False
