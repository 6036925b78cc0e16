"""Several processes on CPUs, which mmengine's launchers do not start.

mmengine (0.10.7 and OneDL's 0.10.12) gives every process of a launcher a CUDA device and wraps
the model for it, so that both ``init_dist`` and ``Runner.wrap_model`` fail without a GPU. A
process group that exists already is used as it is; this module makes one, with gloo.
"""

import os
import subprocess
from datetime import timedelta
from typing import Dict

import torch.distributed
from mmengine.device import get_device
from torch.distributed import PrefixStore
from torch.distributed.distributed_c10d import _set_pg_timeout, default_pg_timeout

from ..errors import ConfigError

ATTEMPTS = 5
CONNECTING = timedelta(seconds=10)  # gloo waits five times as long for a connection
STARTED_BY = {'pytorch': 'torchrun', 'slurm': 'srun', 'mpi': 'mpirun'}

# What torch.distributed reads, and what the launchers call it.
VARIABLES = {
    'pytorch': {'RANK': 'RANK', 'WORLD_SIZE': 'WORLD_SIZE', 'LOCAL_RANK': 'LOCAL_RANK'},
    'slurm': {
        'RANK': 'SLURM_PROCID',
        'WORLD_SIZE': 'SLURM_NTASKS',
        'LOCAL_RANK': 'SLURM_LOCALID',
    },
    'mpi': {
        'RANK': 'OMPI_COMM_WORLD_RANK',
        'WORLD_SIZE': 'OMPI_COMM_WORLD_SIZE',
        'LOCAL_RANK': 'OMPI_COMM_WORLD_LOCAL_RANK',
    },
}


def join_cpu_processes(launcher: str) -> Dict[str, object]:
    """Join the processes of a launcher, where this machine has no accelerator.

    Args:
        launcher: 'none', 'pytorch', 'slurm' or 'mpi', as mmengine calls them.

    Returns:
        Config options under which mmengine trains in these processes: none where mmengine
        needs no help.

    Raises:
        ConfigError: If the launcher's variables are not in the environment.
    """
    if launcher == 'none' or get_device() != 'cpu':
        return {}
    if not torch.distributed.is_initialized():
        set_environment(launcher)
        join()
    return {
        'model_wrapper_cfg.type': 'MMDistributedDataParallel',
        'model_wrapper_cfg.device_ids': None,
        'model_wrapper_cfg.broadcast_buffers': False,
    }


def join() -> None:
    """Make the process group that the environment describes.

    gloo's connections sometimes wait for each other without end when a job restarts (seen with
    torch 2.13), so they get a minute, and are made anew.
    """
    store, rank, size = next(torch.distributed.rendezvous('env://'))
    for attempt in range(ATTEMPTS):
        mine = PrefixStore(f'join{attempt}', store)
        mine.set(f'ready{rank}', '')
        mine.wait([f'ready{other}' for other in range(size)], default_pg_timeout)
        try:
            torch.distributed.init_process_group(
                'gloo', store=mine, rank=rank, world_size=size, timeout=CONNECTING
            )
            break
        except RuntimeError:
            if attempt == ATTEMPTS - 1:
                raise
    _set_pg_timeout(default_pg_timeout)  # evaluation may keep the others waiting for long


def set_environment(launcher: str) -> None:
    """Set the variables that torch.distributed reads from the launcher's.

    Raises:
        ConfigError: If one of the launcher's is missing.
    """
    for name, source in VARIABLES[launcher].items():
        if source not in os.environ:
            raise ConfigError(
                f'--launcher {launcher} needs the variable {source}, which is not set; start '
                f'with {STARTED_BY[launcher]}, or leave --launcher out for one process'
            )
        os.environ[name] = os.environ[source]
    os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = first_host() if launcher == 'slurm' else '127.0.0.1'


def first_host() -> str:
    """Return the first host of this Slurm job."""
    hosts = subprocess.run(
        ['scontrol', 'show', 'hostnames', os.environ['SLURM_JOB_NODELIST']],
        check=True,
        capture_output=True,
        text=True,
    )
    return hosts.stdout.split()[0]
