"""A SLURM cluster of one machine: its own controller, and two nodes, `c1` with processors and `g1` with GPUs that are none.

All of it is in one folder and listens on 127.0.0.1 alone. Written for SLURM 22.05 of Debian 12; no accounting database, no
cgroups: memory is watched by samples.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = {"munged": "munge", "slurmctld": "slurmctld", "slurmd": "slurmd", "sbatch": "slurm-client"}
"""What is started, and the Debian package that has it."""
FASTPOLL = Path(__file__).with_name("fastpoll")

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
KillWait=3
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=50000,sched_interval=5,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
GresTypes=gpu
SlurmdParameters=config_overrides
MinJobAge=36000
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
JobCompType=jobcomp/none
AccountingStorageType=accounting_storage/none
NodeName=c1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=16 Boards=1 SocketsPerBoard=1 CoresPerSocket=16 \
ThreadsPerCore=1 RealMemory={memory} State=UNKNOWN
NodeName=g1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=8 Boards=1 SocketsPerBoard=1 CoresPerSocket=8 \
ThreadsPerCore=1 RealMemory={memory} Gres=gpu:2 State=UNKNOWN
PartitionName=cpu Nodes=c1 Default=YES DefaultTime=60 MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=g1 DefaultTime=60 MaxTime=INFINITE State=UP
"""
# Of a GPU SLURM wants a device: any will do.
GPUS = "NodeName=g1 Name=gpu File=/dev/null,/dev/zero\n"


def lacking() -> str:
    """Why no cluster can be had here, with what mends it; empty where one can."""
    if missing := sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)}):
        return f"no SLURM: apt-get install --no-install-recommends {' '.join(missing)}"
    host = socket.gethostname()
    try:
        address = socket.gethostbyname(host)
    except OSError:
        address = "nothing"
    if not address.startswith("127."):
        return f"SLURM would listen on {address}: put '127.0.0.1 {host}' into /etc/hosts"
    return ""


class Cluster:
    """`with Cluster() as cluster`: up inside, gone behind."""

    def __init__(self):
        # Not pytest's folder: the names of sockets are short.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.daemons: dict[str, subprocess.Popen] = {}
        for name in ("bin", "log", "munge", "run", "spool/c1", "spool/g1", "state"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)  # munged wants to see that nobody else may change the way to its socket
        self._configure()

    def _configure(self) -> None:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 - 1024
        sockets = [socket.socket() for _ in range(3)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in sockets]
        for one in sockets:
            one.close()
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=socket.gethostname().split(".")[0],
                user=subprocess.check_output(["id", "-un"], text=True).strip(),
                folder=self.folder,
                ports=ports,
                memory=memory,
            )
        )
        (self.folder / "gres.conf").write_text(GPUS)
        key = self.folder / "munge/key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        # The plugin's inner `srun` is not told where the configuration is.
        wrapper = self.folder / "bin/srun"
        wrapper.write_text(
            f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {shutil.which("srun")} "$@"\n'
        )
        wrapper.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that uses it; Snakemake among them asks for news every two seconds."""
        return {
            "SLURM_CONF": f"{self.folder}/slurm.conf",
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(FASTPOLL),
            "SLURM_POLL": "2",
        }

    def __enter__(self) -> "Cluster":
        munge = self.folder / "munge"
        files = [
            f"--{name.replace('_', '-')}={munge / name}"
            for name in ("socket", "pid_file", "log_file", "seed_file")
        ]
        try:
            self._start("munged", "--foreground", f"--key-file={munge / 'key'}", *files)
            self._await((munge / "socket").exists)
            self.start_controller()
            for node in ("c1", "g1"):
                self._start("slurmd", "-D", "-f", f"{self.folder}/slurm.conf", "-N", node, called=node)
            self._await(lambda: self._states() == {"idle"})
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *failure) -> None:
        """Its jobs end first: their processes outlive the daemons."""
        with contextlib.suppress(subprocess.SubprocessError):
            self.command("scancel", "--user", subprocess.check_output(["id", "-un"], text=True).strip())
            self._await(lambda: not self.command("squeue", "-h", "-t", "R,CG"), seconds=20)
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
        for daemon in self.daemons.values():
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, program: str, *args: str, called: str = "") -> None:
        with (self.folder / "log" / f"{called or program}.out").open("a") as out:
            self.daemons[called or program] = subprocess.Popen(
                [shutil.which(program), *args],
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def start_controller(self) -> None:
        """Anew, with what it remembers."""
        self._start("slurmctld", "-D", "-f", f"{self.folder}/slurm.conf")

    def stop_controller(self) -> None:
        """As an administrator does. (One that is killed forgets what was submitted in its last five seconds.)"""
        self.daemons["slurmctld"].terminate()
        self.daemons["slurmctld"].wait(30)

    def _states(self) -> set[str]:
        try:
            return set(self.command("sinfo", "-h", "-N", "-o", "%T").split())
        except subprocess.SubprocessError:
            return set()

    def _await(self, condition, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                logs = [
                    file.read_text(errors="replace")[-2000:]
                    for file in sorted((self.folder / "log").iterdir())
                ]
                raise RuntimeError("SLURM did not come up\n" + "\n".join(logs))
            time.sleep(0.2)

    def command(self, *words: str) -> str:
        """What one of SLURM's commands says; CalledProcessError where it fails."""
        return subprocess.run(
            words,
            env=os.environ | {"SLURM_CONF": f"{self.folder}/slurm.conf"},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout

    def jobs(self) -> list[dict[str, str]]:
        """SLURM's own record of every job, oldest first, with the rule and the wildcards that the plugin wrote beside it."""
        said = self.command("scontrol", "show", "job", "-o")
        found = []
        for line in filter(None, said.splitlines()):
            job = dict(re.findall(r"(\w+(?:/\w+)?)=(.*?) *(?= \w+(?:[:/]\w+)*=|$)", line))
            if "Comment" in job:
                rule, _, wildcards = job["Comment"].partition("_wildcards_")
                job |= {"rule": rule.removeprefix("rule_"), "wildcards": wildcards}
                found.append(job)
        return sorted(found, key=lambda job: int(job["JobId"]))
