"""A classifier: a backbone, global average pooling and a linear layer."""

from typing import Dict, List, Optional, Union

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from ..config.build import backbone_config, start_from_scratch
from ..errors import ConfigError


@MODELS.register_module()
class ImageClassifier(BaseModel):
    """Classifier for pre-training a backbone: ``fc(gap(backbone(x)))``.

    As in detectors, the keys of the backbone in the state dict start with ``backbone.``.

    Args:
        num_classes (int): Number of classes.
        detector (str, optional): Config of a detector, by path or bare name, whose backbone is
            trained. No weights are loaded and no stage is frozen.
        backbone (dict, optional): Config of the backbone or, with ``detector``, changes to it.
        in_channels (int): Channels of the backbone's last output.
        label_smoothing (float): Share of the target spread over all classes, 0 to 1.
        data_preprocessor (dict, optional): See mmengine's ``BaseModel``.
        init_cfg (dict, optional): See mmengine's ``BaseModule``.

    Raises:
        ConfigError: If the detector does not exist, or the backbone's output has a number of
            channels other than ``in_channels``.
    """

    def __init__(
        self,
        num_classes: int,
        detector: Optional[str] = None,
        backbone: Optional[dict] = None,
        in_channels: int = 2048,
        label_smoothing: float = 0.0,
        data_preprocessor: Optional[dict] = None,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        base = detection_backbone(detector) if detector else {}
        self.backbone = MODELS.build({**base, **(backbone or {})})
        self.fc = nn.Linear(in_channels, num_classes)
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing

    def forward(
        self,
        inputs: Tensor,
        data_samples: Optional[List[BaseDataElement]] = None,
        mode: str = 'tensor',
    ) -> Union[Tensor, Dict[str, Tensor], List[BaseDataElement]]:
        """Classify normalised images (B, 3, H, W).

        Returns:
            The logits (B, num_classes) for ``mode='tensor'``, the loss and the batch's top-1
            accuracy in % for ``'loss'``, the samples with ``pred_scores`` for ``'predict'``.
        """
        features = self.backbone(inputs)
        features = features[-1] if isinstance(features, (tuple, list)) else features
        if features.size(1) != self.fc.in_features:
            raise ConfigError(
                f'the backbone outputs {features.size(1)} channels, but the classifier has '
                f'in_channels={self.fc.in_features}; set model.in_channels={features.size(1)}'
            )
        logits = self.fc(features.mean(dim=(2, 3)))
        if mode == 'tensor':
            return logits
        if mode == 'loss':
            labels = torch.stack([sample.gt_label for sample in data_samples]).to(logits.device)
            loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
            return dict(loss=loss, top1=100 * (logits.argmax(1) == labels).float().mean())
        for sample, scores in zip(data_samples, logits.softmax(dim=1)):
            sample.pred_scores = scores
        return data_samples


def detection_backbone(detector: str) -> dict:
    """Return the config of a detector's backbone for training all of it from random weights.

    Args:
        detector: Config of the detector, by path or bare name.

    Raises:
        ConfigError: If the config does not exist or has no backbone.
    """
    backbone = backbone_config(detector)
    start_from_scratch(backbone)
    if 'out_indices' in backbone:
        backbone['out_indices'] = (max(backbone['out_indices']),)
    return backbone
