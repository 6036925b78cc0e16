"""Fitting an EPSANet to a ResNet's responses on images, block after block, in closed form."""

from dataclasses import dataclass
from typing import Callable, Dict, Iterator, List, Optional, Tuple

import torch
import torch.nn.functional as F
from mmdet.models.backbones.resnet import Bottleneck, ResNet
from torch import Tensor, nn

from ..models.epsanet import EPSANet
from .batch_norm import reestimate_norms
from .carry_over import (
    branch_convs,
    branches_of,
    carry_over_block,
    carry_over_stem,
    neutral_attention,
    sliced_weight,
)
from .channel_order import Branch, ChannelOrder, best_order
from .donor import named_blocks
from .images import Pictures, batches
from .least_squares import RIDGES, Samples, patches, regress, sample_positions
from .moments import output_importance, relative_energy

OUTPUT_ROWS = 512  # outputs of a 1x1 convolution that are fitted together


@dataclass(frozen=True)
class FitSettings:
    """How to fit.

    Args:
        positions: Positions of the maps that each block is fitted on, at most.
        refit_conv3: Whether to fit the 1x1 convolution after PSA, and a shortcut that has a
            convolution, as well.
        batch_size: Images at a time.
        seed: Of the choice of positions.
    """

    positions: int = 20000
    refit_conv3: bool = True
    batch_size: int = 16
    seed: int = 0


@dataclass
class Batch:
    """Activations of one batch of images before a block, and what fitting the block needs.

    Args:
        donor: (b, channels, h, w) in the donor.
        ours: The same in the network fitted so far.
        to_check: Whether the ridge is chosen on these images.
        at: Image, row and column, each (n,), of the 3x3's outputs to fit on.
        inner: (b, w, h, w) input of the 3x3, in the donor's channel order, from our activations.
        response: (n, w) of the donor's 3x3.
        target: (n, outputs) of the donor's block before its last ReLU.
        output_x: (n, features) that the block's last convolution is fitted on.
    """

    donor: Tensor
    ours: Tensor
    to_check: bool
    at: Tuple[Tensor, ...] = ()
    inner: Optional[Tensor] = None
    response: Optional[Tensor] = None
    target: Optional[Tensor] = None
    output_x: Optional[Tensor] = None


