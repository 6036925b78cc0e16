"""Reading the ResNet that an EPSANet is initialised from."""

import re
from typing import Iterator, Mapping, Optional, Tuple

from mmdet.models.backbones.resnet import Bottleneck, ResNet
from torch import Tensor

from ..checkpoint.compare import compare, value_fault
from ..checkpoint.weight_files import Weights, read_weights
from ..errors import CheckpointError
from .architecture import read_architecture
from .weight_names import HEAD

WIDTH = 64  # of the first stage of ResNet-50, 101 and 152
ATTENTION = re.compile(r'layer\d+\.\d+\.(se|se_module|eca|att|\w+_layer2d)\.')


def read_teacher(path: str, depth: Optional[int] = None, read: Optional[Weights] = None) -> ResNet:
    """Load a ResNet from a checkpoint of a classifier, a backbone or a detector.

    Names are those of torchvision, timm and mmdet. Only the backbone is loaded.

    Args:
        path: ``.pth`` or ``.safetensors`` file, or a URL.
        depth: 50, 101 or 152, if it must be that.
        read: The weights in the file, if they have been read.

    Returns:
        The ResNet in eval mode, without gradients.

    Raises:
        CheckpointError: If the file is damaged, or holds no plain ResNet with bottlenecks of that
            depth and of the usual width; the message names what it holds instead.
    """
    read = read or read_weights(path)
    weights = {k: v for k, v in read.tensors.items() if not HEAD.match(k)}
    fault = _architecture_fault(weights)
    if not fault:
        model = ResNet(
            read_architecture(weights).depth,
            stem_channels=len(weights['conv1.weight']),
            base_channels=len(weights['layer1.0.conv1.weight']),
            norm_cfg=dict(type='BN'),
        )
        fault = _tensor_fault(weights, model)
    if fault:
        raise CheckpointError(
            f"teacher '{path}' {fault}; use a plain ResNet-50, 101 or 152 with the tensor names of "
            'torchvision and timm'
        )
    if depth is not None and model.depth != depth:
        raise CheckpointError(
            f"teacher '{path}' is a ResNet-{model.depth}, but depth {depth} was asked for; ask for "
            f'depth {model.depth}, or use the checkpoint of a ResNet-{depth}'
        )
    if model.base_channels != WIDTH:
        raise CheckpointError(
            f"teacher '{path}' has {model.base_channels} channels in its first stage, where a "
            f'ResNet-{model.depth} has {WIDTH}; use one of the usual width'
        )
    model.load_state_dict({k: weights.get(k, v) for k, v in model.state_dict().items()})
    model.requires_grad_(False).eval()  # mmdet's eval() returns None
    return model


def _architecture_fault(weights: Mapping[str, Tensor]) -> Optional[str]:
    for name in ('layer1.0.conv1.weight', 'layer1.0.conv2.weight'):
        if name in weights and (weights[name].ndim != 4 or not weights[name].numel()):
            return f'has a {name} that is not a convolution'
    found = read_architecture(weights)
    if found is None:
        return 'is not a ResNet: it has no layer1.0.conv1.weight'
    if found.kernel_sizes is not None:
        return f'is already an {found}'
    if any(ATTENTION.match(name) for name in weights):
        return 'has attention layers in its blocks, which cannot be transferred'
    if found.deep_stem:
        return 'has no conv1.weight: its stem is not a single convolution'
    if found.groups != (1,):
        return f'is a {found} with {found.groups[0]} groups'
    if 'layer1.0.conv3.weight' not in weights:
        return f'is a {found} with basic blocks'
    if found.depth is None:
        return 'does not have the number of blocks of ResNet-50, 101 or 152'
    out = weights['layer1.0.conv3.weight'].shape[0]
    if out != Bottleneck.expansion * found.width:
        return f'is a Wide {found}: its first block has {out} output channels'
    return None


def _tensor_fault(weights: Mapping[str, Tensor], model: ResNet) -> Optional[str]:
    wanted = model.state_dict()
    found = compare(weights, wanted)
    if found.missing:
        missing = f'{len(found.missing)} tensors of a ResNet-{model.depth}'
        return f'lacks {missing}, such as {found.missing[0]}'
    if found.unexpected:
        extra = f'{len(found.unexpected)} tensors that a ResNet-{model.depth} does not have'
        return f'has {extra}, such as {found.unexpected[0]}'
    if found.reshaped:
        name = found.reshaped[0]
        return f'has {name} of shape {tuple(weights[name].shape)}, not {tuple(wanted[name].shape)}'
    for name in found.matched:
        if name.endswith('running_var') and (weights[name] < 0).any():
            return f'has negative variances in {name}'
    return value_fault(weights, wanted)


def named_blocks(model: ResNet) -> Iterator[Tuple[int, str, Bottleneck]]:
    """Yield stage (from 1), name, and block, in the order of the forward pass."""
    for stage, layer in enumerate(model.res_layers, start=1):
        for i, block in enumerate(getattr(model, layer)):
            yield stage, f'{layer}.{i}', block
