"""The ResNet variant that a checkpoint holds, recognised by the shapes of its tensors."""

import itertools
import re
from typing import Mapping, NamedTuple, Optional, Tuple

from torch import Tensor

from ..models import EPSANet

DEPTHS = {
    (True, (3, 4, 6, 3)): 50,
    (True, (5, 6, 12, 5)): 86,
    (True, (3, 4, 23, 3)): 101,
    (True, (3, 8, 36, 3)): 152,
    (False, (2, 2, 2, 2)): 18,
    (False, (3, 4, 6, 3)): 34,
}


class Architecture(NamedTuple):
    """The properties by which ResNets differ.

    Attributes:
        depth: 18, 34, 50, 86, 101 or 152, or None for other numbers of blocks.
        kernel_sizes: Of the branches of PSA, or None without PSA.
        groups: Of the branches of PSA, or of the 3x3 convolutions.
        width: Channels of the 3x3 convolutions, or of PSA, in the first stage.
        deep_stem: Whether three convolutions replace the first one.
    """

    depth: Optional[int]
    kernel_sizes: Optional[Tuple[int, ...]]
    groups: Tuple[int, ...]
    width: int
    deep_stem: bool

    def __str__(self) -> str:
        depth = f'-{self.depth}' if self.depth else ''
        if self.kernel_sizes is None:
            kind = 'ResNet' if self.groups == (1,) else 'ResNeXt'
            return f'{kind}{depth}' + (f' of width {self.width}' if self.width != 64 else '')
        for name, preset in EPSANet.archs.items():
            if (self.kernel_sizes, self.groups, self.width) == tuple(preset):
                return f'EPSANet{depth} {name}'
        return (
            f'EPSANet{depth} with kernels {self.kernel_sizes}, groups {self.groups} and width '
            f'{self.width}'
        )


def read_architecture(tensors: Mapping[str, Tensor]) -> Optional[Architecture]:
    """Return the architecture of a ResNet, or None for other networks.

    Args:
        tensors: In mmdet's names.
    """
    convs = {k: v for k, v in tensors.items() if v.ndim == 4 and v.numel()}
    first = convs.get('layer1.0.conv1.weight')
    if first is None:
        return None
    blocks = {}
    for name in tensors:
        found = re.match(r'layer([1-4])\.(\d+)\.', name)
        if found:
            stage, block = map(int, found.groups())
            blocks[stage] = max(blocks.get(stage, 0), block + 1)
    bottleneck = 'layer1.0.conv3.weight' in tensors
    names = (f'layer1.0.conv2.conv_{i}.weight' for i in itertools.count(1))
    branches = [convs[name] for name in itertools.takewhile(convs.__contains__, names)]
    middle = branches or [convs.get('layer1.0.conv2.weight', first)]
    width = first.size(0)
    return Architecture(
        depth=DEPTHS.get((bottleneck, tuple(blocks[stage] for stage in sorted(blocks)))),
        kernel_sizes=tuple(conv.size(-1) for conv in branches) or None,
        groups=tuple(width // conv.size(1) for conv in middle),
        width=width,
        deep_stem='conv1.weight' not in tensors,
    )


def explain_mismatch(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """Return why a checkpoint does not fit a backbone, and the remedy.

    Args:
        given: The checkpoint's tensors in mmdet's names.
        wanted: The backbone's.
    """
    theirs, ours = read_architecture(given), read_architecture(wanted)
    if theirs is None or ours is None:
        return f'it is not a ResNet (it has {next(iter(given), "nothing")}); use one of a ResNet'
    if theirs.depth != ours.depth:
        its, own = (f'{a.depth} layers' if a.depth else 'other stages' for a in (theirs, ours))
        return f'it has {its} and the backbone has {own}; name a config of the same depth'
    if theirs.kernel_sizes is None and ours.kernel_sizes is not None:
        return (
            f'it is {theirs}, without the PSA modules of {ours}; convert it with epsanet transplant'
        )
    if theirs.deep_stem != ours.deep_stem:
        which = 'three convolutions' if theirs.deep_stem else 'one convolution'
        return f'its stem has {which}; name a config with deep_stem={theirs.deep_stem}'
    if theirs != ours:
        return f'it is {theirs}, and the backbone is {ours}; name a config of the same kind'
    return 'name the config that it was trained with'
