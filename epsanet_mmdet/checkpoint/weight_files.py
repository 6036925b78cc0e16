"""Read weights from the files in which classifiers and detectors are published."""

import os.path as osp
from pathlib import Path
from typing import Any, Dict, NamedTuple, Union

from mmengine.runner import CheckpointLoader
from torch import Tensor

from ..errors import CheckpointError
from .safetensors_files import SUFFIX
from .untrusted import load_untrusted

# Keys under which training scripts save weights, averaged ones first. mmengine's EMAHook saves the
# averaged weights as 'state_dict' and the others as 'ema_state_dict'.
HOLDERS = ('state_dict_ema', 'model_ema', 'state_dict', 'model')
WRAPPERS = ('module.', '_orig_mod.', 'model.')  # DataParallel, torch.compile, Lightning
BACKBONE = 'backbone.'
DETECTOR_PARTS = ('neck.', 'rpn_head.', 'roi_head.', 'bbox_head.')


class Weights(NamedTuple):
    """Weights of a classifier, a backbone or a detector.

    Attributes:
        tensors: Those of the classifier or backbone by name, without ``backbone.`` and the prefixes
            of wrappers.
        layout: Description of the file.
        rest: Those beside the backbone by name, such as a detector's neck and heads.
        meta: What mmengine's or mmcv's checkpoint says about its training.
    """

    tensors: Dict[str, Tensor]
    layout: str
    rest: Dict[str, Tensor] = {}
    meta: Dict[str, Any] = {}

    @property
    def of_detector(self) -> bool:
        """True if there are a neck or heads of a detector."""
        return any(name.startswith(DETECTOR_PARTS) for name in self.rest)


def check_checkpoint_path(path: Union[str, Path]) -> None:
    """Raise CheckpointError if a checkpoint is neither a URL nor a file."""
    if osp.isdir(path):
        raise CheckpointError(f"'{path}' is a folder; name a checkpoint in it")
    if '://' not in str(path) and not osp.isfile(path):
        raise CheckpointError(f"checkpoint '{path}' does not exist; check the path")


def read_weights(source: Union[str, Path]) -> Weights:
    """Read weights without running code from the file.

    The file may hold plain weights, as torchvision and timm publish them, or a checkpoint of a
    training script or of mmengine. Averaged weights are preferred, and half precision is converted
    to single.

    Args:
        source: Path or URL of a ``.pth`` or ``.safetensors`` file, or of MXNet's ``.params``.

    Raises:
        CheckpointError: If the file does not exist, is damaged, or holds no weights.
    """
    source = str(source)
    check_checkpoint_path(source)
    if '://' in source:
        content = CheckpointLoader.load_checkpoint(source, map_location='cpu')
    else:
        content = load_untrusted(source)
    tensors, layout = _find_weights(content)
    if source.endswith(SUFFIX):
        layout = 'safetensors'
    tensors = {k: v for k, v in tensors.items() if isinstance(k, str) and isinstance(v, Tensor)}
    if not tensors:
        raise CheckpointError(f"'{source}' holds no weights; name a file with a state_dict")
    for name, value in tensors.items():
        if value.is_complex():
            raise CheckpointError(f"'{source}' has complex numbers in {name}; use real weights")
    tensors = {k: v.float() if v.is_floating_point() else v for k, v in _unwrap(tensors).items()}
    backbone = {k.removeprefix(BACKBONE): v for k, v in tensors.items() if k.startswith(BACKBONE)}
    rest = {k: v for k, v in tensors.items() if not k.startswith(BACKBONE)} if backbone else {}
    meta = content.get('meta')
    return Weights(backbone or tensors, layout, rest, meta if isinstance(meta, dict) else {})


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
    while found := [p for p in WRAPPERS if any(name.startswith(p) for name in tensors)]:
        tensors = {name.removeprefix(found[0]): value for name, value in tensors.items()}
    return tensors
