"""A newcomer gets from a folder of images to a report: check, new config, train, test, infer."""

import pytest
from small_data import CLASSES, write_voc, write_yolo
from tool_process import run_tool

SHORT = [  # two images and one epoch are enough to see that everything fits together
    'train_cfg.max_epochs=1',
    'train_cfg.val_interval=1',
    'default_hooks.checkpoint.interval=1',
    'train_dataloader.dataset.indices=4',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
]
SMALL_TEST = [  # an untrained detector sees objects everywhere
    'val_dataloader.dataset.indices=2',
    'test_dataloader.dataset.indices=2',
    'model.test_cfg.rcnn.max_per_img=5',
    'model.test_cfg.rpn.max_per_img=20',
    'model.test_cfg.rpn.nms_pre=50',
    'val_dataloader.num_workers=0',
    'val_dataloader.persistent_workers=False',
    'test_dataloader.num_workers=0',
    'test_dataloader.persistent_workers=False',
]


@pytest.fixture
def tool(tmp_path):
    def run(name, *arguments):
        result = run_tool(f'{name}.py', *arguments, cwd=tmp_path)
        assert result.returncode == 0, f'{name}: {result.stdout[-2000:]}{result.stderr[-4000:]}'
        return result.stdout + result.stderr

    return run


def walk_the_path(tool, folder, data, model, pictures):
    assert '0 errors' in tool('check_dataset', data, '--page', 'check.html')
    tool('new_config', '--data', data, '--model', model, '--out', 'mine.py')
    output = tool('train', 'mine.py', '--cfg-options', *SHORT, *SMALL_TEST)
    assert 'loss' in output and 'bbox_mAP' in output
    checkpoint = 'work_dirs/mine/epoch_1.pth'
    assert 'bbox_mAP' in tool('test', 'mine.py', checkpoint, '--cfg-options', *SMALL_TEST)
    options = ['--score-thr', '0.01', '--cfg-options', *SMALL_TEST]
    tool('infer', 'mine.py', checkpoint, pictures, '--out-dir', 'found', *options)
    assert list((folder / 'found').rglob('*.json')) and list((folder / 'found').rglob('*.csv'))
    tool('report', 'mine.py', checkpoint, '--out', 'report.html', '--cfg-options', *SMALL_TEST)
    return (folder / 'report.html').read_text(encoding='utf-8')


@pytest.mark.slow
@pytest.mark.parametrize(
    'write_data, options, model, pictures',
    [
        (write_voc, dict(count=8), 'faster-rcnn_epsanet50-s', 'JPEGImages/2.jpg'),
        (write_yolo, dict(polygons=True), 'mask-rcnn_epsanet50-s', 'images/val'),
    ],
    ids=['voc', 'yolo'],
)
def test_from_a_folder_to_a_report(write_data, options, model, pictures, tool, tmp_path):
    data = write_data(tmp_path / 'meine Bälle', **options)
    page = walk_the_path(tool, tmp_path, data, model, data / pictures)
    assert all(name in page for name in CLASSES)


@pytest.mark.slow
def test_pedestrians_in_coco_format_from_a_folder_to_a_report(penn_fudan, tool, tmp_path):
    picture = sorted((penn_fudan / 'images').iterdir())[0]
    page = walk_the_path(tool, tmp_path, penn_fudan, 'mask-rcnn_epsanet50-s', picture)
    assert 'person' in page
