"""Starting jobs: as processes of this machine, or at Slurm."""

import ctypes
import math
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import List, Optional

from ..engine.hooks.preemption import EXIT_STATUS as PREEMPTED
from ..errors import ConfigError
from .files import read_json, write_json, write_text
from .job import Job
from .plan import Launcher

WORKER = 'epsanet_mmdet.experiments.worker'
END_NOTICE = 120  # seconds that Slurm gives it to do so


def command(job: Job, launcher: Launcher) -> List[str]:
    """Return the command of a job on this machine."""
    folder = str(job.folder.absolute())
    if launcher.type == 'none':
        return [sys.executable, '-u', '-m', WORKER, folder]
    return [
        *(sys.executable, '-u', '-m', 'torch.distributed.run', '--standalone'),
        *(f'--nproc_per_node={launcher.gpus}', '-m', WORKER, folder, '--launcher', 'pytorch'),
    ]


def start(job: Job, launcher: Launcher, lock: int) -> subprocess.Popen:
    """Start a job, its output going to ``console.log``.

    It is told to end when this process dies, and holds the lock until it has.
    """
    with open(job.folder / 'console.log', 'ab') as log:
        return subprocess.Popen(
            command(job, launcher),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
            preexec_fn=_end_by_parent_alone,
            env={**os.environ, 'PYTHONWARNINGS': os.environ.get('PYTHONWARNINGS', 'ignore')},
        )


def _end_by_parent_alone() -> None:
    """Have Ctrl-C end the job through its parent, and the parent's death end it too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    except (OSError, AttributeError):  # not Linux
        pass


def submit(job: Job, launcher: Launcher) -> str:
    """Submit a job to Slurm, unless it is in its queue.

    Returns:
        Slurm's number of the job.

    Raises:
        ConfigError: If Slurm refuses it; the message is Slurm's.
    """
    number = queued(job)
    if number:
        return number
    write_text(job.folder / 'job.sh', batch_script(job, launcher))
    done = subprocess.run(
        ['sbatch', '--parsable', str(job.folder / 'job.sh')], capture_output=True, text=True
    )
    if done.returncode:
        reason = ' '.join((done.stderr or done.stdout).split()) or f'status {done.returncode}'
        raise ConfigError(f'Slurm refused job {job.name}: {reason}; see launcher in the plan')
    number = done.stdout.strip().split(';')[0]
    write_json(job.folder / 'slurm.json', dict(id=number))
    return number


def queued(job: Job) -> Optional[str]:
    """Return Slurm's number of a job that waits or runs there; None if it does not."""
    number = (read_json(job.folder / 'slurm.json') or {}).get('id')
    if not number:
        return None
    done = subprocess.run(
        ['squeue', '--noheader', '--format=%T', f'--jobs={number}'], capture_output=True, text=True
    )
    if done.returncode:  # a number that Slurm has forgotten, or Slurm does not answer
        return None if 'invalid job id' in done.stderr.lower() else number
    return number if done.stdout.strip() else None


def batch_script(job: Job, launcher: Launcher) -> str:
    """Write the script of a Slurm job.

    When Slurm takes the machine back, the training saves its state and the job is queued again.
    """
    nodes = math.ceil(launcher.gpus / launcher.gpus_per_node)
    per_node = launcher.gpus // nodes
    options = [
        f'--job-name={launcher.job_name}-{job.row.name}-seed{job.seed}',
        f'--nodes={nodes}',
        f'--ntasks-per-node={per_node}',
        *([f'--gres={launcher.gres}:{per_node}'] if launcher.gres else []),
        f'--cpus-per-task={launcher.cpus_per_task}',
        f'--output={job.folder.absolute() / "console.log"}',
        '--open-mode=append',
        '--requeue',
        f'--signal=TERM@{END_NOTICE}',
        f'--chdir={Path.cwd()}',
    ]
    if launcher.partition:
        options.append(f'--partition={launcher.partition}')
    lines = '\n'.join(f'#SBATCH {shlex.quote(o)}' for o in [*options, *launcher.sbatch_args])
    worker = shlex.join([sys.executable, '-u', '-m', WORKER, str(job.folder.absolute())])
    return (
        f'#!/bin/bash\n{lines}\n'
        f'srun --kill-on-bad-exit=1 {worker} --launcher slurm\n'
        'status=$?\n'
        f'if [ $status -eq {PREEMPTED} ]; then scontrol requeue "$SLURM_JOB_ID"; fi\n'
        'exit $status\n'
    )
