"""A data set with rotten files: it stops at the start with the list, or is trained on without.

A model that learns nothing stands in for a detector: what matters is which images reach it.
"""

import json
import logging
import multiprocessing
import os
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import HOOKS, MODELS
from mmengine.runner import Runner
from PIL import Image

from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.datasets import CheckedCocoDataset, SkippedDataHook, checks
from epsanet_mmdet.errors import DataError
from epsanet_mmdet.utils import images as image_files
from epsanet_mmdet.utils.files import open_regular

COUNT = 200  # so that one in a hundred is two
TRUNCATED, EMPTY = (20, 120), (50, 150)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


@pytest.fixture
def root(tmp_path) -> Path:
    """200 images, of which 1 % are truncated and 1 % empty, and some annotations degenerate."""
    folder = tmp_path / 'images'
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    images, annotations = [], []
    for i in range(COUNT):
        name = f'{i:03d}.{"png" if i % 2 else "jpg"}'
        Image.fromarray(np.roll(pixels, i)).save(folder / name)
        images.append(dict(id=i, file_name=name, width=32, height=24))
        segmentation = [[2, 2, 20, 2, 20, 18, 2, 18]]
        for k in range(2):
            annotations.append(
                dict(id=2 * i + k + 1, image_id=i, category_id=1, bbox=[2, 2, 18, 16], area=288,
                     iscrowd=0, segmentation=segmentation)
            )  # fmt: skip
    for i in TRUNCATED:
        truncate(folder / images[i]['file_name'])
    for i in EMPTY:
        (folder / images[i]['file_name']).write_bytes(b'')
    write(tmp_path, images, annotations)
    return tmp_path


def write(root: Path, images, annotations) -> None:
    content = dict(images=images, annotations=annotations, categories=[dict(id=1, name='cat')])
    (root / 'train.json').write_text(json.dumps(content))


def edit(root: Path, **changes) -> None:
    """Change the first annotation."""
    content = json.loads((root / 'train.json').read_text())
    content['annotations'][0].update(changes)
    write(root, content['images'], content['annotations'])


def mend(root: Path) -> None:
    for i in (*TRUNCATED, *EMPTY):
        name = f'{i:03d}.{"png" if i % 2 else "jpg"}'
        Image.new('RGB', (32, 24)).save(root / 'images' / name)


def settings(root: Path, **options) -> dict:
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
        dict(type='mmdet.PackDetInputs'),
    ]
    return dict(
        data_root=str(root),
        ann_file='train.json',
        data_prefix=dict(img='images/'),
        metainfo=dict(classes=('cat',)),
        pipeline=pipeline,
        **options,
    )


@pytest.fixture
def messages():
    found = []
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda record: found.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


# At the start


def test_stops_with_the_list(root):
    edit(root, bbox=[1, 2, float('nan'), 4])
    with pytest.raises(DataError) as caught:
        CheckedCocoDataset(**settings(root))
    message = str(caught.value)
    assert '\n' not in message and '4 of 200 images and 1 annotations' in message
    for name in ('020.jpg', '120.jpg', '050.jpg', '150.jpg', 'annotation 1 of 000.jpg'):
        assert name in message
    assert 'skip_bad_images=True' in message and 'check_dataset' in message


def test_skips_them_and_says_so(root, messages):
    edit(root, bbox=[1, 2, 'x', 4])
    dataset = CheckedCocoDataset(**settings(root, skip_bad_images=True))
    assert len(dataset) == COUNT - 4
    assert len(dataset.get_data_info(0)['instances']) == 1
    assert {Path(path).name for path in dataset.skipped.images} == {
        '020.jpg', '120.jpg', '050.jpg', '150.jpg'
    }  # fmt: skip
    assert list(dataset.skipped.annotations) == ['annotation 1 of 000.jpg']
    assert any('4 of 200 images' in message for message in messages)


