"""Convolutions of an exported network in the form that is fast on its target device."""

import copy
from typing import TypeVar

from torch import nn

from ..errors import ArgumentError
from ..layers.deployed_psa import ENOUGH_CHANNELS, PlainBranches, merge_groups, wider_groups

TARGETS = ('cpu', 'cuda')
Network = TypeVar('Network', bound=nn.Module)


def prepare_for(network: Network, target: str) -> Network:
    """Return a deployed network for export to a target, which computes the same.

    For ``'cuda'``, narrow groups of PSA's convolutions are merged until each has 128 input
    channels, because cuDNN computes many narrow groups slowly. For ``'cpu'``, the convolutions keep
    the groups of the layer.

    Args:
        network: Result of :func:`deploy`; it stays unchanged.
        target: ``'cpu'`` or ``'cuda'``.

    Raises:
        ArgumentError: If the target is unknown.
    """
    if target not in TARGETS:
        raise ArgumentError(f"target '{target}' is unknown; choose one of {', '.join(TARGETS)}")
    if target == 'cpu':
        return network
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, PlainBranches):
            convs = [_merged(conv, ENOUGH_CHANNELS[target]) for conv in module.convs]
            module.convs = nn.ModuleList(convs)
    return network.requires_grad_(False).eval()


def _merged(conv: nn.Conv2d, enough: int) -> nn.Conv2d:
    groups = wider_groups(conv.in_channels, conv.groups, enough)
    if groups == conv.groups:
        return conv
    weight = nn.Parameter(merge_groups(conv.weight.detach(), conv.groups, groups))
    merged = copy.copy(conv)
    merged._parameters = dict(conv._parameters, weight=weight)
    merged.groups = groups
    return merged
