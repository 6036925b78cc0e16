"""Explaining one image: its detections, their heat maps, and the attention of all layers."""

from dataclasses import dataclass
from typing import List, Sequence

import numpy as np
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from ..inference.detector import Detector
from ..inference.sources import Frame
from .grad_cam import BACKBONE, Cam, detect_with_cams
from .recording import Record, recorded


@dataclass
class Explained:
    """An image with what a detector found, and why.

    Args:
        frame: The image.
        objects: Detections in pixels of the image, highest score first.
        cams: Heat maps of the first of them.
        record: Attention of the layers of backbone and neck.
    """

    frame: Frame
    objects: InstanceData
    cams: List[Cam]
    record: Record

    def captions(self, classes: Sequence[str]) -> List[str]:
        """Return the class and score of each object."""
        labels, scores = self.objects.labels.tolist(), self.objects.scores.tolist()
        return [f'{classes[label]} {score:.2f}' for label, score in zip(labels, scores)]

    @property
    def boxes(self) -> np.ndarray:
        """Left, top, right and bottom, (objects, 4)."""
        return self.objects.bboxes.cpu().numpy()


def explain_image(
    detector: Detector,
    frame: Frame,
    data: dict,
    count: int,
    score_thr: float = 0.3,
    layer: str = BACKBONE,
    hires: bool = False,
) -> Explained:
    """Explain the detections in an image.

    Args:
        detector: The detector.
        frame: The image.
        data: What ``detector.prepare`` returned for it.
        count: Maximum number of heat maps.
        score_thr: Leave out detections with a lower score.
        layer: See :func:`epsanet_mmdet.explain.grad_cam.detect_with_cams`.
        hires: See there.

    Raises:
        ArgumentError: See there.
    """
    batch = detector.collate_fn([data])
    sample, cams = detect_with_cams(detector.model, batch, count, score_thr, layer, hires)
    return Explained(frame, sample.pred_instances, cams, _record(detector, batch, sample))


def _record(detector: Detector, batch: dict, sample: DetDataSample) -> Record:
    inputs = detector.model.data_preprocessor(batch, False)['inputs']
    boxes = sample.pred_instances.bboxes
    scaled = boxes * boxes.new_tensor(sample.metainfo['scale_factor']).repeat(2)
    with recorded(detector.model, scaled, tuple(inputs.shape[-2:])) as record:
        detector.model.extract_feat(inputs)
    return record