FAULTS = {
    'box of text': dict(bbox='x'),
    'box of three': dict(bbox=[1, 2, 3]),
    'box not finite': dict(bbox=[1, 2, float('inf'), 3]),
    'box beyond numbers': dict(bbox=[1, 2, 10**309, 3]),
    'unknown category': dict(category_id=7),
    'crowd of text': dict(iscrowd='no'),
    'area missing': dict(area=None),
    'area not finite': dict(area=float('nan')),
    'polygon of text': dict(segmentation=[['a', 'b', 1, 2, 3, 4]]),
    'polygon not finite': dict(segmentation=[[1, 2, float('nan'), 4, 5, 6]]),
    'polygon without its list': dict(segmentation=[1, 2, 3, 4, 5, 6]),
    'mask of text': dict(segmentation='mask'),
    'no mask where masks are loaded': dict(segmentation=[]),
    'run lengths too long': dict(segmentation=dict(size=[24, 32], counts=[0, 10**9])),
    'run lengths backwards': dict(segmentation=dict(size=[24, 32], counts=[800, -32])),
    'run lengths of another size': dict(segmentation=dict(size=[10**5, 10**5], counts=[10**10])),
    'run lengths of junk': dict(segmentation=dict(size=[24, 32], counts='\x7f~~')),
    'run lengths without counts': dict(segmentation=dict(size=[24, 32])),
}


@pytest.mark.parametrize('name', FAULTS)
def test_annotations_that_would_stop_or_spoil_a_training(name, root):
    mend(root)
    edit(root, **FAULTS[name])
    with pytest.raises(DataError, match='annotation 1 of 000.jpg'):
        CheckedCocoDataset(**settings(root))
    dataset = CheckedCocoDataset(**settings(root, skip_bad_images=True))
    assert len(dataset[0]['data_samples'].gt_instances) == 1
    assert len(dataset.skipped.annotations) == 1


@pytest.mark.parametrize('box', [[5, 5, 0, 9], [5, 5, 9, 0], [99, 5, 9, 9], [5, 5, -4, 4]], ids=str)
def test_degenerate_boxes_are_left_out_with_a_warning_as_coco_has_some(box, root, messages):
    mend(root)
    edit(root, bbox=box)
    dataset = CheckedCocoDataset(**settings(root))
    assert len(dataset.get_data_info(0)['instances']) == 1
    assert len(dataset.skipped.annotations) == 1 and not dataset.skipped.harmful
    assert any('annotation 1 of 000.jpg' in message for message in messages)


def test_masks_of_another_size_than_the_file(root):
    mend(root)
    edit(root, segmentation=dict(size=[24, 32], counts=[0, 768]))
    Image.new('RGB', (16, 12)).save(root / 'images' / '000.jpg')
    with pytest.raises(DataError, match='000.jpg .is 16x12, but its masks are for 32x24'):
        CheckedCocoDataset(**settings(root))


@pytest.mark.parametrize('size', [(0, 24), (32, -1), (float('nan'), 24), ('32', 24), (None, 24)])
def test_images_whose_stated_size_is_none(size, root):
    mend(root)
    content = json.loads((root / 'train.json').read_text())
    content['images'][0].update(width=size[0], height=size[1])
    write(root, content['images'], content['annotations'])
    with pytest.raises(DataError, match='000.jpg'):
        CheckedCocoDataset(**settings(root))
    assert len(CheckedCocoDataset(**settings(root, skip_bad_images=True))) == COUNT - 1


def test_nothing_left_is_an_error(root):
    content = json.loads((root / 'train.json').read_text())
    write(root, content['images'][20:21], [])
    with pytest.raises(DataError, match='no image with objects'):
        CheckedCocoDataset(**settings(root, skip_bad_images=True, filter_cfg=dict(min_size=1)))


@pytest.mark.parametrize(
    'name',
    [
        'mask-rcnn_epsanet50-s_fpn_1x_coco',
        'faster-rcnn_epsanet101-l_fpn_1x_coco',
        'retinanet_ecanet50_fpn_1x_coco',
        'mask-rcnn_epsanet50-s-scratch_fpn_gn-all_6x_coco',
        'mask-rcnn_epsanet50-s_fpn_small-data',
        'mask-rcnn_epsanet50-s-slim_fpn_shapes',
    ],
)
def test_shipped_configs_name_at_the_end_what_was_left_out(name):
    hooks = [hook['type'] for hook in load_config(name).custom_hooks]
    assert hooks.count('SkippedDataHook') == 1


# File names


NAMES = ['../../etc/passwd', '/etc/passwd', 'a/../../../x.png', '../../images.png', 'x\0y.png']


