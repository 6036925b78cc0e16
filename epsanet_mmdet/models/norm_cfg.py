"""Convert mmdet's ``norm_cfg`` to the ``norm_layer`` of this package's layers."""

from typing import Optional

from mmcv.cnn import build_norm_layer
from mmengine.registry import MODELS
from torch import nn

from ..errors import ArgumentError
from ..layers import CPUSyncBatchNorm2d, PooledBatchNorm2d
from ..layers.norm import NormLayer

MODELS.register_module(module=CPUSyncBatchNorm2d)
MODELS.register_module(module=PooledBatchNorm2d)


def norm_layer_of(norm_cfg: Optional[dict]) -> NormLayer:
    """Return the ``norm_layer`` that builds the norm of a ``norm_cfg``.

    ``BN`` becomes :class:`PooledBatchNorm2d`, because the layers normalise globally pooled maps,
    which have a single value per channel in a batch of one image.

    Args:
        norm_cfg: Argument of mmcv's ``build_norm_layer``; None means ``dict(type='BN')``.

    Raises:
        ArgumentError: When the norm is built, if its groups do not divide the channels.
    """
    cfg = dict(norm_cfg or dict(type='BN'))
    if cfg.get('type') in ('BN', 'BN2d', nn.BatchNorm2d):
        cfg['type'] = 'PooledBatchNorm2d'

    def build(channels: int) -> nn.Module:
        groups = cfg.get('num_groups', 1)
        if channels % groups:
            raise ArgumentError(
                f'norm_cfg={norm_cfg} does not fit a layer of {channels} channels; set a norm_cfg '
                f"whose num_groups divides them in the attention layer's own cfg"
            )
        return build_norm_layer(cfg, channels)[1]

    return build
