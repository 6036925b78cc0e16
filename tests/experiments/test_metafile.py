"""Results measured on COCO become entries that fit into the configs' metafiles."""

import pytest
import yaml
from coco_shaped import write_coco_shaped
from finished_jobs import finish_jobs
from tiny_plan import write_plan

from epsanet_mmdet.config.load import configs_dir
from epsanet_mmdet.experiments import metafile, prepare_plan
from epsanet_mmdet.experiments.metafile import write_metafile
from epsanet_mmdet.experiments.table import summarise

NAMES = ['mask-rcnn_senet50_fpn_1x_coco', 'mask-rcnn_epsanet50-l_fpn_1x_coco']


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    monkeypatch.setattr(metafile, 'VAL2017', 3)
    write_coco_shaped(str(tmp_path / 'coco'), train=4, val=3)
    ann_files = {
        f'data.{name}_ann': f'annotations/instances_{name}2017.json' for name in ('train', 'val')
    }
    changes = {'data.root': str(tmp_path / 'coco'), **ann_files}
    return prepare_plan('coco-minimal', str(tmp_path / 'work'), {**changes, 'seeds': [0, 1]})


def models(prepared):
    write_metafile(prepared, summarise(prepared))
    return yaml.safe_load((prepared.work_dir / 'metafile.yml').read_text())['Models']


def test_entries_have_the_measured_ap_and_the_fields_of_the_shipped_ones(prepared):
    finish_jobs(prepared)
    job = prepared.jobs[0]
    log = job.folder / 'train' / '1' / 'vis_data' / 'scalars.json'
    log.write_text('{"memory": 5120, "step": 1}\n{"memory": 2048, "step": 2}\n' + log.read_text())
    entries = models(prepared)
    rows = summarise(prepared)['comparisons'][0]['rows']
    assert [entry['Name'] for entry in entries] == NAMES
    for entry, row in zip(entries, rows):
        folder = configs_dir().parent / entry['Config']
        shipped = yaml.safe_load((folder.parent / 'metafile.yml').read_text())['Models']
        (same,) = (model for model in shipped if model['Name'] == entry['Name'])
        assert entry['In Collection'] == same['In Collection']
        assert same['Metadata'].items() <= entry['Metadata'].items()
        for own, published in zip(entry['Results'], same['Results'], strict=True):
            assert (own['Task'], own['Dataset']) == (published['Task'], published['Dataset'])
            assert own['Metrics'].keys() == published['Metrics'].keys()
        for iou_type, result in zip(('bbox', 'segm'), entry['Results']):
            (ap,) = result['Metrics'].values()
            assert ap == pytest.approx(100 * row['figures'][iou_type]['AP']['mean'], abs=0.05)
        assert entry['Metadata']['Seeds'] == [0, 1]
        assert entry['Metadata']['Training Resources'] == '1x a machine'
    assert entries[0]['Metadata']['Training Memory (GB)'] == 5.0
    assert 'Training Memory (GB)' not in entries[1]['Metadata']


def test_variants_without_a_finished_job_have_no_entry(prepared):
    finish_jobs(prepared)
    for job in prepared.jobs[1:]:
        (job.folder / 'result.json').unlink()
    assert [entry['Name'] for entry in models(prepared)] == NAMES[:1]


def test_results_on_part_of_coco_are_no_entries(prepared, monkeypatch):
    monkeypatch.setattr(metafile, 'VAL2017', 4)
    finish_jobs(prepared)
    write_metafile(prepared, summarise(prepared))
    assert not (prepared.work_dir / 'metafile.yml').exists()


def test_results_on_other_classes_are_no_entries(tmp_path, monkeypatch):
    monkeypatch.setattr(metafile, 'VAL2017', 2)
    prepared = prepare_plan(str(write_plan(tmp_path / 'plan')), str(tmp_path / 'work'))
    finish_jobs(prepared)
    write_metafile(prepared, summarise(prepared))
    assert not (tmp_path / 'work' / 'metafile.yml').exists()
