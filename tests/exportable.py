"""Small detectors with random weights that detect many objects, with clearly different scores."""

from contextlib import contextmanager
from typing import Iterator
from unittest import mock

import cv2
import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from norm_statistics import randomise
from torch import nn

from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.deploy.agreement import arrays
from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.models.epsanet import EPSABlock

KINDS = ('faster-rcnn', 'mask-rcnn', 'retinanet')
CHANNELS = 32
CLASSES = 3
OUTPUTS = {  # mean and standard deviation of the outputs of each layer that is calibrated
    'rpn_cls': (0, 2),
    'rpn_reg': (0, 0.3),
    'fc_cls': (0, 2),
    'fc_reg': (0, 1),
    'conv_logits': (0, 2),
    'retina_cls': (-4, 1.5),
    'retina_reg': (0, 0.3),
}


def small_detector(kind: str, **options) -> nn.Module:
    """Return a detector with narrow heads, and one block in each stage of an EPSANet.

    Args:
        kind: One of :data:`KINDS`, or the name of a config.
        **options: Overrides of the model's config.
    """
    config = load_config(f'{kind}_epsanet50-s_fpn_1x_coco' if kind in KINDS else kind)
    kind = kind.partition('_')[0]
    heads = {
        'backbone.init_cfg': None,
        'neck.out_channels': CHANNELS,
    }
    if kind == 'retinanet':
        heads['bbox_head'] = dict(
            in_channels=CHANNELS, feat_channels=CHANNELS, stacked_convs=1, num_classes=CLASSES
        )
    else:
        heads['rpn_head'] = dict(in_channels=CHANNELS, feat_channels=CHANNELS)
        heads['roi_head.bbox_roi_extractor.out_channels'] = CHANNELS
        heads['roi_head.bbox_head'] = dict(
            in_channels=CHANNELS, fc_out_channels=CHANNELS, num_classes=CLASSES
        )
        heads['test_cfg.rpn.max_per_img'] = 100
    if kind == 'mask-rcnn':
        heads['roi_head.mask_roi_extractor.out_channels'] = CHANNELS
        heads['roi_head.mask_head'] = dict(
            num_convs=1, in_channels=CHANNELS, conv_out_channels=CHANNELS, num_classes=CLASSES
        )
    config.merge_from_dict({f'model.{name}': value for name, value in {**heads, **options}.items()})
    with one_block_a_stage():
        return calibrated(randomise(MODELS.build(config.model)).eval())


@contextmanager
def one_block_a_stage() -> Iterator[None]:
    with mock.patch.dict(EPSANet.arch_settings, {50: (EPSABlock, (1, 1, 1, 1))}):
        yield


def calibrated(detector: nn.Module) -> nn.Module:
    """Scale what the heads of a random detector compute to the ranges of a trained one.

    Otherwise nearly all scores are 1 or alike, and rounding decides which boxes are best.
    """
    modules = dict(detector.named_modules())
    for ending, (mean, deviation) in OUTPUTS.items():
        for module in (m for name, m in modules.items() if name.endswith(ending)):
            seen = []
            hook = module.register_forward_hook(_keep_in(seen))
            predicted(detector, picture(128, 160), (128, 160))
            hook.remove()
            values = torch.cat(seen)
            with torch.no_grad():
                module.bias.sub_(values.mean())
                for parameter in module.parameters():
                    parameter.mul_(deviation / values.std())
                module.bias.add_(mean)
    return detector


def _keep_in(seen: list):
    return lambda module, inputs, output: seen.append(output.flatten())


def picture(height: int, width: int) -> np.ndarray:
    """Return coloured noise with structure of several sizes."""
    random = np.random.default_rng(height * width)
    parts = [
        cv2.resize(random.integers(0, 256, (k, k, 3)).astype(np.float32), (width, height))
        for k in (4, 16, 48)
    ]
    return np.clip(sum(parts) - 255, 0, 255).astype(np.uint8)


def predicted(detector: nn.Module, image: np.ndarray, original_size) -> list:
    """Return what mmdet predicts in a resized image: boxes, scores, labels and perhaps masks."""
    height, width = image.shape[:2]
    meta = dict(
        img_shape=(height, width),
        ori_shape=tuple(original_size),
        scale_factor=(width / original_size[1], height / original_size[0]),
    )
    data = dict(
        inputs=[torch.from_numpy(image).permute(2, 0, 1)],
        data_samples=[DetDataSample(metainfo=meta)],
    )
    with torch.no_grad():
        return arrays(detector.test_step(data)[0].pred_instances)
