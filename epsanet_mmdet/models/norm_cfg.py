"""mmdet's ``norm_cfg`` for the layers of this package, which take a ``norm_layer``."""

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
    """Return the ``norm_layer`` that builds what ``norm_cfg`` describes.

    ``BN`` is built as :class:`PooledBatchNorm2d`, since the layers normalise globally pooled maps,
    of which a batch of one image has a single value per channel.

    Args:
        norm_cfg: As mmcv's ``build_norm_layer`` takes it; None is ``dict(type='BN')``.

    Raises:
        ValueError: When building, if the channels do not fit the norm.
    """
    cfg = dict(norm_cfg or dict(type='BN'))
    if cfg.get('type') in ('BN', 'BN2d', nn.BatchNorm2d):
        cfg['type'] = 'PooledBatchNorm2d'

    def build(channels: int) -> nn.Module:
        groups = cfg.get('num_groups', 1)
        if channels % groups:
            raise ArgumentError(
                f'norm_cfg={norm_cfg} does not fit a layer of {channels} channels; give the '
                f"attention layer's own cfg a norm_cfg whose num_groups divides them"
            )
        return build_norm_layer(cfg, channels)[1]

    return build
