"""The table of costs in configs/epsanet/README.md is counted, and explains every difference."""

import functools

import pytest
import torch
from torch import Tensor, nn

from epsanet_mmdet.config.build import build_without_weights
from epsanet_mmdet.config.load import configs_dir, load_config
from epsanet_mmdet.utils.flops import count_flops, count_parameters

IMAGE = (3, 800, 1280)
PROPOSALS, MASKS = 1000, 100
CLASSES = 80


def rows() -> dict:
    """Return the cells by config: parameters, published, FLOPs, published, explanation."""
    text = (configs_dir() / 'epsanet' / 'README.md').read_text()
    table = text.split('## Costs')[1].split('\n## ')[0]
    lines = [line.strip('|').split('|') for line in table.splitlines() if '_fpn_1x_coco' in line]
    return {name.strip(): [cell.strip() for cell in cells] for name, *cells in lines}


ROWS = rows()


class OnePass(nn.Module):
    """A detector on one image, with the numbers of proposals and masks of mmdet's counter."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, x: Tensor) -> None:
        levels = self.detector.neck(self.detector.backbone(x))
        if not hasattr(self.detector, 'roi_head'):
            self.detector.bbox_head(levels)
            return
        self.detector.rpn_head(levels)
        head = self.detector.roi_head
        head.bbox_head(x.new_zeros(PROPOSALS, 256, 7, 7))
        if head.with_mask:
            head.mask_head(x.new_zeros(MASKS, 256, 14, 14))


@functools.cache
def counted(name: str) -> tuple[int, int]:
    """Count trainable parameters and, as MMCV 1.x, FLOPs without the biases of linear layers."""
    with torch.device('meta'):
        detector = build_without_weights(load_config(name).model)
    flops = count_flops(OnePass(detector), IMAGE).detection
    linear = (m for m in detector.modules() if isinstance(m, nn.Linear))
    return count_parameters(detector), flops - PROPOSALS * sum(m.out_features for m in linear)


@pytest.mark.parametrize('name', ROWS)
def test_our_columns_are_counted(name):
    parameters, flops = counted(name)
    assert [f'{parameters / 1e6:.2f}', f'{flops / 1e9:.2f}'] == ROWS[name][0:4:2]


@pytest.mark.parametrize('name', ROWS)
def test_what_is_called_exact_is_exact_and_the_rest_is_not(name):
    parameters, published_parameters, flops, published_flops, why = ROWS[name]
    if published_parameters != '–':
        exact = parameters == published_parameters
        assert exact or '81-class heads' in why
    if published_flops != '–':
        assert (flops == published_flops) == ('exact' in why)
        if 'exact' not in why:
            assert f'{float(published_flops) - float(flops):+.2f}'.replace('-', '−') in why


def test_every_detector_of_the_folder_has_a_row():
    names = {path.stem for path in (configs_dir() / 'epsanet').glob('*_1x_coco.py')}
    assert names <= ROWS.keys()


@pytest.mark.parametrize('size', ['s', 'l'])
def test_published_mask_rcnn_omits_the_mask_heads_last_convolution(size):
    name = f'mask-rcnn_epsanet50-{size}_fpn_1x_coco'
    last = (256 + 1) * CLASSES * 28 * 28 * MASKS  # 1x1, with bias
    assert f'{(counted(name)[1] - last) / 1e9:.2f}' == ROWS[name][3]


@pytest.mark.parametrize(
    'name',
    [
        'faster-rcnn_senet50_fpn_1x_coco',
        'faster-rcnn_ecanet50_fpn_1x_coco',
        'retinanet_ecanet50_fpn_1x_coco',
        'faster-rcnn_ecanet101_fpn_1x_coco',
        'retinanet_ecanet101_fpn_1x_coco',
    ],
)
def test_published_channel_attention_counts_its_pooling(name):
    _, height, width = IMAGE
    third = 23 if '101' in name else 6
    # blocks, channels, stride
    stages = ((3, 256, 4), (4, 512, 8), (third, 1024, 16), (3, 2048, 32))
    pooled = sum(n * c * (height // s) * (width // s) for n, c, s in stages)
    assert f'{(counted(name)[1] + pooled) / 1e9:.2f}' == ROWS[name][3]


SDA = {
    'faster-rcnn_sda-resnet86_fpn_1x_coco': '202.93',
    'faster-rcnn_sda-senet86_fpn_1x_coco': '260.93',
    'faster-rcnn_sda-res2net86_fpn_1x_coco': '265.70',
    'mask-rcnn_sda-resnet86_fpn_1x_coco': '256.01',
    'mask-rcnn_sda-senet86_fpn_1x_coco': '314.00',
    'mask-rcnn_sda-res2net86_fpn_1x_coco': '318.78',
}


@pytest.mark.parametrize('name', SDA)
def test_published_sda_counts_its_pooling(name):
    """SE pools in every block. Published Res2Net does not pool in the first stage; ours does."""
    _, height, width = IMAGE
    stages = ((5, 256, 4), (6, 512, 8), (12, 1024, 16), (5, 2048, 32))  # blocks, channels, stride
    pooled = sum(
        (n + 1 if 'senet' in name else 1) * c * (height // s) * (width // s) for n, c, s in stages
    )
    if 'res2net' in name:
        pooled -= 26 * (height // 4) * (width // 4)
    assert f'{(counted(name)[1] + pooled) / 1e9:.2f}' == SDA[name]
