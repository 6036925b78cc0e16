"""Fitting an EPSANet to a ResNet's activations on images, block after block, in closed form."""

from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Tuple

import torch
import torch.nn.functional as F
from mmdet.models.backbones.resnet import Bottleneck, ResNet
from torch import Tensor, nn

from ..models.epsanet import EPSANet
from .block_weights import copy_block, copy_stem, reset_attention, sliced_weight
from .images import Pictures, batches
from .least_squares import Samples, patches, regress, sample_positions
from .norms import reestimate_norms, weighted_energy
from .permutation import Branch, Permutation, best_permutation, branches_of
from .teacher import named_blocks


@dataclass(frozen=True)
class FitSettings:
    """Settings of the fit.

    Args:
        positions: Maximum number of feature map positions that each block is fitted on.
        batch_size: Images per batch.
        seed: For drawing the positions.
    """

    positions: int = 20000
    batch_size: int = 16
    seed: int = 0


@dataclass
class Batch:
    """Activations of one batch of images before a block, and what fitting the block needs.

    Args:
        teacher: (b, channels, h, w) in the teacher.
        student: The same in the network fitted so far.
        to_check: Whether the ridge is chosen on these images.
        at: Image, row and column, each (n,), of the outputs of the 3x3 convolution to fit on.
        inner: (b, w, h, w) input of the 3x3 convolution, computed by the teacher's conv1 from the
            student's activations.
        response: (n, w) of the teacher's 3x3 convolution.
        target: (n, outputs) of the teacher's block before its last ReLU.
    """

    teacher: Tensor
    student: Tensor
    to_check: bool
    at: Tuple[Tensor, ...] = ()
    inner: Optional[Tensor] = None
    response: Optional[Tensor] = None
    target: Optional[Tensor] = None


