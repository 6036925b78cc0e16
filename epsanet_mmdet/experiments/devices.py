"""Sharing the GPUs and cores of this machine among jobs."""

import os
from collections import Counter
from typing import Dict, Iterable, List, Sequence

import torch

from .plan import Launcher

VISIBLE = 'CUDA_VISIBLE_DEVICES'
THREADS = 'OMP_NUM_THREADS'


def visible_gpus() -> List[str]:
    """Return the GPUs that this process may use, by the names of CUDA_VISIBLE_DEVICES."""
    count = torch.cuda.device_count()
    if VISIBLE not in os.environ:
        return [str(index) for index in range(count)]
    return [name.strip() for name in os.environ[VISIBLE].split(',')][:count]


def least_used(gpus: Sequence[str], used: Iterable[str], count: int) -> List[str]:
    """Return the GPUs for another job.

    Args:
        gpus: All GPUs.
        used: The GPU of every running process.
        count: How many GPUs the job needs.
    """
    processes = Counter(used)
    return sorted(gpus, key=lambda gpu: processes[gpu])[:count]


def job_environment(launcher: Launcher, gpus: Sequence[str]) -> Dict[str, str]:
    """Return the environment of a job on this machine, with its share of the cores.

    Args:
        launcher: How many jobs and processes run at a time.
        gpus: The GPUs of the job; empty on a machine without.
    """
    environment = {'PYTHONWARNINGS': 'ignore', **os.environ}
    if gpus:
        environment[VISIBLE] = ','.join(gpus)
    if launcher.jobs > 1:  # else torch and torchrun choose
        threads = torch.get_num_threads() // (launcher.jobs * launcher.gpus)
        environment.setdefault(THREADS, str(max(1, threads)))
    return environment
