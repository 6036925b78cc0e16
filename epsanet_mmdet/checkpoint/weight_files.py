"""Reading weights from the files that classifiers are published in."""

import os.path as osp
from pathlib import Path
from typing import Any, Dict, NamedTuple, Union

import torch
from mmengine.runner import CheckpointLoader
from torch import Tensor

from ..errors import CheckpointError
from .safetensors_files import SUFFIX
from .untrusted import load_untrusted

# Where training scripts keep the weights, averaged ones first. mmengine's EMAHook needs no entry:
# it saves the averaged weights as 'state_dict' and the others as 'ema_state_dict'.
HOLDERS = ('state_dict_ema', 'model_ema', 'state_dict', 'model')
WRAPPERS = ('module.', '_orig_mod.', 'model.')  # DataParallel, torch.compile, Lightning


class Weights(NamedTuple):
    """Weights of a backbone, perhaps with a head.

    Attributes:
        tensors: By name, without the prefixes of wrappers and of ``backbone.``.
        layout: What kind of file they come from, for people to read.
    """

    tensors: Dict[str, Tensor]
    layout: str


def read_weights(source: Union[str, Path]) -> Weights:
    """Read weights from ``.pth`` and the like, or ``.safetensors``, running no code.

    Understood are plain weights, as torchvision and timm publish, and checkpoints of training
    scripts, of mmengine, and of detectors, of which the backbone alone is taken. Averaged weights
    are preferred, half precision becomes single.

    Args:
        source: File, or a URL of one.

    Raises:
        CheckpointError: If there is no such file, it is damaged, or holds no weights.
    """
    source = str(source)
    if '://' in source:
        content = CheckpointLoader.load_checkpoint(source, map_location='cpu')
    elif not osp.exists(source):
        raise CheckpointError(f"checkpoint '{source}' does not exist; check the path")
    else:
        content = load_untrusted(source)
    tensors, layout = _find_weights(content)
    if source.endswith(SUFFIX):
        layout = 'safetensors'
    tensors = {k: v for k, v in tensors.items() if isinstance(k, str) and isinstance(v, Tensor)}
    if not tensors:
        raise CheckpointError(f"'{source}' holds no weights; give a state_dict or a checkpoint")
    for name, value in tensors.items():
        if value.is_complex():
            raise CheckpointError(f"'{source}' has complex numbers in {name}; give real weights")
    tensors = _unwrap(tensors)
    return Weights({name: _single(value) for name, value in tensors.items()}, layout)


def _find_weights(content: Any) -> tuple:
    if not isinstance(content, dict):
        return {}, ''
    holder = next((key for key in HOLDERS if isinstance(content.get(key), dict)), None)
    if holder is None:
        return content, 'plain weights'
    averaged = holder in HOLDERS[:2] or 'ema_state_dict' in content
    layout = "mmengine's checkpoint" if 'message_hub' in content else 'checkpoint'
    if isinstance(content.get('arch'), str):
        layout += f' of {content["arch"]}'
    if isinstance(content.get('epoch'), int):
        layout += f', epoch {content["epoch"]}'
    return content[holder], layout + (', averaged weights' if averaged else '')


def _unwrap(tensors: Dict[str, Tensor]) -> Dict[str, Tensor]:
    wrapped = True
    while wrapped:
        wrapped = False
        for prefix in WRAPPERS:
            if any(name.startswith(prefix) for name in tensors):
                wrapped = True
                tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    backbone = 'backbone.'
    inside = {k.removeprefix(backbone): v for k, v in tensors.items() if k.startswith(backbone)}
    return inside or tensors


def _single(value: Tensor) -> Tensor:
    return value.to(torch.float32) if value.is_floating_point() else value