@torch.no_grad()
def fit_network(
    teacher: ResNet,
    student: EPSANet,
    pictures: Pictures,
    settings: FitSettings,
    progress: Callable[[str], None] = lambda line: None,
) -> Dict[str, Permutation]:
    """Fit an EPSANet to the activations of a ResNet of the same depth, in place.

    Inputs of a layer come from the network fitted so far, targets from the teacher, so each layer
    compensates for errors before it. The activations of all images before the current block are
    kept, so memory grows with the number of images, not with the network.

    Args:
        teacher: In eval mode.
        student: In eval mode.
        pictures: The held-out ones are not used.
        settings: Of the fit.
        progress: Called with a line after every block.

    Returns:
        The permutation of every block by name.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    copy_stem(teacher, student)
    data = []
    for part, to_check in ((pictures.fit, False), (pictures.check, True)):
        for images in batches(part, settings.batch_size):
            x = teacher.maxpool(teacher.relu(teacher.norm1(teacher.conv1(images))))
            data.append(Batch(x, x, to_check))
    permutations: Dict[str, Permutation] = {}
    for (_, name, theirs), (_, _, ours) in zip(named_blocks(teacher), named_blocks(student)):
        fit = _BlockFit(theirs, ours, data)
        permutations[name] = fit.run(settings.positions, generator)
        ridges = ', '.join(f'{ridge:g} at {k}x{k}' for k, ridge in fit.ridges.items())
        progress(f'{name}: ridge {ridges}')
    fitted_on = torch.cat([pictures.fit, pictures.check])
    reestimate_norms(student, batches(fitted_on, settings.batch_size))
    return permutations


class _BlockFit:
    def __init__(self, teacher: Bottleneck, block: Bottleneck, data: List[Batch]) -> None:
        self.teacher, self.block, self.data = teacher, block, data
        self.ridges: Dict[int, float] = {}  # by kernel size
        self.branches = branches_of(block.conv2)
        self.stride = teacher.conv2.stride[0]

    def run(self, positions: int, generator: torch.Generator) -> Permutation:
        self.trace_teacher(positions, generator)
        permutation = self.choose_permutation()
        copy_block(self.teacher, self.block, permutation)
        self.fit_psa(permutation)
        self.fit_output()
        for batch in self.data:
            batch.student = self.block(batch.student)
            batch.inner = batch.response = batch.target = None
        return permutation

    def trace_teacher(self, positions: int, generator: torch.Generator) -> None:
        """Record the teacher's responses at some positions, and its activations after the block."""
        teacher, stride = self.teacher, self.stride
        total = sum(b.teacher[:, 0, ::stride, ::stride].numel() for b in self.data)
        for b in self.data:
            response = teacher.conv2(F.relu(teacher.norm1(teacher.conv1(b.teacher))))
            b.inner = F.relu(teacher.norm1(teacher.conv1(b.student)))
            shortcut = b.teacher if teacher.downsample is None else teacher.downsample(b.teacher)
            output = teacher.norm3(teacher.conv3(F.relu(teacher.norm2(response)))) + shortcut
            b.at = sample_positions(response.shape, min(1.0, positions / total), generator)
            b.response, b.target = patches(response, b.at), patches(output, b.at)
            b.teacher = F.relu(output)

    def choose_permutation(self) -> Permutation:
        """Choose the permutation by the energies that the images show."""
        teacher = self.teacher
        energy = self.observed_energy(teacher.conv2.weight)
        energy = weighted_energy(energy, teacher.norm2, teacher.conv3, teacher.norm3)
        return best_permutation(energy.numpy(), self.branches)

    def observed_energy(self, weight: Tensor) -> Tensor:
        """Return the variance that each input contributes to each output of the 3x3, (w, w)."""
        size = weight.shape[-1]
        count, total, squares = 0, 0.0, 0.0
        for b in self.data:
            x = patches(b.inner, b.at, size, self.stride)
            x = x.unflatten(1, (-1, size**2)).transpose(0, 1).double()
            count += x.shape[1]
            total = total + x.sum(1)
            squares = squares + x.transpose(1, 2) @ x
        mean = total / count
        covariance = squares / count - mean[:, :, None] * mean[:, None]
        taps = weight.flatten(2).double()
        return torch.einsum('oct,ctu,ocu->oc', taps, covariance, taps).clamp(min=0)

    def fit_psa(self, permutation: Permutation) -> None:
        """Fit every group of every branch; the intercepts go to norm2."""
        scale = reset_attention(self.block.conv2)
        for branch in self.branches:
            conv, rows = branch.conv, slice(branch.start, branch.stop)
            prior = sliced_weight(self.teacher.conv2.weight, branch, permutation).flatten(1)
            inputs = torch.from_numpy(permutation.inputs).view(branch.groups, -1)
            outputs = torch.from_numpy(permutation.outputs[rows]).view(branch.groups, -1)
            fits, ridge = [], None
            for seen, made, part in zip(inputs, outputs, prior.chunk(branch.groups)):
                fits.append(regress(self.psa_samples(branch, seen, made), part, ridge))
                ridge = fits[0].ridge
            self.ridges[conv.kernel_size[0]] = ridge
            conv.weight.copy_(scale * torch.cat([f.weight for f in fits]).view_as(conv.weight))
            self.block.norm2.running_mean[rows] -= torch.cat([f.intercept for f in fits])

    def psa_samples(self, branch: Branch, inputs: Tensor, outputs: Tensor) -> Samples:
        for b in self.data:
            x = patches(b.inner[:, inputs], b.at, branch.conv.kernel_size[0], self.stride)
            yield x, b.response[:, outputs], b.to_check

    def fit_output(self) -> None:
        """Fit conv3, and a shortcut with a convolution, to the output of the teacher's block."""
        block = self.block
        prior = _joint_weight(block.conv3, block.norm3)
        if block.downsample is not None:
            prior = torch.cat([prior, _joint_weight(*block.downsample)], 1)
        fit = regress(self.output_samples(), prior)
        self.ridges[1] = fit.ridge
        width = block.conv3.in_channels
        _write_joint(block.conv3, block.norm3, fit.weight[:, :width], fit.intercept)
        if block.downsample is not None:
            zeros = torch.zeros_like(fit.intercept)
            _write_joint(*block.downsample, fit.weight[:, width:], zeros)

    def output_samples(self) -> Samples:
        block = self.block
        for b in self.data:
            inner = F.relu(block.norm1(block.conv1(b.student)))
            x = patches(F.relu(block.norm2(block.conv2(inner))), b.at)
            shortcut = patches(b.student, b.at, stride=self.stride)
            if block.downsample is None:
                yield x, b.target - shortcut, b.to_check
            else:
                yield torch.cat([x, shortcut], 1), b.target, b.to_check


def _joint_weight(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """Return the weight (outputs, inputs) of a 1x1 convolution fused with its norm."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale[:, None] * conv.weight.flatten(1)


def _write_joint(conv: nn.Conv2d, norm: nn.BatchNorm2d, weight: Tensor, intercept: Tensor) -> None:
    """Write a linear map as a 1x1 convolution and its norm; the norm of each filter stays."""
    length = conv.weight.flatten(1).norm(dim=1).double()
    length = torch.where(length > 0, length, 1.0)
    scale = weight.norm(dim=1) / length
    filters = weight / torch.where(scale > 0, scale, 1.0)[:, None]
    conv.weight.copy_(filters.view_as(conv.weight))
    norm.weight.copy_(scale * (norm.running_var.double() + norm.eps).sqrt())
    norm.bias.copy_(intercept)
    norm.running_mean.zero_()