@torch.no_grad()
def fit_network(
    donor: ResNet,
    ours: EPSANet,
    pictures: Pictures,
    settings: FitSettings,
    progress: Callable[[str], None] = lambda line: None,
) -> Dict[str, ChannelOrder]:
    """Write weights fitted to the donor's responses into an EPSANet of the same depth.

    A layer's inputs come from the network fitted so far, its targets from the donor, so that it
    makes up for the errors before it. The images' activations before the current block are kept,
    so memory grows with the number of images, not with the network.

    Args:
        donor: In eval mode.
        ours: In eval mode.
        pictures: Those held out are not looked at.
        settings: How to fit.
        progress: Called with a line after every block.

    Returns:
        The channel order of every block by name.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    carry_over_stem(donor, ours)
    data = []
    for part, to_check in ((pictures.fit, False), (pictures.check, True)):
        for images in batches(part, settings.batch_size):
            x = donor.maxpool(donor.relu(donor.norm1(donor.conv1(images))))
            data.append(Batch(x, x, to_check))
    orders: Dict[str, ChannelOrder] = {}
    ridges: Dict[int, float] = {}  # of each kernel size, from the block before
    for (_, name, theirs), (_, _, block) in zip(named_blocks(donor), named_blocks(ours)):
        orders[name] = _BlockFit(theirs, block, data, settings, generator, ridges).run()
        progress(f'{name}: ridge ' + ', '.join(f'{r:g} at {k}x{k}' for k, r in ridges.items()))
    fitted_on = torch.cat([pictures.fit, pictures.check])
    reestimate_norms(ours, batches(fitted_on, settings.batch_size))
    return orders


class _BlockFit:
    def __init__(
        self,
        donor: Bottleneck,
        block: Bottleneck,
        data: List[Batch],
        settings: FitSettings,
        generator: torch.Generator,
        ridges: Dict[int, float],
    ) -> None:
        self.donor, self.block, self.data = donor, block, data
        self.settings, self.generator, self.ridges = settings, generator, ridges
        self.branches = branches_of(block.conv2)
        self.stride = donor.conv2.stride[0]

    def run(self) -> ChannelOrder:
        self.trace_donor()
        order = self.choose_order()
        carry_over_block(self.donor, self.block, order)
        self.fit_psa(order)
        if self.settings.refit_conv3:
            self.fit_output()
        for batch in self.data:
            batch.ours = self.block(batch.ours)
            batch.inner = batch.response = batch.target = batch.output_x = None
        return order

    def trace_donor(self) -> None:
        """Take the donor's responses at some positions, and its activations after the block."""
        donor = self.donor
        maps = [b.donor[:, 0, :: self.stride, :: self.stride].numel() for b in self.data]
        share = min(1.0, self.settings.positions / sum(maps))
        for b in self.data:
            response = donor.conv2(F.relu(donor.norm1(donor.conv1(b.donor))))
            b.inner = F.relu(donor.norm1(donor.conv1(b.ours)))
            shortcut = b.donor if donor.downsample is None else donor.downsample(b.donor)
            output = donor.norm3(donor.conv3(F.relu(donor.norm2(response)))) + shortcut
            b.at = sample_positions(response.shape, share, self.generator)
            b.response, b.target = self.pick(response, b), self.pick(output, b)
            b.donor = F.relu(output)

    def pick(self, x: Tensor, batch: Batch) -> Tensor:
        """Take the sampled positions (n, C) out of a map (b, C, h, w)."""
        image, row, column = batch.at
        return x[image, :, row, column]

    def choose_order(self) -> ChannelOrder:
        """Choose the channel order by the energies that the images show."""
        weight = self.donor.conv2.weight
        energy = relative_energy(self.observed_energy(weight))
        importance = output_importance(self.donor.norm2, self.donor.conv3, self.donor.norm3)
        energy *= importance[:, None]
        return best_order(energy.numpy(), self.branches, self.block.conv1.out_channels)

    def observed_energy(self, weight: Tensor) -> Tensor:
        """Give how much variance each input brings to each output of the 3x3, (w, w)."""
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

    def fit_psa(self, order: ChannelOrder) -> None:
        """Fit every group of every branch; norm2 takes the intercepts."""
        psa, norm = self.block.conv2, self.block.norm2
        scale = neutral_attention(psa)
        for conv, branch in zip(branch_convs(psa), self.branches):
            prior = sliced_weight(self.donor.conv2.weight, branch, order).flatten(1)
            inputs = torch.from_numpy(order.inputs).view(branch.groups, -1)
            outputs = torch.from_numpy(order.outputs[branch.start : branch.stop])
            ridge = self.ridges.get(branch.kernel_size, RIDGES[2])
            for group in range(branch.groups):
                size = branch.outputs_per_group
                rows = slice(group * size, (group + 1) * size)
                fit, ridge = regress(
                    lambda i=inputs[group], o=outputs[rows], b=branch: self.psa_samples(b, i, o),
                    prior[rows],
                    ridge,
                    choose=group == 0,
                )
                conv.weight[rows] = scale * fit.weight.view_as(conv.weight[rows]).to(conv.weight)
                norm.running_mean[branch.start : branch.stop][rows] -= fit.intercept.to(norm.weight)
            self.ridges[branch.kernel_size] = ridge

    def psa_samples(self, branch: Branch, inputs: Tensor, outputs: Tensor) -> Samples:
        for b in self.data:
            x = patches(b.inner[:, inputs], b.at, branch.kernel_size, self.stride)
            yield x, b.response[:, outputs], b.to_check

    def fit_output(self) -> None:
        """Fit conv3, and a shortcut that has a convolution, to the donor's block output."""
        block = self.block
        prior = _joint_weight(block.conv3, block.norm3)
        if block.downsample is not None:
            prior = torch.cat([prior, _joint_weight(*block.downsample)], 1)
        self.trace_inner()
        width, ridge = block.conv3.in_channels, self.ridges.get(1, RIDGES[2])
        for start in range(0, len(prior), OUTPUT_ROWS):
            rows = slice(start, start + OUTPUT_ROWS)
            fit, ridge = regress(
                lambda rows=rows: self.output_samples(rows), prior[rows], ridge, choose=start == 0
            )
            _write_joint(block.conv3, block.norm3, fit.weight[:, :width], fit.intercept, rows)
            if block.downsample is not None:
                none = torch.zeros_like(fit.intercept)
                _write_joint(*block.downsample, fit.weight[:, width:], none, rows)
        self.ridges[1] = ridge

    def trace_inner(self) -> None:
        """Take our own activations before conv3, and what is left of the block's target."""
        block = self.block
        for b in self.data:
            inner = F.relu(block.norm1(block.conv1(b.ours)))
            b.output_x = self.pick(F.relu(block.norm2(block.conv2(inner))), b)
            shortcut = self.pick(b.ours[:, :, :: self.stride, :: self.stride], b)
            if block.downsample is None:
                b.target = b.target - shortcut
            else:
                b.output_x = torch.cat([b.output_x, shortcut], 1)

    def output_samples(self, rows: slice) -> Iterator[Tuple[Tensor, Tensor, bool]]:
        for b in self.data:
            yield b.output_x, b.target[:, rows], b.to_check


def _joint_weight(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """Give the weight (outputs, inputs) of a 1x1 convolution and its norm together."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale[:, None] * conv.weight.flatten(1)


def _write_joint(
    conv: nn.Conv2d, norm: nn.BatchNorm2d, weight: Tensor, intercept: Tensor, rows: slice
) -> None:
    """Write a linear map as a 1x1 convolution and its norm; each filter keeps its length."""
    length = conv.weight[rows].flatten(1).norm(dim=1).double()
    length = torch.where(length > 0, length, 1.0)
    scale = weight.norm(dim=1) / length
    filters = weight / torch.where(scale > 0, scale, 1.0)[:, None]
    conv.weight[rows] = filters.view_as(conv.weight[rows]).to(conv.weight)
    deviation = (norm.running_var[rows].double() + norm.eps).sqrt()
    norm.weight[rows] = (scale * deviation).to(norm.weight)
    norm.bias[rows] = intercept.to(norm.bias)
    norm.running_mean[rows] = 0
