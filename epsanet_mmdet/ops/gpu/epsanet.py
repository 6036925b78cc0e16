"""EPSANet on GPUs."""

from typing import Callable, Dict, List, Optional, Tuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ...models import EPSANet
from ...models.epsanet import EPSABlock
from ..block import BlockParts, Stem, block_parts
from ..parts import is_affine
from ..support import PLAIN_TENSORS, requires_grad
from .compute import Compute, compute_of
from .setting import give_up, gpu_kernels, is_out_of_memory

# Module -> what was prepared for its evaluation.
_PREPARED: 'WeakKeyDictionary[nn.Module, Dict[Compute, _Prepared]]' = WeakKeyDictionary()


class _Prepared:
    """A module prepared for evaluation, as long as its tensors stay the same."""

    def __init__(self, signature: tuple, run: Callable) -> None:
        self.signature, self.run = signature, run


def block_forward(block: EPSABlock, x: Tensor) -> Optional[Tensor]:
    """Compute a block in channels-last memory, in few passes."""
    compute = _compute(x)
    parts = None if compute is None else block_parts(block, x.shape[1])
    if parts is None or not _is_supported(parts, compute):
        return None
    if requires_grad(x, *parts.tensors):
        _PREPARED.pop(block, None)
        return _train(block, parts, x, compute)
    if not all(is_affine(norm) for norm, _ in parts.norms):
        return None
    from .evaluation import EvaluatedBlock

    run = _prepared(block, compute, parts.tensors, lambda: EvaluatedBlock(parts, compute))
    return _guarded(lambda: _as_nchw(run(_as_nhwc(x, compute))))


def network_forward(network: EPSANet, stem: Stem, x: Tensor) -> Optional[Tuple[Tensor, ...]]:
    """Compute a network in evaluation mode, replayed as a CUDA graph for sizes seen before."""
    compute = _compute(x)
    if compute is None or not is_affine(stem.norm) or x.shape[1] != stem.conv.in_channels:
        return None
    blocks, channels = [], stem.conv.out_channels
    for i, name in enumerate(network.res_layers):
        for block in getattr(network, name):
            parts = block_parts(block, channels) if type(block) is EPSABlock else None
            if parts is None or not _is_supported(parts, compute):
                return None
            blocks.append((i, parts))
            channels = parts.expand.channels
    tensors = [*stem.tensors, *(t for _, parts in blocks for t in parts.tensors)]
    if requires_grad(x, *tensors):
        _PREPARED.pop(network, None)
        return None
    if not all(is_affine(norm) for _, parts in blocks for norm, _ in parts.norms):
        return None
    if not all(t is None or type(t) in PLAIN_TENSORS for t in tensors):
        return None
    from .network import EvaluatedNetwork

    def prepare() -> 'EvaluatedNetwork':
        return EvaluatedNetwork(stem, blocks, network.out_indices, compute)

    run = _prepared(network, compute, tensors, prepare)
    return _guarded(lambda: run(x))


def _compute(x: Tensor) -> Optional[Compute]:
    if torch.compiler.is_compiling() or not gpu_kernels(x.device):
        return None
    return compute_of(x)


def _is_supported(parts: BlockParts, compute: Compute) -> bool:
    branches = parts.branches
    channels = [branches.in_channels, parts.reduce.weight.shape[1], parts.expand.channels]
    channels += [branches.width * len(branches.weights)]
    powers = [branches.width // groups for groups in branches.groups]
    powers += [branches.width, branches.in_channels]
    weights = [parts.reduce.weight, parts.expand.weight, *branches.weights]
    casts = torch.is_autocast_enabled('cuda')
    return (
        all(count % 16 == 0 for count in channels)
        and all(count & (count - 1) == 0 for count in powers)
        and not parts.pools
        and all(t.is_cuda and (casts or t.dtype == compute.dtype) for t in weights)
    )


def _prepared(
    module: nn.Module, compute: Compute, tensors: List[Optional[Tensor]], prepare: Callable
) -> Callable:
    # An optimiser, a checkpoint and torch's in-place operations change the version. Operations on
    # `.data`, as by mmengine's EMA, do not, but a training step in between discards everything.
    signature = tuple(None if t is None else (t.data_ptr(), t._version) for t in tensors)
    kept = _PREPARED.setdefault(module, {})
    found = kept.get(compute)
    if found is None or found.signature != signature:
        with torch.no_grad():
            found = kept[compute] = _Prepared(signature, prepare())
    return found.run


def _guarded(compute: Callable):
    """Return the result, or None if the kernels fail, which then are not used any more."""
    try:
        return compute()
    except Exception as error:
        if is_out_of_memory(error):
            raise
        give_up(error)
        return None


def _as_nhwc(x: Tensor, compute: Compute) -> Tensor:
    x = x.to(compute.dtype, memory_format=torch.channels_last)
    return x.permute(0, 2, 3, 1)


def _as_nchw(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def _train(block: EPSABlock, parts: BlockParts, x: Tensor, compute: Compute) -> Optional[Tensor]:
    return None
