"""Losses and gradients stay finite, on images without objects and in mixed precision too."""

import json
from contextlib import contextmanager

import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from small_data import write_coco

from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.engine.hooks.amp_operators import cast_outputs

SIZE = 96
ITERATIONS = 200
CLASSES = 4
SLIM = 'mask-rcnn_epsanet50-s-slim_fpn_shapes'
DETECTORS = ('mask-rcnn', 'faster-rcnn', 'retinanet')


def build(detector: str):
    """Build a detector with the slim backbone of the shapes example."""
    init_default_scope('mmdet')
    slim = load_config(SLIM).model
    if detector == 'mask-rcnn':
        return MODELS.build(slim)
    model = load_config(f'{detector}_epsanet50-s_fpn_1x_coco').model
    model.backbone = slim.backbone
    model.data_preprocessor.mean, model.data_preprocessor.std = [128] * 3, [64] * 3
    model.neck.update(in_channels=slim.neck.in_channels, out_channels=32)
    if detector == 'retinanet':
        model.bbox_head.update(
            in_channels=32, feat_channels=32, stacked_convs=1, num_classes=CLASSES
        )
    else:
        model.rpn_head.update(in_channels=32, feat_channels=32)
        model.roi_head.bbox_roi_extractor.out_channels = 32
        model.roi_head.bbox_head.update(in_channels=32, fc_out_channels=64, num_classes=CLASSES)
    return MODELS.build(model)


@pytest.fixture(scope='module')
def detectors():
    return {name: build(name).train() for name in DETECTORS}


def instances(boxes, size: int) -> InstanceData:
    """Annotate boxes [x1, y1, x2, y2] with masks that fill them."""
    masks = torch.zeros(len(boxes), size, size, dtype=torch.uint8).numpy()
    for mask, (x1, y1, x2, y2) in zip(masks, boxes):
        mask[int(y1) : int(y2), int(x1) : int(x2)] = 1
    return InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.zeros(len(boxes), dtype=torch.int64),
        masks=BitmapMasks(masks, size, size),
    )


CASES = {
    'no objects': ([], []),
    'crowds alone': ([], [[10, 10, 60, 60], [0, 0, 96, 96]]),
    'one-pixel boxes': ([[5, 5, 6, 6], [95, 95, 96, 96], [40, 40, 41, 41]], []),
    'boxes less than a pixel': ([[5.2, 5.2, 5.3, 5.6]], []),
    'a box of the whole image': ([[0, 0, SIZE, SIZE]], []),
    'the same box fifty times': ([[10, 10, 50, 50]] * 50, []),
}


def batch(objects, crowds, images: int = 2, size: int = SIZE) -> dict:
    samples = []
    for i in range(images):
        sample = DetDataSample(metainfo=dict(img_path=f'{i}.jpg'))
        sample.set_metainfo(
            dict(
                img_shape=(size, size),
                ori_shape=(size, size),
                pad_shape=(size, size),
                scale_factor=(1.0, 1.0),
            )
        )
        sample.gt_instances = instances(objects, size)
        sample.ignored_instances = instances(crowds, size)
        samples.append(sample)
    generator = torch.Generator().manual_seed(0)
    picture = torch.randint(0, 255, (3, size, size), generator=generator, dtype=torch.uint8)
    return dict(inputs=[picture] * images, data_samples=samples)


@pytest.mark.parametrize('detector', DETECTORS)
@pytest.mark.parametrize('case', CASES)
def test_losses_and_gradients_are_finite(case, detector, detectors):
    model = detectors[detector]
    model.zero_grad()
    init_default_scope('mmdet')
    losses, _ = model.parse_losses(
        model(**model.data_preprocessor(batch(*CASES[case]), True), mode='loss')
    )
    assert losses.isfinite()
    losses.backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert len(gradients) > 100
    bad = [name for name, gradient in gradients.items() if not gradient.isfinite().all()]
    assert not bad


def test_boxes_of_no_area_do_not_reach_the_model(tmp_path):
    """The logarithm of their size is not finite; mmdet skips boxes smaller than a pixel."""
    root = write_coco(tmp_path, train=2)
    path = root / 'annotations' / 'train.json'
    content = json.loads(path.read_text())
    for annotation, (width, height) in zip(content['annotations'], [(0, 9), (9, 0), (0.5, 9)]):
        annotation['bbox'][2:] = [width, height]
    path.write_text(json.dumps(content))
    init_default_scope('mmdet')
    data = DATASETS.build(
        dict(
            type='CheckedCocoDataset',
            ann_file=str(path),
            data_prefix=dict(img=str(root / 'images')),
            metainfo=dict(classes=tuple(c['name'] for c in content['categories'])),
        )
    )
    boxes = [i['bbox'] for n in range(len(data)) for i in data.get_data_info(n)['instances']]
    assert len(boxes) == 1
    assert all(x2 - x1 >= 1 and y2 - y1 >= 1 for x1, y1, x2, y2 in boxes)


class MixedPrecision(OptimWrapper):
    """mmengine's ``AmpOptimWrapper``, which needs a GPU, for any device."""

    def __init__(self, dtype, device, **kwargs):
        super().__init__(**kwargs)
        self.dtype, self.device = dtype, device
        self.scaler = torch.amp.GradScaler(device, enabled=dtype == torch.float16)
        self.skipped = 0

    @contextmanager
    def optim_context(self, model):
        with super().optim_context(model), torch.autocast(self.device, dtype=self.dtype):
            yield

    def backward(self, loss, **kwargs):
        assert loss.isfinite(), loss
        self.scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs):
        self.scaler.unscale_(self.optimizer)
        self._clip_grad()
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.skipped += self.scaler.get_scale() < scale


@pytest.mark.slow
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=str)
def test_two_hundred_iterations_in_mixed_precision(dtype):
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    init_default_scope('mmdet')
    slim = load_config(SLIM).model
    slim.backbone.update(base_channels=16, groups=(1, 2, 4, 4))
    slim.neck.in_channels = [64, 128, 256, 512]
    model = MODELS.build(slim).to(device).train()
    cast_outputs(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4)
    wrapper = MixedPrecision(dtype, device, optimizer=optimizer, clip_grad=dict(max_norm=10))
    good = ([[6, 6, 40, 34], [33, 26, 60, 60]], [])
    batches = [batch(*case, images=1, size=64) for case in (good, CASES['no objects'], good, good)]
    losses = [float(model.train_step(batches[i % 4], wrapper)['loss']) for i in range(ITERATIONS)]
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert wrapper.skipped <= 20  # the loss scale of fp16 starts too large on purpose
    assert sum(losses[-20:]) < 0.7 * sum(losses[:20])
