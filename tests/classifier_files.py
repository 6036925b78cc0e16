"""State dicts of classifiers with the names and shapes of other projects, taken from their code."""

import math
from typing import Callable, Dict, Sequence

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


def dct_basis(channels: int, size: int) -> Tensor:
    """The basis of FcaNet's "top16" frequencies, one for each sixteenth of the channels."""
    rows = (0, 0, 6, 0, 0, 1, 1, 4, 5, 1, 3, 0, 0, 0, 3, 2)
    columns = (0, 1, 0, 5, 2, 0, 2, 0, 0, 6, 0, 4, 6, 3, 5, 2)
    position = (torch.arange(size, dtype=torch.double) + 0.5) / size

    def wave(frequency: int) -> Tensor:
        value = torch.cos(math.pi * frequency * (size // 7) * position) / math.sqrt(size)
        return value * math.sqrt(2) if frequency else value

    maps = [torch.outer(wave(u), wave(v)) for u, v in zip(rows, columns)]
    return torch.stack(maps).float().repeat_interleave(channels // 16, 0)


def authors_fca(channels: int) -> Dict[str, Tensor]:
    return {
        'att.dct_layer.weight': dct_basis(channels, 56 * 256 // channels),
        'att.fc.0.weight': torch.randn(channels // 16, channels),
        'att.fc.2.weight': torch.randn(channels, channels // 16),
    }


def timm_eca(channels: int) -> Dict[str, Tensor]:
    return {'se.conv.weight': torch.randn(1, 1, {256: 5, 512: 5, 1024: 5, 2048: 7}[channels])}


def authors_eca_of(kernel_sizes: Sequence[int]) -> Callable[[int], Dict[str, Tensor]]:
    """Return the attention of a released ECANet with these kernels."""
    return lambda channels: {
        'eca.conv.weight': torch.randn(1, 1, kernel_sizes[(256, 512, 1024, 2048).index(channels)])
    }


authors_eca = authors_eca_of((3, 5, 5, 7))  # the released ECANet-50


def named(prefix: str, **parts: Dict[str, Tensor]) -> Dict[str, Tensor]:
    return {f'{prefix}{part}.{k}': v for part, tensors in parts.items() for k, v in tensors.items()}


def layer(*shape: int, bias: bool = True) -> Dict[str, Tensor]:
    weight = dict(weight=torch.randn(*shape))
    return {**weight, 'bias': torch.randn(shape[0])} if bias else weight


def cadene_se(channels: int) -> Dict[str, Tensor]:
    return {name.replace('se.', 'se_module.'): v for name, v in timm_se(channels).items()}


def authors_cbam(channels: int) -> Dict[str, Tensor]:
    hidden = channels // 16
    mlp = {'1': layer(hidden, channels), '3': layer(channels, hidden)}
    return {
        **named('cbam.ChannelGate.mlp.', **mlp),
        **named('cbam.SpatialGate.spatial.', conv=layer(1, 2, 7, 7, bias=False), bn=batch_norm(1)),
    }


def authors_bam(channels: int) -> Dict[str, Tensor]:
    hidden = channels // 16
    return {
        **named(
            'channel_att.gate_c.gate_c_',
            fc_0=layer(hidden, channels),
            bn_1=batch_norm(hidden),
            fc_final=layer(channels, hidden),
        ),
        **named(
            'spatial_att.gate_s.gate_s_',
            conv_reduce0=layer(hidden, channels, 1, 1),
            bn_reduce0=batch_norm(hidden),
            conv_di_0=layer(hidden, hidden, 3, 3),
            bn_di_0=batch_norm(hidden),
            conv_di_1=layer(hidden, hidden, 3, 3),
            bn_di_1=batch_norm(hidden),
            conv_final=layer(1, hidden, 1, 1),
        ),
    }


def bam_resnet() -> Dict[str, Tensor]:
    """The authors' BAM-ResNet-50, with a BAM after each of the first three stages."""
    return {
        **resnet(),
        **named('', bam1=authors_bam(256), bam2=authors_bam(512), bam3=authors_bam(1024)),
    }


def cadene_names(state: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Use Cadene's names of stem and head; his files are too old to have batch counters."""
    changes = {'conv1.': 'layer0.conv1.', 'bn1.': 'layer0.bn1.', 'fc.': 'last_linear.'}
    renamed = {}
    for name, value in state.items():
        for theirs, his in changes.items():
            name = his + name.removeprefix(theirs) if name.startswith(theirs) else name
        if not name.endswith('num_batches_tracked'):
            renamed[name] = value
    return renamed


def resnext_conv2(width: int) -> Dict[str, Tensor]:
    """The middle convolution of ResNeXt 32x4d."""
    return {'weight': torch.randn(width, width // 32, 3, 3)}


def resnet(depth: int = 50, conv2=conv3x3, attention=None, width: int = 64) -> Dict[str, Tensor]:
    """Torchvision's ResNet, optionally with another middle convolution or with attention."""
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
