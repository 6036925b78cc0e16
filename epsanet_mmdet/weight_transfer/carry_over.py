"""Writing a ResNet block's weights into an EPSANet block, in a given channel order."""

from typing import List, Optional

import numpy as np
import torch
from mmdet.models.backbones.resnet import Bottleneck
from torch import Tensor, nn

from ..layers import PSAModule
from .channel_order import Branch, ChannelOrder, psa_branches
from .moments import Moments


def branches_of(psa: PSAModule) -> List[Branch]:
    """List the branches of a PSA module."""
    convs = branch_convs(psa)
    width = sum(conv.out_channels for conv in convs)
    return psa_branches(width, [c.kernel_size[0] for c in convs], [c.groups for c in convs])


def branch_convs(psa: PSAModule) -> List[nn.Conv2d]:
    """List the convolutions of a PSA module, ``conv_1`` first."""
    return [getattr(psa, f'conv_{i}') for i in range(1, psa.branches + 1)]


def neutral_attention(psa: PSAModule) -> int:
    """Let every branch have the same attention, whatever the input.

    The last layer of the squeeze MLP becomes zero, so its softmax gives 1 / branches. That layer
    has gradients at once, the one before it from the second step on.

    Returns:
        The number of branches, by which the weights are multiplied in return.
    """
    nn.init.zeros_(psa.se.fc2.weight)
    nn.init.zeros_(psa.se.fc2.bias)
    return psa.branches


def copy_norm(
    source: nn.BatchNorm2d, target: nn.BatchNorm2d, order: Optional[Tensor] = None
) -> None:
    """Copy a batch norm, its statistics included, in a channel order."""
    for name in ('weight', 'bias', 'running_mean', 'running_var'):
        value = getattr(source, name)
        getattr(target, name).data.copy_(value if order is None else value[order])
    target.eps = source.eps


def carry_over_stem(donor: nn.Module, ours: nn.Module) -> None:
    """Copy the stem."""
    ours.conv1.load_state_dict(donor.conv1.state_dict())
    copy_norm(donor.norm1, ours.norm1)


def carry_over_block(donor: Bottleneck, ours: Bottleneck, order: ChannelOrder) -> None:
    """Write everything of a block but its 3x3 convolution.

    Copies of an output share its column of conv3 evenly, so with a dense 3x3 in between, a double
    width does not change the block's function.
    """
    inputs, outputs = torch.from_numpy(order.inputs), torch.from_numpy(order.outputs)
    ours.conv1.weight.data.copy_(donor.conv1.weight[inputs])
    copy_norm(donor.norm1, ours.norm1, inputs)
    copy_norm(donor.norm2, ours.norm2, outputs)
    copies = outputs.bincount()[outputs]
    ours.conv3.weight.data.copy_(donor.conv3.weight[:, outputs] / copies[:, None, None])
    copy_norm(donor.norm3, ours.norm3)
    if donor.downsample is not None:
        ours.downsample[0].load_state_dict(donor.downsample[0].state_dict())
        copy_norm(donor.downsample[1], ours.downsample[1])


def sliced_weight(weight: Tensor, branch: Branch, order: ChannelOrder) -> Tensor:
    """Cut a branch's part out of a dense 3x3 weight, centred in zeros.

    A donor channel that a group sees twice gives half of its weight to each copy.

    Args:
        weight: (outputs, inputs, 3, 3) of the donor.
        branch: Which outputs, groups and kernel size.
        order: Of the block.

    Returns:
        (branch outputs, inputs / groups, k, k), the scale of the attention not undone.
    """
    rows = order.outputs[branch.start : branch.stop].reshape(branch.groups, -1)
    columns = order.inputs.reshape(branch.groups, -1)
    margin = branch.kernel_size // 2 - weight.shape[-1] // 2
    pieces = []
    for outputs, inputs in zip(rows, columns):
        times = torch.from_numpy(np.bincount(inputs)[inputs]).to(weight)
        piece = weight[outputs][:, inputs] / times[:, None, None]
        pieces.append(nn.functional.pad(piece, [margin] * 4))
    return torch.cat(pieces)


def slice_into(psa: PSAModule, weight: Tensor, order: ChannelOrder) -> None:
    """Write a dense 3x3 weight into all branches, as far as their groups reach."""
    scale = neutral_attention(psa)
    for conv, branch in zip(branch_convs(psa), branches_of(psa)):
        conv.weight.data.copy_(scale * sliced_weight(weight, branch, order))


def random_into(
    psa: PSAModule, weight: Tensor, order: ChannelOrder, generator: torch.Generator
) -> None:
    """Write Gaussian noise as strong as each of the donor's output channels."""
    scale = neutral_attention(psa)
    norms = weight.flatten(1).norm(dim=1)[order.outputs]
    for conv, branch in zip(branch_convs(psa), branches_of(psa)):
        noise = torch.randn(conv.weight.shape, generator=generator)
        noise /= noise.flatten(1).norm(dim=1)[:, None, None, None]
        strength = norms[branch.start : branch.stop, None, None, None]
        conv.weight.data.copy_(scale * strength * noise)


def correct_mean(
    psa: PSAModule, norm2: nn.BatchNorm2d, weight: Tensor, order: ChannelOrder, inputs: Moments
) -> None:
    """Take the mean of what the groups do not see out of the mean that the norm subtracts."""
    mean = inputs.mean.to(weight)
    whole = weight.sum((2, 3)) @ mean
    seen = torch.empty(len(order.outputs)).to(weight)
    ordered = mean[torch.from_numpy(order.inputs)]
    for conv, branch in zip(branch_convs(psa), branches_of(psa)):
        taps = conv.weight.sum((2, 3)).unflatten(0, (branch.groups, -1)) / psa.branches
        parts = torch.einsum('goc,gc->go', taps, ordered.view(branch.groups, -1))
        seen[branch.start : branch.stop] = parts.flatten()
    norm2.running_mean += seen - whole[torch.from_numpy(order.outputs)]
