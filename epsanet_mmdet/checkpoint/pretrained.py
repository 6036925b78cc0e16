"""Backbone weights that a config names and a pre-training may not have written yet."""

import logging
import os.path as osp

from mmengine.logging import print_log
from mmengine.model import PretrainedInit, initialize
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import nn

from .match import require_match


@WEIGHT_INITIALIZERS.register_module()
class PretrainedIfPresent(PretrainedInit):
    """``Pretrained``, or mmdet's random ResNet initialization if the file does not exist.

    The authors of EPSANet published no weights, so the configs name the file that a pre-training
    writes. A warning is logged if it does not exist.

    Args:
        checkpoint (str): File or URL of the backbone's weights.
        prefix (str, optional): Prefix of the backbone in the checkpoint.
        map_location (str): Device to load the tensors on.
    """

    def __call__(self, module: nn.Module) -> None:
        if '://' in self.checkpoint or osp.isfile(self.checkpoint):
            require_match(module)
            super().__call__(module)
            for child in module.modules():
                if child is not module and hasattr(child, 'init_weights'):
                    child.is_init = True  # or it would overwrite the loaded weights
            return
        print_log(
            f"{type(module).__name__} starts from random weights: '{self.checkpoint}' does not "
            'exist. Detectors need pre-trained backbones: put the weights there, set '
            'model.backbone.init_cfg.checkpoint, or use a *-scratch config, which trains '
            'the backbone too and takes longer.',
            logger='current',
            level=logging.WARNING,
        )
        initialize(
            module,
            [
                dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
            ],
        )
        if getattr(module, 'zero_init_residual', False):
            for block in module.modules():
                last_norm = getattr(block, 'norm3', getattr(block, 'norm2', None))
                if last_norm is not None:
                    nn.init.zeros_(last_norm.weight)
