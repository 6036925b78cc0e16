"""EPSANet on GPUs, in channels-last memory and in few passes."""

from typing import Callable, Dict, List, Optional, Set, Tuple
from weakref import WeakKeyDictionary

import torch
from mmdet.models.layers import ResLayer
from torch import Tensor, nn

from ...models import EPSANet
from ...models.epsanet import EPSABlock
from ..block import BlockParts, block_parts, stem_parts
from ..parts import is_affine, is_complete_norm
from ..snapshot import Snapshot
from ..support import PLAIN_TENSORS, may_be_bypassed, requires_grad
from .compute import Compute, as_nchw, as_nhwc, compute_of
from .setting import gpu_kernels, guarded, is_capturing
from .trained_network import TrainedNetwork, launches_kernels


class _Prepared:
    """What computes a module, valid as long as the module stays the same."""

    def __init__(
        self, module: nn.Module, prepare: Callable[[], Optional[Callable]], values: bool
    ) -> None:
        self.snapshot = Snapshot(module, values)
        self.run = prepare()  # None if the kernels cannot compute the module


_Kept = WeakKeyDictionary[nn.Module, Dict[Compute, _Prepared]]
_EVALUATED: _Kept = WeakKeyDictionary()
_TRAINED: _Kept = WeakKeyDictionary()
# Block -> sizes of the maps that it was trained with.
_TRAINED_SIZES: WeakKeyDictionary[nn.Module, Set[tuple]] = WeakKeyDictionary()


def block_forward(block: EPSABlock, x: Tensor) -> Optional[Tensor]:
    """Compute a block, and its gradients."""
    compute = _compute(x)
    if compute is None:
        return None
    trains = block.training or requires_grad(x, *block.parameters())
    if trains:
        _EVALUATED.pop(block, None)
    if trains or launches_kernels():
        parts = _supported_parts(block, x.shape[1], compute)
        if parts is None:
            return None
        if launches_kernels() or requires_grad(x, *parts.tensors):
            return _train(block, parts, x, compute)
    run = _prepared(_EVALUATED, block, compute, lambda: _prepare_block(block, x.shape[1], compute))
    if run is None:
        return None
    return guarded(lambda: as_nchw(run(as_nhwc(x, compute))))


def network_forward(network: EPSANet, x: Tensor) -> Optional[Tuple[Tensor, ...]]:
    """Compute a network, replayed as CUDA graphs for sizes seen before."""
    compute = _compute(x)
    if compute is None or network.training or torch.is_grad_enabled():
        _EVALUATED.pop(network, None)
        return None if compute is None else _train_network(network, x, compute)
    found = _EVALUATED.get(network, {}).get(compute)
    if found is not None and found.run is not None:
        # The GPU computes while the CPU checks if what it computes is still valid.
        outs = guarded(lambda: found.run.replay(x))
        if outs is not None and found.snapshot.holds():
            return outs
    run = _prepared(_EVALUATED, network, compute, lambda: _prepare_network(network, compute))
    if run is None or x.shape[1] != network.conv1.in_channels:
        return None
    return guarded(lambda: run(x))


def _train_network(network: EPSANet, x: Tensor, compute: Compute) -> Optional[Tuple[Tensor, ...]]:
    if launches_kernels() or is_capturing() or torch.is_anomaly_enabled():
        return None
    # Checkpoints count what a pass saves, and see nothing of what a graph does.
    if torch._C._autograd._top_saved_tensors_default_hooks(True) is not None:
        return None
    if x.requires_grad or not requires_grad(*network.parameters()):
        return None
    run = _prepared(
        _TRAINED, network, compute, lambda: _prepare_training(network, compute), values=False
    )
    return None if run is None else run(x)


def _compute(x: Tensor) -> Optional[Compute]:
    if torch.compiler.is_compiling() or not gpu_kernels(x.device):
        return None
    return compute_of(x)


def _prepared(
    kept: _Kept,
    module: nn.Module,
    compute: Compute,
    prepare: Callable[[], Optional[Callable]],
    values: bool = True,
) -> Optional[Callable]:
    """Return what computes a module, or None if the kernels cannot."""
    own = kept.setdefault(module, {})
    found = own.get(compute)
    if found is None or not found.snapshot.holds():
        with torch.no_grad():
            found = own[compute] = _Prepared(module, prepare, values)
    return found.run


def _prepare_block(block: EPSABlock, channels: int, compute: Compute) -> Optional[Callable]:
    from .evaluation import EvaluatedBlock

    parts = _supported_parts(block, channels, compute)
    if parts is None or not all(is_affine(norm) for norm, _ in parts.norms):
        return None
    return EvaluatedBlock(parts, compute)


def _prepare_network(network: EPSANet, compute: Compute) -> Optional[Callable]:
    from .network import EvaluatedNetwork

    stem, stages = stem_parts(network), _supported_stages(network, compute)
    if stem is None or not is_affine(stem.norm) or not _is_plain(stem.tensors, compute):
        return None
    channels = stem.conv.out_channels
    reach = stem.conv.dilation[0] * (stem.conv.kernel_size[0] // 2)
    if channels & (channels - 1) or stem.conv.groups > 1 or stem.conv.padding != (reach, reach):
        return None
    if stages is None or not all(
        is_affine(norm) for stage in stages for parts in stage for norm, _ in parts.norms
    ):
        return None
    return EvaluatedNetwork(stem, stages, network.out_indices, compute)


def _prepare_training(network: EPSANet, compute: Compute) -> Optional[Callable]:
    stem = stem_parts(network)
    if stem is None or stem.norm.momentum is None or _supported_stages(network, compute) is None:
        return None
    blocks = [block for name in network.res_layers for block in getattr(network, name)]
    if any(block.with_cp for block in blocks):
        return None
    if any(p.dtype != torch.float32 for p in network.parameters()):
        return None
    return TrainedNetwork(network, compute)


def _supported_stages(network: EPSANet, compute: Compute) -> Optional[List[List[BlockParts]]]:
    """Return the parts of the blocks of each stage, or None if the kernels cannot compute them."""
    channels, stages = network.conv1.out_channels, []
    for name in network.res_layers:
        layer = getattr(network, name)
        if not may_be_bypassed(ResLayer, layer) or not may_be_bypassed(EPSABlock, *layer):
            return None
        stages.append([])
        for block in layer:
            parts = _supported_parts(block, channels, compute)
            if parts is None:
                return None
            stages[-1].append(parts)
            channels = parts.expand.channels
    return stages


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
    trained, size = _TRAINED_SIZES.setdefault(block, set()), (compute, x.shape)
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
