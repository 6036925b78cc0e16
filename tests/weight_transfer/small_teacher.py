"""A narrow ResNet of two stages with realistic norms, and EPSANets of its size."""

import numpy as np
import torch
from mmdet.models.backbones.resnet import ResNet

from epsanet_mmdet.datasets.shapes import draw_scene
from epsanet_mmdet.layers import PSAModule
from epsanet_mmdet.models.epsanet import EPSANet
from epsanet_mmdet.weight_transfer.images import Pictures, batches
from epsanet_mmdet.weight_transfer.permutation import branches_of
from epsanet_mmdet.weight_transfer.teacher import named_blocks

SIZES = dict(
    base_channels=32,
    stem_channels=32,
    num_stages=2,
    strides=(1, 2),
    dilations=(1, 1),
    out_indices=(0, 1),
    norm_cfg=dict(type='BN'),
)
GROUPS = dict(small=(1, 2, 4, 8), large=(16, 16, 16, 16))


def scenes(count: int, size: int = 48, seed: int = 0) -> torch.Tensor:
    """Draw uint8 images (count, 3, size, size)."""
    random = np.random.default_rng(seed)
    drawn = [draw_scene(size, random)[0].transpose(2, 0, 1) for _ in range(count)]
    return torch.from_numpy(np.stack(drawn))


def pictures(fit: int = 24, check: int = 8, held_out: int = 8) -> Pictures:
    drawn = scenes(fit + check + held_out)
    return Pictures(*drawn.split((fit, check, held_out)))


def teacher(seed: int = 0, mask=None) -> ResNet:
    """Return a ResNet whose norms have the statistics of images.

    ``mask(w)`` returns 1 where an output (row) of a 3x3 convolution sees an input (column).
    """
    torch.manual_seed(seed)
    model = ResNet(50, **SIZES)
    for _, _, block in named_blocks(model):
        weight = block.conv2.weight
        # some inputs matter more than others, as in trained networks
        weight.data *= torch.exp(torch.randn(len(weight), len(weight), 1, 1))
        if mask is not None:
            weight.data *= mask(len(weight))[:, :, None, None]
    model.norm_eval = False
    model.train()
    for norm in (m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        torch.nn.init.uniform_(norm.weight, 0.5, 1.0)
        torch.nn.init.normal_(norm.bias, 0, 0.3)
        norm.momentum = None  # the mean over all batches
    with torch.no_grad():
        for batch in batches(scenes(16, seed=1)):
            model(batch)
    model.requires_grad_(False).eval()
    return model


def hidden_groups(channels: int) -> torch.Tensor:
    """Return the mask of a PSA module whose channels were shuffled."""
    random = np.random.default_rng(channels)
    inputs, outputs = random.permutation(channels), random.permutation(channels)
    mask = torch.zeros(channels, channels)
    with torch.device('meta'):  # draws no random numbers
        psa = PSAModule(channels, channels, groups=GROUPS['small'])
    for branch in branches_of(psa):
        rows = outputs[branch.start : branch.stop].reshape(branch.groups, -1)
        for members, columns in zip(rows, inputs.reshape(branch.groups, -1)):
            mask[np.ix_(members, columns)] = 1
    return mask


def epsanet(arch: str = 'small', **kwargs) -> EPSANet:
    torch.manual_seed(1)
    options = {**SIZES, 'groups': GROUPS[arch], 'reduction': 4, **kwargs}
    return EPSANet(50, arch, **options).train(False)
