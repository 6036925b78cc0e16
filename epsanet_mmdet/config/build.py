"""Build models from configs without loading weights."""

import copy
from typing import Dict, Optional

from mmdet.registry import MODELS
from mmengine.registry import DefaultScope
from torch import nn

from ..errors import ConfigError
from .load import load_config


def build_without_weights(model: Dict) -> nn.Module:
    """Build a model whose backbone starts from random weights, so that no file is needed.

    Args:
        model: Config of a detector, a classifier or a backbone; not changed.
    """
    model = copy.deepcopy(model)
    (model.get('backbone') or model)['init_cfg'] = None
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(model)


def start_from_scratch(backbone: Dict) -> None:
    """Let the config of a backbone start from random weights, all of which are trained."""
    backbone['init_cfg'] = None
    for name, value in (('frozen_stages', -1), ('norm_eval', False)):
        if name in backbone:
            backbone[name] = value


def backbone_checkpoint(backbone: Dict) -> Optional[str]:
    """Return the file or URL that a backbone's config starts from, or None."""
    init_cfg = backbone.get('init_cfg')  # mmengine allows a list of initializations, too
    return init_cfg.get('checkpoint') if isinstance(init_cfg, dict) else None


def backbone_config(name: str) -> Dict:
    """Return the config of a model's backbone.

    Args:
        name: Config of a detector or of a pre-training, by path or bare name.

    Raises:
        ConfigError: If there is no such config or it has no backbone.
    """
    model = load_config(name).get('model') or {}
    if 'detector' in model:  # see ImageClassifier
        return {**backbone_config(model['detector']), **(model.get('backbone') or {})}
    if 'backbone' not in model:
        raise ConfigError(f"config '{name}' has no model.backbone; pass the config of a detector")
    return dict(model['backbone'])
