"""Several processes on CPUs, which mmengine's launchers cannot start.

mmengine (0.10.7 and OneDL's 0.10.12) assigns a CUDA device to every process of a launcher and
wraps the model for it, so both ``init_dist`` and ``Runner.wrap_model`` fail without a GPU. It does
use an existing process group, which this module creates, with gloo.
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
LAUNCHERS = {  # the program, and its variables for RANK, WORLD_SIZE and LOCAL_RANK
    'pytorch': ('torchrun', 'RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('srun', 'SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': ('mpirun', *(f'OMPI_COMM_WORLD_{name}' for name in ('RANK', 'SIZE', 'LOCAL_RANK'))),
}


def join_cpu_processes(launcher: str) -> Dict[str, object]:
    """Connect the processes of a launcher, if this machine has no accelerator.

    Args:
        launcher: 'none', 'pytorch', 'slurm' or 'mpi', the names in mmengine.

    Returns:
        Config options with which mmengine trains in these processes; none with an accelerator.

    Raises:
        ConfigError: If a variable of the launcher is not set.
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
    """Create the process group that the environment describes.

    After a restart gloo's connections sometimes wait for each other forever (seen with torch
    2.13), so they time out within a minute and are tried again.
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
    _set_pg_timeout(default_pg_timeout)  # during evaluation the other processes wait for long


def set_environment(launcher: str) -> None:
    """Set the variables that torch.distributed reads from those of the launcher.

    Raises:
        ConfigError: If a variable of the launcher is not set.
    """
    program, *sources = LAUNCHERS[launcher]
    for name, source in zip(('RANK', 'WORLD_SIZE', 'LOCAL_RANK'), sources):
        if source not in os.environ:
            raise ConfigError(
                f'--launcher {launcher} needs the variable {source}, which is not set; start '
                f'with {program}, or leave out --launcher for one process'
            )
        os.environ[name] = os.environ[source]
    os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = first_host() if launcher == 'slurm' else '127.0.0.1'


def first_host() -> str:
    """Return the first host of this Slurm job."""
    command = ['scontrol', 'show', 'hostnames', os.environ['SLURM_JOB_NODELIST']]
    hosts = subprocess.run(command, check=True, capture_output=True, text=True)
    return hosts.stdout.split()[0]
