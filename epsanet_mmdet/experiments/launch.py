"""Starting jobs as processes on this machine or with Slurm."""

import ctypes
import math
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Optional

from ..engine.hooks.preemption import EXIT_STATUS as PREEMPTED
from ..errors import ConfigError
from ..utils.storage import write_json, write_whole
from .job import Job, read_json
from .plan import Launcher

WORKER = 'epsanet_mmdet.experiments.worker'
END_NOTICE = 120  # seconds between Slurm's signal and the end of a job


def command(job: Job, launcher: Launcher) -> List[str]:
    """Return the command of a job on this machine."""
    folder = str(job.folder.absolute())
    if launcher.type == 'none':
        return [sys.executable, '-u', '-m', WORKER, folder]
    return [
        *(sys.executable, '-u', '-m', 'torch.distributed.run', '--standalone'),
        *(f'--nproc_per_node={launcher.gpus}', '-m', WORKER, folder, '--launcher', 'pytorch'),
    ]


def start(job: Job, launcher: Launcher, lock: int, environment: Dict[str, str]) -> subprocess.Popen:
    """Start a job with its output in ``console.log``.

    The job holds the lock until it ends, and gets SIGTERM when this process dies.
    """
    with open(job.folder / 'console.log', 'ab') as log:
        return subprocess.Popen(
            command(job, launcher),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
            preexec_fn=_end_with_parent,
            env=environment,
        )


def _end_with_parent() -> None:
    """Leave Ctrl-C to the parent, and end when the parent dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    except (OSError, AttributeError):  # not Linux
        pass


def submit(job: Job, launcher: Launcher) -> str:
    """Submit a job to Slurm unless it is already in the queue.

    Returns:
        Slurm's job id.

    Raises:
        ConfigError: If Slurm refuses the job, with Slurm's message.
    """
    job_id = queued(job)
    if job_id:
        return job_id
    write_whole(batch_script(job, launcher), job.folder / 'job.sh')
    done = subprocess.run(
        ['sbatch', '--parsable', str(job.folder / 'job.sh')], capture_output=True, text=True
    )
    if done.returncode:
        reason = ' '.join((done.stderr or done.stdout).split()) or f'status {done.returncode}'
        raise ConfigError(f'Slurm refused job {job.name}: {reason}; change launcher in the plan')
    job_id = done.stdout.strip().split(';')[0]
    write_json(dict(id=job_id), job.folder / 'slurm.json')
    return job_id


def queued(job: Job) -> Optional[str]:
    """Return Slurm's id of a job that is waiting or running, or None."""
    job_id = (read_json(job.folder / 'slurm.json') or {}).get('id')
    if not job_id:
        return None
    done = subprocess.run(
        ['squeue', '--noheader', '--format=%T', f'--jobs={job_id}'], capture_output=True, text=True
    )
    if done.returncode:  # Slurm has forgotten the id, or does not answer
        return None if 'invalid job id' in done.stderr.lower() else job_id
    return job_id if done.stdout.strip() else None


def batch_script(job: Job, launcher: Launcher) -> str:
    """Return the script of a Slurm job, which queues the job again after a preemption."""
    nodes = math.ceil(launcher.gpus / launcher.gpus_per_node)
    per_node = launcher.gpus // nodes
    options = [
        f'--job-name={launcher.job_name}-{job.variant.name}-seed{job.seed}',
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
