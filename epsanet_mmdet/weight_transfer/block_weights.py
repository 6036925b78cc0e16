"""Writing the weights of a ResNet block into an EPSANet block, for a given permutation."""

from typing import Optional

import numpy as np
import torch
from mmdet.models.backbones.resnet import Bottleneck, ResNet
from torch import Tensor, nn

from ..layers import PSAModule
from ..models.epsanet import EPSANet
from .norms import Moments
from .permutation import Branch, Permutation, branches_of


def copy_norm(
    source: nn.BatchNorm2d, target: nn.BatchNorm2d, channels: Optional[Tensor] = None
) -> None:
    """Copy a batch norm and its statistics, or those of some of its channels."""
    for name in ('weight', 'bias', 'running_mean', 'running_var'):
        value = getattr(source, name)
        getattr(target, name).data.copy_(value if channels is None else value[channels])
    target.eps = source.eps


def copy_stem(teacher: ResNet, student: EPSANet) -> None:
    """Copy the first convolution and its norm."""
    student.conv1.load_state_dict(teacher.conv1.state_dict())
    copy_norm(teacher.norm1, student.norm1)


def copy_block(teacher: Bottleneck, student: Bottleneck, permutation: Permutation) -> None:
    """Copy all of a block but its 3x3 convolution.

    Copies of an output share its column of conv3 evenly. If the 3x3 convolution in between were
    dense, a double width would not change the function of the block.
    """
    inputs, outputs = torch.from_numpy(permutation.inputs), torch.from_numpy(permutation.outputs)
    student.conv1.weight.data.copy_(teacher.conv1.weight[inputs])
    copy_norm(teacher.norm1, student.norm1, inputs)
    copy_norm(teacher.norm2, student.norm2, outputs)
    copies = outputs.bincount()[outputs]
    student.conv3.weight.data.copy_(teacher.conv3.weight[:, outputs] / copies[:, None, None])
    copy_norm(teacher.norm3, student.norm3)
    if teacher.downsample is not None:
        student.downsample[0].load_state_dict(teacher.downsample[0].state_dict())
        copy_norm(teacher.downsample[1], student.downsample[1])


def reset_attention(psa: PSAModule) -> int:
    """Give every branch the same attention for any input.

    The last layer of the squeeze MLP becomes zero, so the softmax returns 1 / branches, and
    sigmoids without a softmax 1 / 2. That layer receives gradients from the first step, the layer
    before it from the second.

    Returns:
        The inverse of the attention; the filters have to be multiplied by it.
    """
    if psa.attention_type != 'none':
        nn.init.zeros_(psa.se.fc2.weight)
        nn.init.zeros_(psa.se.fc2.bias)
    return inverse_attention(psa)


def inverse_attention(psa: PSAModule) -> int:
    """Return the inverse of the attention that every branch has after a reset."""
    return {'softmax': psa.branches, 'sigmoid': 2, 'none': 1}[psa.attention_type]


def sliced_weight(weight: Tensor, branch: Branch, permutation: Permutation) -> Tensor:
    """Cut the part that a branch can see out of a dense 3x3 weight, and pad it with zeros.

    A teacher's channel that a group sees twice gives half of its weight to each copy.

    Args:
        weight: (outputs, inputs, 3, 3) of the teacher.
        branch: Of the PSA module.
        permutation: Of the block.

    Returns:
        (branch outputs, inputs / groups, k, k), not yet multiplied by the inverse attention.
    """
    rows = permutation.outputs[branch.start : branch.stop].reshape(branch.groups, -1)
    columns = permutation.inputs.reshape(branch.groups, -1)
    margin = branch.conv.kernel_size[0] // 2 - weight.shape[-1] // 2
    pieces = []
    for outputs, inputs in zip(rows, columns):
        times = torch.from_numpy(np.bincount(inputs)[inputs]).to(weight)
        piece = weight[outputs][:, inputs] / times[:, None, None]
        pieces.append(nn.functional.pad(piece, [margin] * 4))
    return torch.cat(pieces)


def write_sliced(psa: PSAModule, weight: Tensor, permutation: Permutation) -> None:
    """Write the parts of a dense 3x3 weight that the groups see into all branches."""
    scale = reset_attention(psa)
    for branch in branches_of(psa):
        branch.conv.weight.data.copy_(scale * sliced_weight(weight, branch, permutation))


def write_random(
    psa: PSAModule, weight: Tensor, permutation: Permutation, generator: torch.Generator
) -> None:
    """Write Gaussian noise; each filter has the norm of the teacher's."""
    scale = reset_attention(psa)
    norms = weight.flatten(1).norm(dim=1)[permutation.outputs]
    for conv, start, stop in branches_of(psa):
        noise = torch.randn(conv.weight.shape, generator=generator)
        noise /= noise.flatten(1).norm(dim=1)[:, None, None, None]
        conv.weight.data.copy_(scale * norms[start:stop, None, None, None] * noise)


def correct_mean(
    psa: PSAModule,
    norm2: nn.BatchNorm2d,
    weight: Tensor,
    permutation: Permutation,
    inputs: Moments,
) -> None:
    """Subtract the mean contribution of unseen inputs from the running mean of ``norm2``.

    Args:
        psa: With its weights.
        norm2: The norm after it.
        weight: (outputs, inputs, 3, 3) of the teacher.
        permutation: Of the block.
        inputs: Moments of the teacher's input channels.
    """
    mean, scale = inputs.mean.to(weight), inverse_attention(psa)
    whole = weight.sum((2, 3)) @ mean
    permuted = mean[torch.from_numpy(permutation.inputs)]
    for branch in branches_of(psa):
        taps = branch.conv.weight.sum((2, 3)).unflatten(0, (branch.groups, -1)) / scale
        seen = torch.einsum('goc,gc->go', taps, permuted.view(branch.groups, -1)).flatten()
        outputs = torch.from_numpy(permutation.outputs[branch.start : branch.stop])
        norm2.running_mean[branch.start : branch.stop] += seen - whole[outputs]
