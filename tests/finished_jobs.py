"""Results of jobs that never ran: detections derived from the annotations, with errors."""

import json
from pathlib import Path

import numpy as np

from epsanet_mmdet.evaluation.data import load_ground_truth
from epsanet_mmdet.experiments.fingerprint import short_hash
from epsanet_mmdet.experiments.job import Job
from epsanet_mmdet.experiments.prepare import PreparedPlan
from epsanet_mmdet.experiments.worker import measure
from epsanet_mmdet.utils.environment import versions
from epsanet_mmdet.utils.storage import write_json, write_whole


def finish_jobs(prepared: PreparedPlan, seed: int = 0) -> None:
    """Write a result for every job; later variants miss fewer objects."""
    names = [variant.name for variant in prepared.plan.variants]
    for job in prepared.jobs:
        place = names.index(job.variant.name)
        rng = np.random.default_rng((seed, job.seed, place))
        finish_job(job, (place + 1) / (len(names) + 1), rng)


def finish_job(job: Job, share: float, rng: np.random.Generator) -> None:
    """Write the result of a test that detects a share of the objects, with shifted boxes."""
    dataset = job.config.test_dataloader.dataset
    gt = load_ground_truth(str(Path(dataset.data_root, dataset.ann_file)), dataset.metainfo.classes)
    boxes, masks = [], []
    for annotation in gt.anns.values():
        if rng.random() > share:
            continue
        shift = rng.normal(0, 0.06 * annotation['bbox'][2], 2).round()
        x, y, w, h = annotation['bbox']
        common = dict(
            image_id=annotation['image_id'],
            category_id=annotation['category_id'],
            score=round(rng.uniform(0.3, 1), 3),
        )
        boxes.append({**common, 'bbox': [x + shift[0], y + shift[1], w, h]})
        rle = gt.annToRLE(annotation)
        counts = rle['counts']
        counts = counts.decode() if isinstance(counts, bytes) else counts
        masks.append({**common, 'segmentation': {**rle, 'counts': counts}})
    write_json(boxes, job.folder / 'test' / 'results.bbox.json')
    write_json(masks, job.folder / 'test' / 'results.segm.json')
    write_json(job.settings, job.folder / 'settings.json')
    write_json(dict(train=600 * share, test=9.0), job.folder / 'seconds.json')
    write_whole(_log(rng, share), job.folder / 'train' / '1' / 'vis_data' / 'scalars.json')
    write_json(
        {'coco/bbox_mAP': 0.5, 'data_time': 1.0, 'time': 1 + share}, job.folder / 'test/1/1.json'
    )
    result = dict(
        settings=short_hash(job.settings),
        seed=job.seed,
        metrics=measure(job.config, job.folder / 'test'),
        checkpoint='epoch_3.pth',
        versions=versions(),
        commit='0123456789ab',
        hardware='a machine',
        processes=1,
        finished='2020-01-01T00:00:00+00:00',
    )
    write_json(result, job.folder / 'result.json')


def _log(rng: np.random.Generator, share: float) -> str:
    entries = []
    for step in range(1, 61):
        loss = float(3 / (1 + share * step / 10) + rng.normal(0, 0.05))
        position = dict(epoch=1 + step // 20, iter=step, step=step)
        entries.append(dict(loss=loss, time=share * (1 + step / 60), **position))
        if step % 20 == 0:
            score = share * step / 80
            entries.append({'coco/bbox_mAP': score, 'coco/segm_mAP': score / 2, 'step': step // 20})
    return '\n'.join(map(json.dumps, entries)) + '\n'
