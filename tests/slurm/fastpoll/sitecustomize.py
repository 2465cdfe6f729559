"""First in PYTHONPATH: Snakemake asks SLURM every SLURM_POLL seconds; its plugin waits ten longer after each look in vain."""

import importlib.abc
import importlib.util
import os
import sys

PLUGIN = "snakemake_executor_plugin_slurm"


class Finder(importlib.abc.MetaPathFinder):
    """Finds the plugin once, and sets its pace as soon as it is loaded."""

    def find_spec(self, name, path, target=None):
        if name != PLUGIN:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            pace = float(os.environ["SLURM_POLL"])
            module.Executor.next_seconds_between_status_checks = property(
                lambda executor: pace, lambda executor, seconds: None
            )

        spec.loader.exec_module = exec_module
        return spec


if "SLURM_POLL" in os.environ:
    sys.meta_path.insert(0, Finder())
