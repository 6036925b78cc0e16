"""What the user of an exported detector has to know, as text in the file."""

import json
from typing import Any, Dict, Optional

from mmcv.transforms import LoadAnnotations as BaseLoadAnnotations
from mmdet.apis.det_inferencer import DetInferencer
from mmdet.datasets.transforms import InferencerLoader, PackDetInputs, Resize

from ..errors import ArgumentError
from ..version import __version__
from .selection import final_options
from .supported import check_supported


def describe_detector(inferencer: DetInferencer) -> Dict[str, str]:
    """Return the entries of ``metadata_props`` for an exported detector.

    ========================  ====================================================================
    ``classes``               JSON list of names, by label
    ``score_threshold``       the score above which detections are returned
    ``max_detections``        the greatest number of detections
    ``resize``                how to resize an image before: JSON with ``scale`` (two sides in
                              pixels) and ``keep_ratio`` (whether they are only upper bounds of the
                              longer and the shorter side, otherwise width and height), or null
    ``channels``              order of the channels of the input: BGR
    ``normalization``         done in the file: JSON with ``mean``, ``std`` and their ``channels``,
                              or null
    ``epsanet_mmdet``         version that wrote the file
    ========================  ====================================================================

    Raises:
        ArgumentError: If the detector cannot be exported whole, or the config's test pipeline
            changes images otherwise than by resizing.
    """
    model = inferencer.model
    check_supported(model)  # other heads have other options
    options = final_options(model)
    return dict(
        classes=json.dumps(list(model.dataset_meta['classes'])),
        score_threshold=str(options.get('score_thr', 0)),
        max_detections=str(options.max_per_img),
        resize=json.dumps(_resize_rule(inferencer.pipeline)),
        channels='BGR',
        normalization=json.dumps(_normalization(model.data_preprocessor)),
        epsanet_mmdet=__version__,
    )


def _normalization(preprocessor) -> Optional[Dict[str, Any]]:
    if not preprocessor._enable_normalize:
        return None
    values = {name: getattr(preprocessor, name).flatten().tolist() for name in ('mean', 'std')}
    return dict(**values, channels='RGB' if preprocessor._channel_conversion else 'BGR')


def _resize_rule(pipeline) -> Optional[Dict[str, Any]]:
    rule = None
    for transform in pipeline.transforms:
        if isinstance(transform, (InferencerLoader, BaseLoadAnnotations, PackDetInputs)):
            continue
        known = type(transform) is Resize and transform.scale and rule is None
        if not known or (transform.interpolation, transform.backend) != ('bilinear', 'cv2'):
            raise ArgumentError(
                f'the test pipeline has {transform}, which an exported detector does not contain; '
                'use one with at most one bilinear Resize by scale'
            )
        rule = dict(scale=list(transform.scale), keep_ratio=transform.keep_ratio)
    return rule
