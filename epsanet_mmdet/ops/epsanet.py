"""EPSANet in fewer passes over memory, on CPUs and GPUs."""

from typing import Optional, Tuple

import torch
from torch import Tensor

from ..models import EPSANet
from ..models.epsanet import EPSABlock
from .block import stem_parts
from .cpu import epsanet as on_cpu
from .gpu import epsanet as on_gpu
from .support import accelerates


@accelerates(EPSABlock)
def block_forward(block: EPSABlock, x: Tensor) -> Optional[Tensor]:
    """Compute a block by the kernels of its device."""
    if x.dim() != 4 or x.numel() == 0:
        return None
    if not x.is_cuda:
        return on_cpu.block_forward(block, x)
    with torch.cuda.device_of(x):
        return on_gpu.block_forward(block, x)


@accelerates(EPSANet)
def network_forward(network: EPSANet, x: Tensor) -> Optional[Tuple[Tensor, ...]]:
    """Compute the stem by the kernels of its device and call the stages, or compute all of it."""
    if x.dim() != 4 or x.numel() == 0:
        return None
    if x.is_cuda:
        with torch.cuda.device_of(x):
            return on_gpu.network_forward(network, x)
    stem = stem_parts(network)
    if stem is None:
        return None
    x = on_cpu.stem_forward(stem, x)
    if x is None:
        return None
    outs = []
    for i, name in enumerate(network.res_layers):
        x = getattr(network, name)(x)
        if i in network.out_indices:
            outs.append(x)
    return tuple(outs)
