"""Detectors of a plan are transplanted and tested once, and compared with the ResNet's."""

import json

import pytest
import torch
import transplanted_detectors
import yaml
from finished_jobs import finish_jobs
from small_data import write_coco
from teacher_files import quiet, teacher_weights
from transplanted_detectors import measure_transplants, transplant_table

from epsanet_mmdet.config.build import build_without_weights
from epsanet_mmdet.experiments import prepare_plan
from epsanet_mmdet.experiments.worker import measure


@pytest.fixture
def study(tmp_path):
    """A plan of a ResNet-50 that was trained with two seeds, and the data."""
    data = write_coco(tmp_path / 'data', train=4, val=2)
    training = dict(epochs=1, batch_size=2, image_scale=[64, 48], workers=0)
    rows = [dict(name='resnet50', config='resnet50_fpn_small-data')]
    plan = dict(detector='mask-rcnn', weights='scratch', data=dict(paths=[str(data)]))
    path = tmp_path / 'small-data.yml'
    path.write_text(yaml.safe_dump({**plan, 'seeds': [0, 1], 'training': training, 'rows': rows}))
    prepared = prepare_plan(str(path), str(tmp_path / 'study'))
    finish_jobs(prepared)
    for job in prepared.jobs:
        job.prepare()
        detector = build_without_weights(job.config.model)
        detector.backbone.load_state_dict(teacher_weights(), strict=False)
        detector.roi_head.bbox_head.fc_cls.bias.data[0] += 5  # to detect something
        torch.save(dict(state_dict=detector.state_dict()), job.folder / 'train' / 'epoch_1.pth')
        (job.folder / 'train' / 'last_checkpoint').write_text('epoch_1.pth')
    return prepared


def test_every_detector_is_tested_once(study, tmp_path, monkeypatch):
    def run(**options):
        given = dict(archs=['small'], methods=['slice'], seeds=[0], progress=quiet)
        folders = [str(study.work_dir), str(tmp_path / 'data'), str(tmp_path / 'out')]
        return measure_transplants(*folders, **{**given, **options})

    found = run()
    teacher = study.jobs[0]
    assert found['resnet50'] == {0: teacher.result['metrics']}
    folder = tmp_path / 'out' / 'epsanet50-s-slice' / 'seed0'
    assert found['epsanet50-s-slice'] == {0: measure(teacher.config, folder)}
    assert json.loads((folder / 'results.bbox.json').read_text())

    monkeypatch.setattr(transplanted_detectors, 'run_transplant', None)
    assert run() == found
    for others in (dict(methods=['permute']), dict(seeds=[1]), dict(image_size=96)):
        with pytest.raises(TypeError):  # not measured yet
            run(**others)


def test_the_table_has_paired_differences():
    def seeds(*values):
        return {seed: {'bbox': {'AP': value}} for seed, value in enumerate(values)}

    found = {'resnet50': seeds(0.5, 0.6), 'epsanet50-s-fit': seeds(0.49, 0.59)}
    table = transplant_table(found).splitlines()
    assert table[0] == '| | box AP | to ResNet-50 |'
    assert table[2] == '| resnet50 | 55.0 ± 7.1 | – |'
    assert table[3] == '| epsanet50-s-fit | 54.0 ± 7.1 | -1.0 [-1.0, -1.0] |'
