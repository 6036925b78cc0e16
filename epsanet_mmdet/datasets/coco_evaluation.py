"""COCO's evaluation by faster-coco-eval where it is installed, and by pycocotools otherwise.

faster-coco-eval (https://github.com/MiXaiLL76/faster_coco_eval) matches and accumulates in C++. Its
summary differs from that of pycocotools where more than 100 detections per image count, as in
mmdet, so that the summary remains that of pycocotools.
"""

import os
from importlib.util import find_spec
from typing import Dict, Type
from unittest import mock

from mmdet.evaluation.metrics import coco_metric
from mmdet.registry import METRICS
from pycocotools.cocoeval import COCOeval

from ..errors import ConfigError

PACKAGE = 'faster_coco_eval'
VARIABLE = 'EPSANET_COCO_EVAL'
VALUES = ('auto', 'faster', 'pycocotools')


class FasterCOCOeval(COCOeval):
    """pycocotools' ``COCOeval``, computed by faster-coco-eval; it has no ``evalImgs``."""

    def evaluate(self) -> None:
        """Match the detections of all images, and accumulate."""
        from faster_coco_eval import COCOeval_faster

        self.faster = COCOeval_faster(self.cocoGt, self.cocoDt, self.params.iouType)
        for name in ('imgIds', 'catIds', 'iouThrs', 'recThrs', 'maxDets', 'areaRng', 'areaRngLbl'):
            setattr(self.faster.params, name, getattr(self.params, name))
        self.faster.params.useCats = self.params.useCats
        self.faster.evaluate()
        for name in ('imgIds', 'catIds', 'maxDets'):  # sorted, as pycocotools does
            setattr(self.params, name, getattr(self.faster.params, name))

    def accumulate(self, p: object = None) -> None:
        """Store precision, recall and scores in ``eval``."""
        if p is not None:
            raise ValueError('parameters cannot change after evaluate()')
        self.faster.accumulate()
        self.eval = {**self.faster.eval, 'params': self.params}


def coco_eval_class() -> Type[COCOeval]:
    """Return the class that evaluates: the faster one where its package is installed.

    ``EPSANET_COCO_EVAL`` in the environment chooses: ``auto``, ``faster`` or ``pycocotools``.

    Raises:
        ConfigError: If the variable has another value, or demands a package that is not installed.
    """
    value = os.environ.get(VARIABLE) or 'auto'
    if value not in VALUES:
        raise ConfigError(
            f"{VARIABLE} is '{value}'; set it to {', '.join(VALUES[:-1])} or {VALUES[-1]}"
        )
    installed = find_spec(PACKAGE) is not None
    if value == 'faster' and not installed:
        raise ConfigError(
            f"{VARIABLE} is 'faster', but faster-coco-eval is not installed; run "
            'pip install faster-coco-eval'
        )
    return FasterCOCOeval if installed and value != 'pycocotools' else COCOeval


@METRICS.register_module(force=True)
class CocoMetric(coco_metric.CocoMetric):
    """mmdet's metric, which it replaces in the registry, with :func:`coco_eval_class`.

    Raises:
        ConfigError: See there; before the images are tested.
    """

    def __init__(self, *args, **options) -> None:
        coco_eval_class()
        super().__init__(*args, **options)

    def compute_metrics(self, results: list) -> Dict[str, float]:
        with mock.patch.object(coco_metric, 'COCOeval', coco_eval_class()):
            return super().compute_metrics(results)
