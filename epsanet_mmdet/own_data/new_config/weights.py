"""The starting weights of a new config."""

import glob
import os.path as osp
from typing import Any, NamedTuple, Optional

from mmdet.registry import MODELS
from mmengine.config import Config

from ...checkpoint.match import compare_without_plugins, is_match
from ...checkpoint.untrusted import load_untrusted
from ...checkpoint.weight_files import DETECTOR_PARTS, check_checkpoint_path
from ...errors import CheckpointError
from ...utils.text import printable


class StartingWeights(NamedTuple):
    """The file of the backbone or of the detector, and the reason.

    Args:
        backbone: File or URL of the backbone's weights, or None.
        detector: File of the detector's weights, or None.
        why: Where they come from.
        prefix: Prefix of the backbone's weights in the file, or None.
    """

    backbone: Optional[str]
    detector: Optional[str]
    why: str
    prefix: Optional[str] = None

    @property
    def scratch(self) -> bool:
        """Whether everything starts from random weights."""
        return not (self.backbone or self.detector)


def find_weights(backbone_file: Optional[str], config_name: str) -> StartingWeights:
    """Look for weights in ``checkpoints``.

    Args:
        backbone_file: Weights of the backbone that the shipped config names.
        config_name: Bare name of that config.
    """
    found = sorted(glob.glob(osp.join('checkpoints', glob.escape(config_name) + '*.pth')))
    if found:
        return StartingWeights(
            None, osp.abspath(found[-1]), f"the detector '{found[-1]}' was found"
        )
    if backbone_file and osp.isfile(backbone_file):
        why = f"the backbone '{backbone_file}' was found"
        return StartingWeights(osp.abspath(backbone_file), None, why)
    looked = [f'checkpoints/{config_name}*.pth'] + ([backbone_file] if backbone_file else [])
    return StartingWeights(None, None, f'neither {" nor ".join(looked)} was found')


def read_starting_weights(path: str, backbone: Config) -> StartingWeights:
    """Find out whether a file holds a backbone or a detector, and whether it fits.

    Args:
        path: File of weights; URLs are not opened and count as backbones.
        backbone: Config of the model's backbone.

    Raises:
        CheckpointError: If the file does not exist, cannot be read or is of another backbone.
    """
    if '://' in path:
        return StartingWeights(path, None, f"the backbone '{path}' was chosen")
    check_checkpoint_path(path)
    content = load_untrusted(path)
    weights = content.get('state_dict', content) if isinstance(content, dict) else {}
    names = [str(name) for name in weights]
    whole = any(name.startswith(DETECTOR_PARTS) for name in names)
    prefix = 'backbone.' if any(name.startswith('backbone.') for name in names) else ''
    own = {n[len(prefix) :]: weights[n] for n in weights if str(n).startswith(prefix)}
    module = MODELS.build(dict(backbone, init_cfg=None))
    found = compare_without_plugins(own, module)
    if not is_match(found):
        raise CheckpointError(
            f"'{path}' is of another architecture than the model's {type(module).__name__}: "
            f'{len(found.matched)} of its {found.given} tensors match the {found.wanted} of the '
            'backbone; name weights of this backbone'
        )
    file = osp.abspath(path)
    why = f"the {'detector' if whole else 'backbone'} '{path}' was chosen{_origin(content)}"
    if whole:
        return StartingWeights(None, file, why)
    return StartingWeights(file, None, why, prefix or None)


def _origin(content: Any) -> str:
    """Return how ``epsanet transplant`` made the weights, if it did."""
    meta = content.get('meta')
    if not isinstance(meta, dict) or 'donor' not in meta:
        return ''
    return f', transplanted from {printable(meta["donor"])} by {printable(meta.get("method"))}'
