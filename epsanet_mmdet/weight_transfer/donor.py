"""Reading the ResNet that an EPSANet is made from."""

import re
from typing import Iterator, Mapping, NamedTuple, Tuple

import torch
from mmdet.models.backbones.resnet import Bottleneck, ResNet
from torch import Tensor

from ..checkpoint.weight_files import read_weights
from ..errors import CheckpointError
from .architecture import read_architecture
from .weight_names import HEAD

ATTENTION = re.compile(r'layer\d+\.\d+\.(se|se_module|eca|att|\w+_layer2d)\.')


class Donor(NamedTuple):
    """A ResNet in eval mode, and its depth."""

    model: ResNet
    depth: int


def read_donor(path: str) -> Donor:
    """Read a ResNet from a classifier's or backbone's checkpoint, as torchvision and timm name it.

    The classifier is left out. It may be a URL, or a ``.safetensors`` file.

    Raises:
        CheckpointError: If the file is damaged, or holds no plain ResNet of bottlenecks; the
            message says what it holds instead, or which tensor is missing.
    """
    weights = {k: v for k, v in read_weights(path).tensors.items() if not HEAD.match(k)}
    reason = refusal(weights)
    if reason:
        raise CheckpointError(
            f"donor '{path}' {reason}; give a plain ResNet-50, 101 or 152, as torchvision and timm "
            'have them'
        )
    model = build_resnet(weights)
    model.load_state_dict({k: weights.get(k, v) for k, v in model.state_dict().items()})
    model.requires_grad_(False).eval()  # mmdet's eval() returns nothing
    return Donor(model, model.depth)


def build_resnet(weights: Mapping[str, Tensor]) -> ResNet:
    """Build a ResNet of the weights' depth and width."""
    return ResNet(
        read_architecture(weights).depth,
        stem_channels=len(weights['conv1.weight']),
        base_channels=len(weights['layer1.0.conv1.weight']),
        norm_cfg=dict(type='BN'),
    )


def refusal(weights: Mapping[str, Tensor]) -> str:
    """Return why weights are not those of a plain ResNet, or ''."""
    return _other_kind(weights) or _misfit(weights)


def _other_kind(weights: Mapping[str, Tensor]) -> str:
    for name in ('layer1.0.conv1.weight', 'layer1.0.conv2.weight'):
        if name in weights and (weights[name].ndim != 4 or not weights[name].numel()):
            return f'has a {name} that is no convolution'
    found = read_architecture(weights)
    if found is None:
        return 'is no ResNet: it has no layer1.0.conv1.weight'
    if found.kernel_sizes is not None:
        return f'is an {found} already'
    if any(ATTENTION.match(name) for name in weights):
        return 'has attention layers in its blocks, which cannot be carried over'
    if found.deep_stem:
        return 'has no conv1.weight: its stem is another than one convolution'
    if found.groups != (1,):
        return f'is a {found} of {found.groups[0]} groups'
    if 'layer1.0.conv3.weight' not in weights:
        return f'is a {found} of basic blocks'
    if found.depth is None:
        return 'has blocks in other numbers than ResNet-50, 101 and 152'
    out = weights['layer1.0.conv3.weight'].shape[0]
    if out != Bottleneck.expansion * found.width:
        return f'is a Wide {found}: {out} channels leave its first block'
    return ''


def _misfit(weights: Mapping[str, Tensor]) -> str:
    model = build_resnet(weights)
    wanted = model.state_dict()
    kind = f'a ResNet-{model.depth}'
    missing = [k for k in wanted if k not in weights and not k.endswith('num_batches_tracked')]
    if missing:
        return f'lacks {len(missing)} tensors of {kind}, such as {missing[0]}'
    extra = [k for k in weights if k not in wanted]
    if extra:
        return f'has {len(extra)} tensors that {kind} has not, such as {extra[0]}'
    for name, value in weights.items():
        if value.shape != wanted[name].shape:
            return f'has {name} of shape {tuple(value.shape)}, not {tuple(wanted[name].shape)}'
        if wanted[name].is_floating_point() > value.is_floating_point():
            return f'has integers in {name}, as quantised weights do'
        if not torch.isfinite(value).all():
            return f'has numbers in {name} that are not finite'
        if name.endswith('running_var') and (value < 0).any():
            return f'has negative variances in {name}'
    return ''


def named_blocks(model: ResNet) -> Iterator[Tuple[int, str, Bottleneck]]:
    """Yield stage from 1, name, and block, in the order of the forward pass."""
    for stage, layer in enumerate(model.res_layers, start=1):
        for i, block in enumerate(getattr(model, layer)):
            yield stage, f'{layer}.{i}', block
