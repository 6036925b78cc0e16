"""The four ways to start an EPSANet from a ResNet."""

from typing import Callable, Dict, Optional

import torch
from mmdet.models.backbones.resnet import ResNet

from ..models.epsanet import EPSANet
from .carry_over import (
    branches_of,
    carry_over_block,
    carry_over_stem,
    correct_mean,
    random_into,
    slice_into,
)
from .channel_order import ChannelOrder, best_order, plain_order
from .donor import named_blocks
from .fit import FitSettings, fit_network
from .images import Pictures
from .moments import channel_energy, output_importance, relative_energy, relu_moments

METHODS = ('random', 'slice', 'permute', 'fit')


@torch.no_grad()
def transplant(
    donor: ResNet,
    ours: EPSANet,
    method: str,
    pictures: Optional[Pictures] = None,
    settings: FitSettings = FitSettings(),
    progress: Callable[[str], None] = lambda line: None,
) -> Dict[str, ChannelOrder]:
    """Write a donor's weights into an EPSANet of the same depth, in place.

    All but PSA carries over: stem, 1x1 convolutions, norms and shortcuts. PSA's branches are

    - ``random``: noise as strong as the donor's filters,
    - ``slice``: the part of the donor's 3x3 that the groups reach, channels in the donor's order,
    - ``permute``: the same in the order that keeps the most energy, the mean corrected,
    - ``fit``: fitted to the donor's responses on images, the 1x1 after them too.

    Args:
        donor: In eval mode.
        ours: EPSANet, once or twice as wide.
        method: One of these.
        pictures: Images for ``fit``.
        settings: Of ``fit``.
        progress: Called with a line after every block.

    Returns:
        Which of the donor's channels those of each block are.
    """
    ours.eval()
    if method == 'fit':
        return fit_network(donor, ours, pictures, settings, progress)
    generator = torch.Generator().manual_seed(settings.seed)
    carry_over_stem(donor, ours)
    orders = {}
    for (_, name, theirs), (_, _, block) in zip(named_blocks(donor), named_blocks(ours)):
        weight, width = theirs.conv2.weight, block.conv1.out_channels
        moments = relu_moments(theirs.norm1)
        order = plain_order(len(weight), width)
        if method == 'permute':
            energy = relative_energy(channel_energy(weight, moments.variance))
            energy = energy * output_importance(theirs.norm2, theirs.conv3, theirs.norm3)[:, None]
            order = best_order(energy.numpy(), branches_of(block.conv2), width)
        carry_over_block(theirs, block, order)
        if method == 'random':
            random_into(block.conv2, weight, order, generator)
        else:
            slice_into(block.conv2, weight, order)
        if method == 'permute':
            correct_mean(block.conv2, block.norm2, weight, order, moments)
        orders[name] = order
        progress(name)
    return orders
