"""Convert a trained network to a plain one for inference."""

import copy
from typing import Optional, TypeVar

from mmcv.cnn import ConvModule
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..errors import ArgumentError
from ..layers import PSAModule, SqueezeMLP
from ..layers.deployed_psa import DeployedPSA

Network = TypeVar('Network', bound=nn.Module)


def deploy(network: Network) -> Network:
    """Return a plain network for inference that computes the same.

    Batch norms are folded into the convolution before them, or into the attention of the
    :class:`PSAModule` before them. The result has plain modules only, so it can be exported and
    compiled, and mmdet uses it like the original. Like mmcv's ``fuse_conv_bn``, this assumes that a
    batch norm follows the module that is defined right before it.

    Args:
        network: Backbone, detector or any module in evaluation mode; it stays unchanged.

    Raises:
        ArgumentError: If the network is in training mode.
    """
    training = [name for name, module in network.named_modules() if module.training]
    if training:
        raise ArgumentError(
            f'deploy needs a network in evaluation mode, but {training[0] or "it"} is in training '
            'mode; call eval() on it first'
        )
    network = copy.deepcopy(network)
    if isinstance(network, PSAModule):
        return DeployedPSA(network).requires_grad_(False).eval()
    parents = list(network.modules())
    for parent in parents:
        if not isinstance(parent, ConvModule) or parent.order[:2] == ('conv', 'norm'):
            _fold_norms(parent)
    for parent in parents:
        for name, child in list(parent.named_children()):
            if isinstance(child, PSAModule):
                setattr(parent, name, DeployedPSA(child).eval())
    return network.requires_grad_(False)


def _fold_norms(parent: nn.Module) -> None:
    before: Optional[str] = None
    for name, child in list(parent.named_children()):
        owner = parent._modules.get(before)
        if _has_statistics(child) and _out_channels(owner) == child.num_features:
            setattr(parent, before, _folded(owner, child))
            setattr(parent, name, nn.Identity().eval())
        before = name


def _folded(owner: nn.Module, norm: _BatchNorm) -> nn.Module:
    if isinstance(owner, PSAModule):
        return DeployedPSA(owner, norm).eval()
    if isinstance(owner, SqueezeMLP):
        owner.fc2 = fuse_conv_bn_eval(owner.fc2, norm)
        return owner
    return fuse_conv_bn_eval(owner, norm)


def _has_statistics(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.running_mean is not None


def _out_channels(module: Optional[nn.Module]) -> Optional[int]:
    """Return the output channels of a module that a batch norm can be folded into, or None."""
    if isinstance(module, PSAModule):
        return module.branches * module.conv_1.out_channels
    if isinstance(module, SqueezeMLP):
        return module.fc2.out_channels
    return module.out_channels if isinstance(module, nn.Conv2d) else None
