"""faster-coco-eval computes the same figures as pycocotools; without it, pycocotools is used."""

import json

import numpy as np
import pytest
from mmdet.evaluation.metrics import coco_metric
from mmdet.registry import METRICS
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from epsanet_mmdet.datasets import CocoMetric, coco_evaluation
from epsanet_mmdet.datasets.coco_evaluation import FasterCOCOeval, coco_eval_class
from epsanet_mmdet.errors import ConfigError
from epsanet_mmdet.evaluation.data import silenced

REAL = [
    'tiny_coco/annotations/instances_val2017.json',
    'tiny_coco/annotations/instances_train2017.json',
    'penn_fudan/annotations/instances_train.json',
]


def moved(gt, seed, ties):
    """Return results around the annotations: shifted, repeated, and some of another class."""
    rng = np.random.default_rng(seed)
    categories, results = gt.getCatIds(), []
    for annotation in gt.anns.values():
        mask, box = gt.annToMask(annotation), np.array(annotation['bbox'])
        for _ in range(3):
            shift = rng.normal(0, 0.08, 2) * box[2:]
            rle = coco_masks.encode(
                np.asfortranarray(np.roll(mask, shift.astype(int)[::-1], (0, 1)))
            )
            category = annotation['category_id']
            if rng.random() < 0.2:
                category = int(rng.choice(categories))
            score = round(float(rng.random()), 1 if ties else 6)
            entry = dict(image_id=annotation['image_id'], category_id=category, score=score)
            bbox = [*(box[:2] + shift), *box[2:]]
            entry.update(bbox=bbox, segmentation={**rle, 'counts': rle['counts'].decode()})
            results.append(entry)
    return results


def evaluated(kind, path, iou_type, ties, from_zero=False, **params):
    """Return the arrays and the summary of an evaluation by a class."""
    content = json.loads(path.read_text())
    if from_zero:
        for i, annotation in enumerate(content['annotations']):
            annotation['id'] = i  # with 0, which pycocotools treats as no match
    gt = COCO()
    gt.dataset = content
    silenced(gt.createIndex)
    other = 'bbox' if iou_type == 'segm' else 'segmentation'
    results = [{k: v for k, v in r.items() if k != other} for r in moved(gt, 0, ties)]
    evaluation = kind(gt, silenced(gt.loadRes, results), iou_type)
    for name, value in params.items():
        setattr(evaluation.params, name, value)
    for step in (evaluation.evaluate, evaluation.accumulate, evaluation.summarize):
        silenced(step)
    arrays = [np.array(evaluation.eval[key]) for key in ('precision', 'recall', 'scores')]
    return [*arrays, np.array(evaluation.stats)]


@pytest.mark.parametrize('path', REAL)
@pytest.mark.parametrize('iou_type', ['bbox', 'segm'])
@pytest.mark.parametrize(
    'params',
    [
        dict(),
        dict(maxDets=[100, 300, 1000]),  # mmdet's
        dict(maxDets=[2, 3, 100], useCats=0),
        dict(iouThrs=np.array([0.3, 0.5, 0.75])),
    ],
    ids=['COCO', 'mmdet', 'proposals', 'thresholds'],
)
@pytest.mark.parametrize('ties', [False, True])
def test_figures_are_those_of_pycocotools(path, iou_type, params, ties, request):
    pytest.importorskip('faster_coco_eval')
    path = request.config.rootpath.parent / 'shared/data' / path
    if not path.is_file():
        pytest.skip('the real annotations are absent')
    for from_zero in (False, True):
        expected = evaluated(COCOeval, path, iou_type, ties, from_zero, **params)
        found = evaluated(FasterCOCOeval, path, iou_type, ties, from_zero, **params)
        assert expected[-1][0] > 0.1
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_allclose(b, a, rtol=0, atol=1e-9)


def test_the_summary_is_that_of_pycocotools_with_many_detections_of_an_image(tmp_path):
    """AP counts 100 detections per image, and AP50 1000, if there may be 1000."""
    pytest.importorskip('faster_coco_eval')
    box = [0, 0, 10, 10]
    image = dict(id=1, width=100, height=100, file_name='a.png')
    objects = dict(image_id=1, category_id=1)
    annotation = dict(id=1, bbox=box, area=100, iscrowd=0, **objects)
    gt = COCO()
    gt.dataset = dict(images=[image], annotations=[annotation], categories=[dict(id=1, name='a')])
    silenced(gt.createIndex)
    results = [dict(bbox=[50, 50, 9, 9], score=0.9, **objects) for _ in range(150)]
    dt = silenced(gt.loadRes, [*results, dict(bbox=box, score=0.1, **objects)])
    stats = []
    for kind in (COCOeval, FasterCOCOeval):
        evaluation = kind(gt, dt, 'bbox')
        evaluation.params.maxDets = [100, 300, 1000]
        for step in (evaluation.evaluate, evaluation.accumulate, evaluation.summarize):
            silenced(step)
        stats.append(evaluation.stats)
    np.testing.assert_allclose(stats[1], stats[0], rtol=0, atol=1e-9)
    assert stats[0][0] == 0 < stats[0][1]


def test_the_environment_chooses(monkeypatch):
    monkeypatch.setattr(coco_evaluation, 'find_spec', lambda _: object())
    for value, kind in (('', FasterCOCOeval), ('auto', FasterCOCOeval), ('pycocotools', COCOeval)):
        monkeypatch.setenv('EPSANET_COCO_EVAL', value)
        assert coco_eval_class() is kind
    monkeypatch.setenv('EPSANET_COCO_EVAL', 'fast')
    with pytest.raises(ConfigError, match='set it to auto, faster or pycocotools'):
        CocoMetric()


def test_pycocotools_evaluates_where_the_package_is_not_installed(monkeypatch):
    monkeypatch.setattr(coco_evaluation, 'find_spec', lambda _: None)
    monkeypatch.delenv('EPSANET_COCO_EVAL', raising=False)
    assert coco_eval_class() is COCOeval
    monkeypatch.setenv('EPSANET_COCO_EVAL', 'faster')
    with pytest.raises(ConfigError, match='pip install'):
        coco_eval_class()


def test_configs_get_the_metric_and_mmdets_own_is_unchanged(monkeypatch):
    assert METRICS.get('CocoMetric') is CocoMetric
    used = []

    def compute(self, results):
        used.append(coco_metric.COCOeval)
        return {}

    monkeypatch.setattr(coco_metric.CocoMetric, 'compute_metrics', compute)
    monkeypatch.setattr(coco_evaluation, 'coco_eval_class', lambda: FasterCOCOeval)
    assert CocoMetric().compute_metrics([]) == {}
    assert used == [FasterCOCOeval] and coco_metric.COCOeval is COCOeval