@pytest.mark.parametrize('name', NAMES)
def test_names_cannot_leave_the_data(name, root, monkeypatch):
    mend(root)
    opened = []

    def watch(path):
        opened.append(str(path))
        return open_regular(path)

    monkeypatch.setattr(checks, 'open_regular', watch)
    monkeypatch.setattr(image_files, 'open_regular', watch)
    content = json.loads((root / 'train.json').read_text())
    content['images'][0]['file_name'] = name
    write(root, content['images'][:2], content['annotations'][:4])
    with pytest.raises(DataError, match="its name leaves the data's folder"):
        CheckedCocoDataset(**settings(root))
    assert len(CheckedCocoDataset(**settings(root, skip_bad_images=True))) == 1
    assert opened and all(path.startswith(str(root)) and '..' not in path for path in opened)


def test_names_and_links_inside_the_data_are_fine(root, tmp_path_factory):
    mend(root)
    elsewhere = tmp_path_factory.mktemp('elsewhere')
    (root / 'images' / '000.jpg').rename(elsewhere / 'a.jpg')
    (root / 'images' / '000.jpg').symlink_to(elsewhere / 'a.jpg')
    (root / 'images' / '001.png').rename(root / 'other.png')
    content = json.loads((root / 'train.json').read_text())
    content['images'][1]['file_name'] = '../other.png'  # beside the folder, but within the root
    write(root, content['images'], content['annotations'])
    link = elsewhere / 'link'
    link.symlink_to(root, target_is_directory=True)
    dataset = CheckedCocoDataset(**settings(link))
    assert len(dataset) == COUNT and dataset[0] and dataset[1]


def test_a_pipe_among_the_images_is_not_waited_for(root):
    mend(root)
    (root / 'images' / '000.jpg').unlink()
    os.mkfifo(root / 'images' / '000.jpg')
    with pytest.raises(DataError, match='pipe'):
        CheckedCocoDataset(**settings(root))


# On the way, and at the end


