"""No name inside a data set makes a tool read, show or write a file outside the data set."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_data import write_coco, write_voc, write_yolo

from epsanet_mmdet.evaluation.data import load_ground_truth, load_results
from epsanet_mmdet.evaluation.gallery import worst_pictures
from epsanet_mmdet.evaluation.matching import match
from epsanet_mmdet.inference.detections import Detections
from epsanet_mmdet.inference.image_ids import ImageIds
from epsanet_mmdet.inference.outputs import OutputFolder
from epsanet_mmdet.inference.sources import find_sources, read_frames
from epsanet_mmdet.own_data.lint import check_dataset
from epsanet_mmdet.own_data.page import render_page
from epsanet_mmdet.own_data.repair import write_repaired


@pytest.fixture
def secret(tmp_path) -> Path:
    """A picture beside the data set, of a size that no other has."""
    path = tmp_path / 'secret.png'
    Image.new('RGB', (77, 55), (255, 0, 255)).save(path)
    return path


def ways_out(secret: Path, folder: Path):
    """Return every way to name the secret from a folder."""
    relative = os.path.relpath(secret, folder)
    return [
        relative,
        str(secret),
        f'./{relative}',
        f'sub/../{relative}',
        f'sub/../../{folder.name}/{relative}',
        relative.replace('/', '\\'),
    ]


def check(path, **options):
    data = check_dataset([str(path)], **options)
    sizes = {(i['width'], i['height']) for split in data.splits for i in split.images}
    return data, sizes


@pytest.mark.parametrize('way', range(6))
def test_coco_names_do_not_leave_the_data(way, secret, tmp_path):
    root = write_coco(tmp_path / 'data')
    path = root / 'annotations' / 'train.json'
    content = json.loads(path.read_text())
    content['images'][0]['file_name'] = ways_out(secret, root / 'images')[way]
    path.write_text(json.dumps(content))
    data, sizes = check(path)
    assert (77, 55) not in sizes
    found = data.findings.of('error')
    assert {'outside-root', 'missing-image'} & set(found)
    assert len(data.splits[0].images) == 5
    render_page(data)
    write_repaired(data, str(tmp_path / 'fixed'))
    written = json.loads((tmp_path / 'fixed' / 'train.json').read_text())
    assert not [i for i in written['images'] if 'secret' in i['file_name']]


@pytest.mark.parametrize('way', range(6))
def test_voc_names_do_not_leave_the_data(way, secret, tmp_path):
    root = write_voc(tmp_path / 'data')
    path = root / 'Annotations' / '1.xml'
    name = ways_out(secret, root / 'JPEGImages')[way]
    path.write_text(path.read_text(encoding='utf-8').replace('1.jpg', name), encoding='utf-8')
    assert (77, 55) not in check(root)[1]


@pytest.mark.parametrize('way', range(6))
def test_yolo_lists_do_not_leave_the_data(way, secret, tmp_path):
    root = write_yolo(tmp_path / 'data')
    (root / 'list.txt').write_text(f'images/train/0.png\n{ways_out(secret, root)[way]}\n')
    (root / 'data.yaml').write_text('train: list.txt\nnames: [a, b]\n')
    data, sizes = check(root)
    assert (77, 55) not in sizes and len(data.splits[0].images) == 1


@pytest.mark.parametrize(
    'text',
    [
        'train: ..\n',
        'train: {outside}\n',
        'train: images/../..\n',
        'path: ..\ntrain: .\n',
        'path: {outside}\ntrain: .\n',
        'path: images/../..\ntrain: .\n',
        'train: ../secrets.txt\n',
        'train: {outside}/secrets.txt\n',
    ],
)
def test_yolo_settings_do_not_leave_the_data(text, secret, tmp_path):
    root = write_yolo(tmp_path / 'data')
    (tmp_path / 'secrets.txt').write_text('secret.png\n')
    (root / 'data.yaml').write_text(text.format(outside=tmp_path) + 'names: [a, b]\n')
    data, sizes = check(root)
    assert (77, 55) not in sizes
    assert 'outside-root' in data.findings.of('error')


def test_yolo_settings_may_name_the_folder_of_the_images_option(tmp_path):
    root = write_yolo(tmp_path / 'data')
    text = (root / 'data.yaml').read_text(encoding='utf-8').replace('path: .', f'path: {root}')
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere' / 'data.yaml').write_text(text, encoding='utf-8')
    data, _ = check(tmp_path / 'elsewhere' / 'data.yaml')
    (finding,) = data.findings.of('error')['outside-root']
    assert f'--images {root}' in finding.message
    data, _ = check(tmp_path / 'elsewhere' / 'data.yaml', image_dir=str(root))
    assert not data.findings.of('error') and len(data.splits[0].images) == 6


@pytest.mark.parametrize('write', [write_coco, write_voc, write_yolo])
def test_a_data_set_may_be_a_link(write, tmp_path):
    root = write(tmp_path / 'data')
    (tmp_path / 'link').symlink_to(root, target_is_directory=True)
    data, _ = check(tmp_path / 'link')
    assert not data.findings.of('error')
    assert 'link-outside' not in data.findings.of('warning')


def test_linked_files_are_read_and_links_out_of_the_data_are_named(secret, tmp_path):
    root = write_coco(tmp_path / 'data')
    (root / 'images' / 'im 1.png').rename(root / 'moved.png')
    (root / 'images' / 'im 1.png').symlink_to(root / 'moved.png')
    (root / 'images' / 'im 2.png').rename(tmp_path / 'away.png')
    (root / 'images' / 'im 2.png').symlink_to(tmp_path / 'away.png')
    data, _ = check(root / 'annotations' / 'train.json')
    assert not data.findings.of('error')
    (finding,) = data.findings.of('warning')['link-outside']
    assert finding.message.startswith('2 of its images are links out of') and 'im 1' in (
        finding.message
    )


@pytest.mark.parametrize('name', ['pipe.json', 'pipe.xml', 'data.yaml', 'pipe.png', 'classes.txt'])
def test_pipes_in_a_data_set_are_not_waited_for(name, tmp_path):
    root = write_yolo(tmp_path / 'data')
    (root / name).unlink(missing_ok=True)
    os.mkfifo(root / name)
    check(root)


@pytest.mark.parametrize('way', range(5))
def test_a_report_shows_no_picture_from_elsewhere(way, secret, tmp_path):
    root = write_coco(tmp_path / 'data', train=2)
    path = root / 'annotations' / 'train.json'
    content = json.loads(path.read_text())
    content['images'][0]['file_name'] = ways_out(secret, root / 'images')[way]
    path.write_text(json.dumps(content))
    results = tmp_path / 'r.bbox.json'
    results.write_text(json.dumps([dict(image_id=1, category_id=1, bbox=[1, 1, 9, 9], score=0.9)]))
    gt = load_ground_truth(str(path))
    dt = load_results(gt, [str(results)])['bbox']
    models = {'detections': (dt, match(gt, dt, 'bbox'))}
    pictures = worst_pictures(gt, models, str(root / 'images'), 9, 0.3).pictures
    uris = {picture.name: picture.uri for picture in pictures}
    assert [name for name, uri in uris.items() if uri] == ['im 2.png']


@pytest.mark.parametrize(
    'inputs', [['{}/a/x.png', '{}/b/x.png'], ['{}/out/../a', '{}/b/../b/x.png']]
)
def test_detections_are_written_into_their_folder_alone(inputs, tmp_path, monkeypatch):
    work = tmp_path / 'work'
    for name in ('a', 'b', 'out'):
        (work / name).mkdir(parents=True)
        Image.new('RGB', (8, 8)).save(work / name / 'x.png')
    monkeypatch.chdir(work / 'out')
    before = set(tmp_path.rglob('*'))
    for prefix in ('..', str(work)):
        sources = find_sources([text.format(prefix) for text in inputs])
        out = OutputFolder(str(work / 'out' / 'results'), ImageIds(), sources)
        for frame in read_frames(sources):
            found = Detections(frame.source.name, frame.size)
            out.add(frame, found, np.zeros((8, 8, 3), np.uint8))
        out.close()
    new = set(tmp_path.rglob('*')) - before
    assert new and all(path.is_relative_to(work / 'out' / 'results') for path in new)


def test_a_list_named_many_times_is_read_once(tmp_path):
    root = write_yolo(tmp_path / 'data')
    (root / 'list.txt').write_text('images/train/0.png\n' * 3)
    places = ', '.join('./' * i + 'list.txt' for i in range(50))
    (root / 'data.yaml').write_text(f'train: [{places}]\nnames: [a, b]\n')
    data, _ = check(root)
    assert len(data.splits[0].images) == 1 and 'duplicate-file' not in data.findings.of('error')
