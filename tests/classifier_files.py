"""Classifiers' state dicts as other projects name and shape them, written down from their code."""

from typing import Dict, Sequence

import torch
from torch import Tensor

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


def batch_norm(channels: int) -> Dict[str, Tensor]:
    return dict(
        weight=torch.rand(channels) + 0.5,
        bias=torch.randn(channels),
        running_mean=torch.randn(channels),
        running_var=torch.rand(channels) + 0.5,
        num_batches_tracked=torch.tensor(7),
    )


def conv3x3(width: int) -> Dict[str, Tensor]:
    return {'weight': torch.randn(width, width, 3, 3)}


def psa(
    width: int,
    kernel_sizes: Sequence[int] = (3, 5, 7, 9),
    groups: Sequence[int] = (1, 4, 8, 16),
) -> Dict[str, Tensor]:
    """The authors' PSAModule."""
    share = width // 4
    tensors = {
        f'conv_{i}.weight': torch.randn(share, width // g, k, k)
        for i, (k, g) in enumerate(zip(kernel_sizes, groups), start=1)
    }
    for name, (rows, columns) in dict(fc1=(share // 16, share), fc2=(share, share // 16)).items():
        tensors[f'se.{name}.weight'] = torch.randn(rows, columns, 1, 1)
        tensors[f'se.{name}.bias'] = torch.randn(rows)
    return tensors


def timm_se(channels: int) -> Dict[str, Tensor]:
    return {
        'se.fc1.weight': torch.randn(channels // 16, channels, 1, 1),
        'se.fc1.bias': torch.randn(channels // 16),
        'se.fc2.weight': torch.randn(channels, channels // 16, 1, 1),
        'se.fc2.bias': torch.randn(channels),
    }


def linear_se(channels: int) -> Dict[str, Tensor]:
    """The SE of moskomule's senet.pytorch: linear layers without bias."""
    return {
        'se.fc.0.weight': torch.randn(channels // 16, channels),
        'se.fc.2.weight': torch.randn(channels, channels // 16),
    }


def authors_fca(channels: int) -> Dict[str, Tensor]:
    size = 56 * 256 // channels
    return {
        'att.dct_layer.weight': torch.randn(channels, size, size),
        'att.fc.0.weight': torch.randn(channels // 16, channels),
        'att.fc.2.weight': torch.randn(channels, channels // 16),
    }


def timm_eca(channels: int) -> Dict[str, Tensor]:
    return {'se.conv.weight': torch.randn(1, 1, {256: 5, 512: 5, 1024: 5, 2048: 7}[channels])}


def authors_eca(channels: int) -> Dict[str, Tensor]:
    """The released ECANet-50, whose first stage has a shorter kernel than the formula gives."""
    return {'eca.conv.weight': torch.randn(1, 1, {256: 3, 512: 5, 1024: 5, 2048: 7}[channels])}


def resnet(depth: int = 50, conv2=conv3x3, attention=None, width: int = 64) -> Dict[str, Tensor]:
    """Torchvision's ResNet, with another middle convolution or with attention in its blocks."""
    parts = {'conv1': {'weight': torch.randn(64, 3, 7, 7)}, 'bn1': batch_norm(64)}
    channels = 64
    for stage, blocks in enumerate(BLOCKS[depth]):
        middle, out = width * 2**stage, 256 * 2**stage
        for i in range(blocks):
            name = f'layer{stage + 1}.{i}'
            parts[f'{name}.conv1'] = {'weight': torch.randn(middle, channels, 1, 1)}
            parts[f'{name}.bn1'] = batch_norm(middle)
            parts[f'{name}.conv2'] = conv2(middle)
            parts[f'{name}.bn2'] = batch_norm(middle)
            parts[f'{name}.conv3'] = {'weight': torch.randn(out, middle, 1, 1)}
            parts[f'{name}.bn3'] = batch_norm(out)
            if i == 0:
                parts[f'{name}.downsample.0'] = {'weight': torch.randn(out, channels, 1, 1)}
                parts[f'{name}.downsample.1'] = batch_norm(out)
            if attention:
                parts[name] = attention(out)
            channels = out
    parts['fc'] = {'weight': torch.randn(10, channels), 'bias': torch.randn(10)}
    return {f'{part}.{k}': v for part, tensors in parts.items() for k, v in tensors.items()}


def authors_checkpoint(depth: int = 50, **options) -> Dict:
    """A checkpoint of the EPSANet authors' training script."""
    state = resnet(depth, conv2=lambda width: psa(width, **options))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(3))], lr=0.1, momentum=0.9)
    return dict(
        epoch=120,
        arch=f'epsanet{depth}',
        state_dict={f'module.{name}': value for name, value in state.items()},
        best_prec1=torch.tensor(77.49),
        optimizer=optimizer.state_dict(),
    )


def backbone_part(state: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Everything but the head."""
    return {name: value for name, value in state.items() if not name.startswith('fc.')}
