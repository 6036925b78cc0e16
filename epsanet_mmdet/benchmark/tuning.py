"""Plans of the GPU kernels, measured for the networks of a benchmark before it."""

import os
from importlib import import_module
from typing import Callable, Sequence

import torch

from ..errors import ArgumentError, ExtraError
from .networks import build_network, split_options
from .passes import Input

TUNE, PLAN_FILE = '..ops.gpu.tune', '..ops.gpu.plan_file'


def tune_plans(
    names: Sequence[str],
    sizes: Sequence[Input],
    path: str,
    device: torch.device,
    dtype: torch.dtype,
    progress: Callable[[str], None],
) -> None:
    """Measure the plans of networks, keep them in a file, and use it in this process.

    Args:
        names: Names for :func:`epsanet_mmdet.benchmark.build_network`; options do not matter.
        sizes: Sizes of batches.
        path: The file; measured plans in it are kept.
        device: The GPU.
        dtype: Type of the values.
        progress: Called with a line about each convolution.

    Raises:
        UserError: If the device is no GPU, there is no EPSANet or no kernel, or the file cannot be
            written.
    """
    if device.type != 'cuda':
        raise ArgumentError(f"plans are for GPU kernels, but the device is '{device}'; omit --tune")
    try:
        tune, variable = (
            getattr(import_module(module, __package__), name)
            for module, name in ((TUNE, 'tune'), (PLAN_FILE, 'VARIABLE'))
        )
    except ModuleNotFoundError as error:
        raise ExtraError(f'there is no {error.name}, which --tune needs; run: pip install triton')
    bases = dict.fromkeys(split_options(name)[0] for name in names)
    networks = [build_network(base, torch.device('cpu')).plain for base in bases]
    tune(networks, sizes, path, device, dtype, progress)
    os.environ[variable] = path