@MODELS.register_module()
class Counter(BaseModel):
    """Learns nothing, and counts the images that reach it."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, inputs, data_samples, mode):
        self.seen += [sample.img_path for sample in data_samples]
        return dict(loss=self.weight.sum())


@HOOKS.register_module()
class Rot(Hook):
    """Spoils a file as soon as training has begun."""

    def __init__(self, paths):
        self.paths = paths

    def before_train(self, runner):
        for i, path in enumerate(map(Path, self.paths)):
            (truncate if i % 2 else lambda p: p.write_bytes(b''))(path)


def train(root: Path, work_dir: Path, workers: int, rot=(), wrap=lambda d: d, **options) -> Runner:
    dataset = wrap(dict(type='CheckedCocoDataset', **settings(root, **options)))
    hooks = [dict(type='SkippedDataHook'), dict(type='Rot', paths=[str(path) for path in rot])]
    runner = Runner.from_cfg(
        Config(
            dict(
                default_scope='mmdet',
                model=dict(type='Counter'),
                work_dir=str(work_dir),
                experiment_name=f'{work_dir.name}-{time.time_ns()}',  # mmengine keeps loggers by it
                train_dataloader=dict(
                    batch_size=10,
                    num_workers=workers,
                    sampler=dict(type='DefaultSampler', shuffle=False),
                    collate_fn=dict(type='pseudo_collate'),
                    dataset=dataset,
                ),
                train_cfg=dict(by_epoch=True, max_epochs=1),
                optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
                custom_hooks=hooks,
            )
        )
    )
    runner.train()
    return runner


@pytest.mark.parametrize('workers', [0, 2])
def test_the_end_of_a_run_names_all(workers, root, tmp_path):
    edit(root, bbox=[1, 2, 3])
    rot = [root / 'images' / '190.jpg', root / 'images' / '199.png']
    runner = train(root, tmp_path / 'work', workers, rot, skip_bad_images=True)
    assert len(runner.model.seen) == COUNT - 4  # another one is taken for each
    assert not {str(path) for path in rot} & set(runner.model.seen)
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    report = log[log.rindex('6 images and 1 annotations of') :]
    for number in ('020', '120', '050', '150', '190', '199'):
        assert f'{number}.' in report
    assert 'annotation 1 of 000.jpg' in report and 'train.json were left out' in report
    assert '190.jpg: went bad during the run: empty file' in report


WRAPPERS = {
    'RepeatDataset': lambda d: dict(type='RepeatDataset', times=2, dataset=d),
    'ConcatDataset': lambda d: dict(type='ConcatDataset', datasets=[d]),
    'ClassBalancedDataset': lambda d: dict(
        type='ClassBalancedDataset', oversample_thr=1e-3, dataset=d
    ),
    'MultiImageMixDataset': lambda d: dict(type='MultiImageMixDataset', dataset=d, pipeline=[]),
    'a wrapped wrapper': lambda d: dict(
        type='RepeatDataset', times=1, dataset=dict(type='ConcatDataset', datasets=[d])
    ),
}


@pytest.mark.parametrize('name', WRAPPERS)
def test_images_that_go_bad_inside_wrappers_are_replaced_and_named(name, root, tmp_path):
    rot = [root / 'images' / '190.jpg', root / 'images' / '199.png']
    options = dict(wrap=WRAPPERS[name], skip_bad_images=True)
    runner = train(root, tmp_path / 'work', 2, rot, **options)
    assert not {str(path) for path in rot} & set(runner.model.seen)
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    report = log[log.rindex('6 images and 0 annotations of') :]
    assert '190.jpg: went bad during the run' in report and '199.png: went bad on the way' in report


def report_of_a_rank(rank: int, root: Path) -> None:
    """Find an image bad on the way, and write the report at the end into a file."""
    store = f'file://{root / "store"}'
    torch.distributed.init_process_group('gloo', init_method=store, rank=rank, world_size=2)
    dataset = CheckedCocoDataset(**settings(root, skip_bad_images=True))
    (root / 'images' / f'{190 + rank}.{"png" if rank else "jpg"}').write_bytes(b'')
    index = next(i for i in range(len(dataset)) if dataset.get_data_info(i)['img_id'] == 190 + rank)
    assert dataset.prepare_data(index) is None
    logger = logging.Logger('report')
    logger.addHandler(logging.FileHandler(root / f'rank{rank}.log'))
    hook = SkippedDataHook()
    hook.before_train(SimpleNamespace(train_dataloader=SimpleNamespace(dataset=dataset)))
    hook.after_run(SimpleNamespace(logger=logger))
    torch.distributed.destroy_process_group()


def test_the_report_is_of_all_ranks(root):
    context = multiprocessing.get_context('fork')
    ranks = [context.Process(target=report_of_a_rank, args=(rank, root)) for rank in (0, 1)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60)
    assert [process.exitcode for process in ranks] == [0, 0]
    for rank in (0, 1):
        report = (root / f'rank{rank}.log').read_text()
        assert report.startswith('6 images and 0 annotations of ')
        for name in ('020.jpg', '120.jpg', '050.jpg', '150.jpg', '190.jpg', '191.png'):
            assert name in report


def test_an_evaluation_counts_the_objects_on_images_left_out_as_missed(root, messages):
    options = dict(skip_bad_images=True, test_mode=True)
    dataset = CheckedCocoDataset(**settings(root, **options))
    assert any('still counts the objects on these images as false negatives' in m for m in messages)
    metric = CocoMetric(ann_file=str(root / 'train.json'), metric='bbox', metric_items=['AR@100'])
    metric.dataset_meta = dataset.metainfo
    box, twice = [2.0, 2.0, 20.0, 18.0], 2
    perfect = dict(
        bboxes=torch.tensor([box] * twice),
        scores=torch.ones(twice),
        labels=torch.zeros(twice, dtype=torch.long),
    )
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        sample = dict(img_id=info['img_id'], ori_shape=(24, 32), pred_instances=perfect)
        metric.process({}, [sample])
    recall = metric.evaluate(len(dataset))['coco/bbox_AR@100']
    assert recall == pytest.approx((COUNT - 4) / COUNT, abs=1e-3)


def test_without_the_choice_a_file_that_goes_bad_stops_the_run_by_its_name(root, tmp_path):
    mend(root)
    with pytest.raises(DataError, match=r'190.jpg.*went bad during the run: empty file'):
        train(root, tmp_path / 'work', 0, [root / 'images' / '190.jpg'])


def test_an_evaluation_never_goes_on_without_an_image(root):
    mend(root)
    dataset = CheckedCocoDataset(**settings(root, skip_bad_images=True, test_mode=True))
    (root / 'images' / '003.png').write_bytes(b'')
    with pytest.raises(DataError, match='003.png'):
        dataset[3]


def test_other_errors_of_the_pipeline_are_left_as_they_are(root):
    mend(root)
    pipeline = [dict(type='mmdet.Resize', scale=(9, 9))]  # of an image that was never loaded
    dataset = CheckedCocoDataset(**{**settings(root), 'pipeline': pipeline})
    with pytest.raises(KeyError, match='scale_factor'):
        dataset[0]
