"""The parts of a detector that keep their weights when its backbone is replaced."""

from typing import Any, Dict, NamedTuple

from torch import Tensor, nn

from ..checkpoint.weight_files import BACKBONE, Weights, read_weights
from ..errors import CheckpointError

CLASSES = ('dataset_meta', 'CLASSES', 'PALETTE')  # of mmengine; of mmcv 1


class Heads(NamedTuple):
    """Neck and heads of a detector.

    Attributes:
        tensors: By name in the detector.
        meta: Its classes, as in the checkpoint.
    """

    tensors: Dict[str, Tensor]
    meta: Dict[str, Any]

    def with_backbone(self, backbone: nn.Module) -> Dict[str, Tensor]:
        """Return the ``state_dict`` of the detector with another backbone."""
        state = {BACKBONE + name: value for name, value in backbone.state_dict().items()}
        return {**state, **self.tensors}


def is_detector(path: str) -> bool:
    """Return whether a checkpoint has the neck and heads of a detector.

    Args:
        path: File or URL.

    Raises:
        CheckpointError: If it cannot be read.
    """
    return read_weights(path).of_detector


def heads_of(weights: Weights, path: str) -> Heads:
    """Return neck and heads of a detector.

    Args:
        weights: Those in its checkpoint.
        path: The checkpoint, for the message.

    Raises:
        CheckpointError: If it is not of a detector.
    """
    if not weights.of_detector:
        raise CheckpointError(
            f"'{path}' is a backbone or a classifier, without a detector's neck and heads; name "
            'the checkpoint of a detector, or leave out --detector'
        )
    return Heads(weights.rest, {key: weights.meta[key] for key in CLASSES if key in weights.meta})
