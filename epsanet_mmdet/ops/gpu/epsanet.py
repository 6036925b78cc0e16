"""EPSANet on GPUs, in channels-last memory and in few passes."""

from typing import Callable, Dict, Optional, Set, Tuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ...models import EPSANet
from ...models.epsanet import EPSABlock
from ..block import BlockParts, block_parts, stem_parts
from ..parts import is_affine, is_complete_norm
from ..snapshot import Snapshot
from ..support import PLAIN_TENSORS, requires_grad
from .compute import Compute, as_nchw, as_nhwc, compute_of
from .setting import gpu_kernels, guarded


class _Prepared:
    """A module prepared for evaluation, valid as long as the module stays the same."""

    def __init__(self, module: nn.Module, prepare: Callable[[], Optional[Callable]]) -> None:
        self.snapshot = Snapshot(module)
        self.run = prepare()  # None if the kernels cannot compute the module


_PREPARED: 'WeakKeyDictionary[nn.Module, Dict[Compute, _Prepared]]' = WeakKeyDictionary()
# Block -> what it was trained with.
_TRAINED: 'WeakKeyDictionary[nn.Module, Set[tuple]]' = WeakKeyDictionary()


def block_forward(block: EPSABlock, x: Tensor) -> Optional[Tensor]:
    """Compute a block, and its gradients."""
    compute = _compute(x)
    if compute is None:
        return None
    if block.training or requires_grad(x, *block.parameters()):
        _PREPARED.pop(block, None)
        parts = _supported_parts(block, x.shape[1], compute)
        if parts is None:
            return None
        if requires_grad(x, *parts.tensors):
            return _train(block, parts, x, compute)
    run = _evaluation(block, compute, lambda: _prepare_block(block, x.shape[1], compute))
    if run is None:
        return None
    return guarded(lambda: as_nchw(run(as_nhwc(x, compute))))


def network_forward(network: EPSANet, x: Tensor) -> Optional[Tuple[Tensor, ...]]:
    """Compute a network in evaluation mode, replayed as a CUDA graph for sizes seen before."""
    compute = _compute(x)
    if compute is None or network.training or torch.is_grad_enabled():
        _PREPARED.pop(network, None)
        return None
    found = _PREPARED.get(network, {}).get(compute)
    if found is not None and found.run is not None:
        # The GPU computes while the CPU checks if what it computes is still valid.
        outs = guarded(lambda: found.run.replay(x))
        if outs is not None and found.snapshot.holds():
            return outs
    run = _evaluation(network, compute, lambda: _prepare_network(network, compute))
    if run is None or x.shape[1] != network.conv1.in_channels:
        return None
    return guarded(lambda: run(x))


def _compute(x: Tensor) -> Optional[Compute]:
    if torch.compiler.is_compiling() or not gpu_kernels(x.device):
        return None
    return compute_of(x)


def _evaluation(
    module: nn.Module, compute: Compute, prepare: Callable[[], Optional[Callable]]
) -> Optional[Callable]:
    """Return what computes a module in evaluation mode, or None if the kernels cannot."""
    kept = _PREPARED.setdefault(module, {})
    found = kept.get(compute)
    if found is None or not found.snapshot.holds():
        with torch.no_grad():
            found = kept[compute] = _Prepared(module, prepare)
    return found.run


def _prepare_block(block: EPSABlock, channels: int, compute: Compute) -> Optional[Callable]:
    from .evaluation import EvaluatedBlock

    parts = _supported_parts(block, channels, compute)
    if parts is None or not all(is_affine(norm) for norm, _ in parts.norms):
        return None
    return EvaluatedBlock(parts, compute)


def _prepare_network(network: EPSANet, compute: Compute) -> Optional[Callable]:
    from .network import EvaluatedNetwork

    stem = stem_parts(network)
    if stem is None or not is_affine(stem.norm) or not _is_plain(stem.tensors, compute):
        return None
    channels, stages = stem.conv.out_channels, []
    reach = stem.conv.dilation[0] * (stem.conv.kernel_size[0] // 2)
    if channels & (channels - 1) or stem.conv.groups > 1 or stem.conv.padding != (reach, reach):
        return None
    for name in network.res_layers:
        stage = []
        for block in getattr(network, name):
            stage.append(_supported_parts(block, channels, compute))
            if stage[-1] is None or not all(is_affine(norm) for norm, _ in stage[-1].norms):
                return None
            channels = stage[-1].expand.channels
        stages.append(stage)
    return EvaluatedNetwork(stem, stages, network.out_indices, compute)


def _supported_parts(block: nn.Module, channels: int, compute: Compute) -> Optional[BlockParts]:
    """Return the parts of a block that the kernels can compute, or None."""
    parts = block_parts(block, channels)
    if parts is None or parts.pools or not _is_plain(parts.tensors, compute):
        return None
    branches = parts.branches
    counts = [channels, branches.in_channels, parts.expand.channels]
    powers = [branches.in_channels, branches.width]
    powers += [branches.width // groups for groups in branches.groups]
    fits = all(count % 16 == 0 for count in [*counts, branches.width])
    return parts if fits and all(power & (power - 1) == 0 for power in powers) else None


def _is_plain(tensors, compute: Compute) -> bool:
    """Return True if the kernels can use these parameters and buffers."""
    casts = torch.is_autocast_enabled('cuda')
    return all(
        t is None
        or (type(t) in PLAIN_TENSORS and t.device == compute.device and t.is_contiguous())
        and (t.dtype == torch.float32 if casts else t.dtype in (compute.dtype, torch.float32))
        for t in tensors
    )


def _train(block: EPSABlock, parts: BlockParts, x: Tensor, compute: Compute) -> Optional[Tensor]:
    stride = parts.reduce.stride * parts.branches.stride
    values = len(x) * -(-x.shape[2] // stride) * -(-x.shape[3] // stride)
    complete = all(is_complete_norm(norm, channels, values) for norm, channels in parts.norms)
    if block.with_cp or not complete or any(t.dtype != torch.float32 for t in _learned(parts)):
        return None
    from .training import train_block

    # Kernels fail in their first pass over a size of maps, if at all. Some norms are updated then.
    trained, size = _TRAINED.setdefault(block, set()), (compute, x.shape)
    before = [] if size in trained else [t.clone() for t in block.buffers()]
    out = guarded(lambda: train_block(parts, x, compute))
    if out is None:
        with torch.no_grad():
            for buffer, value in zip(block.buffers(), before):
                buffer.copy_(value)
    trained.add(size)
    return out


def _learned(parts: BlockParts):
    return [t for t in parts.tensors if t is not None and t.is_floating_point()]
