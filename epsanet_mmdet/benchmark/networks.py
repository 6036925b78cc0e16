"""What can be benchmarked: backbones by name, and detectors or their backbones by config."""

import copy
import os.path as osp
from typing import Callable, Dict, NamedTuple, Tuple

import torch
from torch import nn

from ..config.build import build_without_weights
from ..config.load import load_config
from ..errors import ArgumentError, ConfigError
from .published_psa import published_formulation

TRAINABLE = dict(norm_eval=False)
BACKBONES: Dict[str, dict] = {
    'resnet50': dict(type='ResNet', depth=50),
    'resnext50-32x4d': dict(type='ResNeXt', depth=50, groups=32, base_width=4),
    'res2net50': dict(type='Res2Net', depth=50, scales=4, base_width=26),
    'resnest50': dict(
        type='ResNeSt', depth=50, stem_channels=64, radix=2, reduction_factor=4, base_width=64
    ),
    'epsanet50-s': dict(type='EPSANet', depth=50, arch='small'),
    'epsanet50-l': dict(type='EPSANet', depth=50, arch='large'),
}


def compile_network(network: nn.Module) -> nn.Module:
    """Compile with inductor, for each size anew: a backbone, or a detector's backbone and neck."""
    for part in _compilable(network):
        # Freezing folds weights into the graph; it acts in inference only.
        part.compile(dynamic=False, options=dict(freezing=True))
    return network


def capture_network(network: nn.Module) -> nn.Module:
    """Replay a backbone, or a detector's backbone and neck, as CUDA graphs."""
    if not torch.cuda.is_available():
        raise ConfigError('option +cudagraph needs a GPU; leave it out')
    for part in _compilable(network):
        part.compile(backend='cudagraphs')
    return network


def _deploy(network: nn.Module) -> nn.Module:
    from ..models.deployed import deploy

    network.eval()  # which returns None, of mmdet's ResNet
    return deploy(network)


def _unchanged(network: nn.Module) -> nn.Module:
    return network


def _channels_last(network: nn.Module) -> nn.Module:
    return network.to(memory_format=torch.channels_last)


OPTIONS: Dict[str, Tuple[Callable[[nn.Module], nn.Module], str]] = {
    'published': (published_formulation, "EPSANet in the steps of the authors' code"),
    'deploy': (_deploy, 'deployed, for inference only'),
    'library': (_unchanged, "computed without the package's own kernels"),
    'channels-last': (_channels_last, 'in channels-last memory format'),
    'compile': (compile_network, 'compiled with inductor'),
    'cudagraph': (capture_network, 'replayed as CUDA graphs'),
}


class Network(NamedTuple):
    """A network to measure.

    Attributes:
        name: As it was asked for.
        module: The backbone or detector.
        plain: The same without options, whose operations can be counted.
        options: Those of its name, in order.
    """

    name: str
    module: nn.Module
    plain: nn.Module
    options: Tuple[str, ...]

    @property
    def is_detector(self) -> bool:
        """Whether it is a whole detector."""
        return is_detector(self.module)

    @property
    def trainable(self) -> bool:
        """Whether it can be trained."""
        return not is_for_inference(self.options)


def is_detector(module: nn.Module) -> bool:
    """Say whether a module is a whole detector, rather than a backbone."""
    return hasattr(module, 'extract_feat')


def is_for_inference(options: Tuple[str, ...]) -> bool:
    """Say whether a network with these options cannot be trained."""
    return any(option.startswith('deploy') for option in options)


def build_network(name: str, device: torch.device) -> Network:
    """Build a network with random weights.

    Args:
        name: ``WHAT[:backbone][+OPTION...]``. WHAT is one of :data:`BACKBONES`, or a config by its
            path or bare name, which stands for the whole detector or with ``:backbone`` for that
            alone. The options of :data:`OPTIONS` apply in the order given.
        device: To put it on.

    Raises:
        ArgumentError: If there is no such option.
        ConfigError: If there is no such backbone or config, or it cannot be built.
    """
    base, options = split_options(name)
    torch.manual_seed(0)
    plain = _build(base).to(device)
    module = plain
    for option in options:
        module = OPTIONS[option][0](copy.deepcopy(plain) if module is plain else module)
    return Network(name, module, plain, options)


def split_options(name: str) -> Tuple[str, Tuple[str, ...]]:
    """Split a name into what is before the first ``+`` and the options.

    Raises:
        ArgumentError: If there is no such option.
    """
    base, *options = name.split('+')
    for option in options:
        if option not in OPTIONS:
            raise ArgumentError(
                f"there is no option '+{option}' in '{name}'; choose of +{', +'.join(OPTIONS)}"
            )
    return base, tuple(options)


def _build(base: str) -> nn.Module:
    if base in BACKBONES:
        return build_without_weights({**BACKBONES[base], **TRAINABLE})
    config_name, _, part = base.partition(':') if base.endswith(':backbone') else (base, '', '')
    try:
        config = load_config(config_name)
    except ConfigError as error:
        if osp.isfile(config_name):
            raise
        raise ConfigError(f'{error}; backbones by name are: {", ".join(BACKBONES)}')
    if not config.get('model') or not config.model.get('backbone'):
        raise ConfigError(f"config '{config_name}' has no model with a backbone; give another")
    try:
        return build_without_weights(config.model.backbone if part else config.model)
    except (TypeError, ValueError, KeyError, AssertionError) as error:
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        raise ConfigError(f"the model of config '{config_name}' cannot be built: {reason}")


def _compilable(network: nn.Module) -> Tuple[nn.Module, ...]:
    if not is_detector(network):
        return (network,)
    return tuple(part for part in (network.backbone, getattr(network, 'neck', None)) if part)
