# Jobs of this machine are forks of one process that has loaded what they import (crosslens.warm): where there are few,
# loading it costs more than it saves. CROSSLENS_WARM=0 gives every job a process of its own.
import contextlib
from collections import Counter

from crosslens.warm.start import ANALYSIS, TORCH, serving

LEAST_JOBS = 4
# Ends with this process.
warm = contextlib.ExitStack()
atexit.register(warm.close)


def warm_up():
    """From now on scripts run in forks, unless they run elsewhere or in environments of their own."""
    elsewhere = workflow.touch or not workflow.local_exec or workflow.deployment_settings.deployment_method
    if elsewhere or not workflow.is_main_process or os.environ.get("CROSSLENS_WARM") == "0":
        return
    scripts = [job.rule for job in workflow.dag.needrun_jobs() if job.is_script]
    planned = Counter(Path(rule.conda_env).stem for rule in scripts)
    libraries = [
        name
        for environment, names in (("torch", TORCH), ("analysis", ANALYSIS))
        if planned[environment] >= LEAST_JOBS
        for name in names
    ]
    if libraries:
        sys.executable = warm.enter_context(serving(libraries))
