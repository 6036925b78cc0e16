"""Networks to benchmark: backbones by name, detectors and their backbones by config."""

import copy
import os.path as osp
from typing import Callable, Dict, List, NamedTuple, Tuple

import torch
from torch import nn

from ..config.build import build_without_weights
from ..config.load import load_config
from ..errors import ArgumentError, ConfigError
from ..models.deployed import deploy
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


def _compile(network: nn.Module) -> nn.Module:
    for part in _compilable_parts(network):
        # Freezing folds weights into the graph; it applies to inference only.
        part.compile(dynamic=False, options=dict(freezing=True))
    return network


def _capture(network: nn.Module) -> nn.Module:
    if not torch.cuda.is_available():
        raise ConfigError('option +cudagraph needs a GPU; leave it out')
    for part in _compilable_parts(network):
        part.compile(backend='cudagraphs')
    return network


def _compilable_parts(network: nn.Module) -> List[nn.Module]:
    if not hasattr(network, 'extract_feat'):
        return [network]
    return [part for part in (network.backbone, getattr(network, 'neck', None)) if part]


def _deploy(network: nn.Module) -> nn.Module:
    network.eval()  # mmdet's ResNet returns None
    return deploy(network)


OPTIONS: Dict[str, Tuple[Callable[[nn.Module], nn.Module], str]] = {
    'published': (published_formulation, "EPSANet in the steps of the authors' code"),
    'deploy': (_deploy, 'deployed, for inference only'),
    'library': (lambda network: network, "without the package's own kernels"),
    'channels-last': (
        lambda network: network.to(memory_format=torch.channels_last),
        'in channels-last memory format',
    ),
    'compile': (_compile, 'compiled with inductor'),
    'cudagraph': (_capture, 'replayed as CUDA graphs'),
}


class Network(NamedTuple):
    """A network to measure.

    Attributes:
        name: Its name, with options.
        module: The backbone or detector.
        plain: The same without options, whose operations can be counted.
        options: The options in its name, in order.
    """

    name: str
    module: nn.Module
    plain: nn.Module
    options: Tuple[str, ...]

    @property
    def is_detector(self) -> bool:
        """True for a whole detector, False for a backbone."""
        return hasattr(self.module, 'extract_feat')


def build_network(name: str, device: torch.device) -> Network:
    """Build a network with random weights.

    Args:
        name: ``NAME[:backbone][+OPTION...]``. NAME is one of :data:`BACKBONES`, or a config by path
            or bare name. A config means the whole detector, or with ``:backbone`` its backbone.
            The :data:`OPTIONS` apply in the given order.
        device: Device to move it to.

    Raises:
        ArgumentError: If an option does not exist.
        ConfigError: If the backbone or config does not exist, or cannot be built.
    """
    base, options = split_options(name)
    torch.manual_seed(0)
    plain = _build(base).to(device)
    module = plain
    for option in options:
        module = OPTIONS[option][0](copy.deepcopy(plain) if module is plain else module)
    return Network(name, module, plain, options)


def split_options(name: str) -> Tuple[str, Tuple[str, ...]]:
    """Split a network's name into the part before the first ``+`` and the options.

    Raises:
        ArgumentError: If an option does not exist.
    """
    base, *options = name.split('+')
    for option in options:
        if option not in OPTIONS:
            raise ArgumentError(
                f"there is no option '+{option}' in '{name}'; choose one of +{', +'.join(OPTIONS)}"
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
        raise ConfigError(f'{error}; backbones by name are {", ".join(BACKBONES)}')
    if not config.get('model') or not config.model.get('backbone'):
        raise ConfigError(f"config '{config_name}' has no model with a backbone; choose another")
    try:
        return build_without_weights(config.model.backbone if part else config.model)
    except (TypeError, ValueError, KeyError, AssertionError) as error:
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        raise ConfigError(f"the model of config '{config_name}' cannot be built: {reason}")
