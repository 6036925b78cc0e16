"""COCO, VOC and YOLO data are read in the layouts in use, and their faults are reported."""

import shutil

import pytest
from small_data import (
    CLASSES,
    coco_content,
    draw_image,
    voc_xml,
    write_coco,
    write_json,
    write_voc,
    write_yolo,
    yolo_lines,
)

from epsanet_mmdet.errors import DataError
from epsanet_mmdet.own_data.lint import check_dataset
from epsanet_mmdet.own_data.repair import write_repaired


def check(*paths, **options):
    return check_dataset([str(path) for path in paths], **options)


def check_repaired(data, folder):
    write_repaired(data, str(folder))
    assert not check(folder).findings.of('error')


def boxes(split):
    paths = {image['id']: image['file_name'].split('/')[-1] for image in split.images}
    return sorted((paths[a['image_id']], a['category_id'], a['bbox']) for a in split.annotations)


def test_voc_and_coco_agree(tmp_path):
    data = check(write_voc(tmp_path / 'vöc data'))
    (split,) = data.splits
    assert not data.findings.of('error')
    assert split.format == 'voc' and split.classes == list(CLASSES)
    for name, category, box in boxes(split):
        x1, y1, x2, y2 = draw_image(tmp_path / 'x.png', int(name[:-4]))[category - 1][1]
        assert box == [x1, y1, x2 - x1, y2 - y1]


def test_the_folder_of_voc_annotations_stands_for_the_whole(tmp_path):
    root = write_voc(tmp_path / 'voc')
    data = check(root / 'Annotations')
    assert not data.findings.of('error')
    assert boxes(data.splits[0]) == boxes(check(root).splits[0])


def test_one_voc_file_without_its_image_is_a_finding(tmp_path):
    root = write_voc(tmp_path / 'voc')
    data = check(root / 'Annotations' / '1.xml')
    assert set(data.findings.of('error')) == {'missing-image', 'no-images'}


def test_voc_coordinates_start_at_zero_where_one_is_zero(tmp_path):
    root = write_voc(tmp_path / 'voc')
    (root / 'Annotations' / '1.xml').write_text(voc_xml('1.jpg', [(0, [-1, 4, 20, 30])]))  # xmin 0
    (split,) = check(root).splits
    drawn = {n: draw_image(tmp_path / 'x.png', n) for n in range(2, 7)}
    for name, category, box in boxes(split):
        number = int(name[:-4])
        if number > 1:
            x1, y1, x2, y2 = drawn[number][category - 1][1]
            assert box == [x1 + 1, y1 + 1, x2 - x1 - 1, y2 - y1 - 1]


@pytest.mark.parametrize('polygons', [False, True])
def test_yolo_and_coco_agree(polygons, tmp_path):
    data = check(write_yolo(tmp_path / 'yolo data', polygons=polygons))
    assert not data.findings.of('error')
    assert [split.name for split in data.splits] == ['train', 'val']
    for split in data.splits:
        assert split.classes == list(CLASSES)
        assert all(('segmentation' in a) == polygons for a in split.annotations)
        for name, category, box in boxes(split):
            x1, y1, x2, y2 = draw_image(tmp_path / 'x.png', int(name[:-4]))[category][1]
            assert box == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=0.01)


# Layouts in use, each with three images in train and three in val


def _coco_beside_images(root):
    for split, first in (('train', 1), ('valid', 5)):
        content = coco_content(root / split, 3, first)
        write_json(root / split / '_annotations.coco.json', content)


def _coco_named_as_its_folder(root):
    for split, first in (('train2017', 1), ('val2017', 5)):
        write_json(
            root / 'annotations' / f'instances_{split}.json', coco_content(root / split, 3, first)
        )
    write_json(root / 'annotations' / 'captions_train2017.json', dict(images=[], annotations=[]))
    write_json(root / 'annotations' / 'settings.json', dict(made='by hand'))


def _coco_images_in_a_split(root):
    for split, first in (('train', 1), ('val', 5)):
        write_json(root / f'{split}.json', coco_content(root / 'images' / split, 3, first))


def _voc_with_lists(root):
    write_voc(root)
    (root / 'ImageSets' / 'Main').mkdir(parents=True)
    (root / 'ImageSets' / 'Main' / 'train.txt').write_text('1\n2\n3\n')
    (root / 'ImageSets' / 'Main' / 'val.txt').write_text('4  1\n5  -1\n6  1\n')


def _voc_of_years(root):
    """Each year has the names 1 to 6."""
    for year, split, listed in (('2007', 'train', '1 2 3'), ('2012', 'val', '4 5 6')):
        folder = root / 'VOCdevkit' / f'VOC{year}'
        write_voc(folder)
        (folder / 'ImageSets' / 'Main').mkdir(parents=True)
        (folder / 'ImageSets' / 'Main' / f'{split}.txt').write_text(listed.replace(' ', '\n'))


def _voc_beside_images(root):
    for split, numbers in (('train', (1, 2, 3)), ('valid', (4, 5, 6))):
        for number in numbers:
            objects = draw_image(root / split / f'{number}.png', number)
            xml = voc_xml('/home/me/other name.png', objects)
            (root / split / f'{number}.xml').write_text(xml, encoding='utf-8')


def _yolo_of_folders(root):
    for split, numbers in (('train', (1, 2, 3)), ('val', (4, 5, 6))):
        for number in numbers:
            objects = draw_image(root / split / 'images' / f'{number}.png', number)
            (root / split / 'labels').mkdir(exist_ok=True)
            (root / split / 'labels' / f'{number}.txt').write_text(yolo_lines(objects))
    (root / 'data.yaml').write_text(
        'train: ../train/images\nval: ../val/images\nnc: 2\nnames: [ball, cube]\n'
    )


def _yolo_of_lists(root):
    lists = {'train': [], 'val': []}
    for number in range(1, 7):
        objects = draw_image(root / 'images' / f'{number}.png', number)
        (root / 'images' / f'{number}.txt').write_text(yolo_lines(objects))
        lists['train' if number < 4 else 'val'].append(f'./images/{number}.png')
    for split, lines in lists.items():
        (root / f'{split}.txt').write_text('\n'.join(lines))
    (root / 'data.yaml').write_text('train: train.txt\nval: val.txt\nnames: {0: a, 1: b}\n')


def _yolo_without_settings(root):
    write_yolo(root, train=3, val=3)
    (root / 'data.yaml').unlink()
    (root / 'classes.txt').write_text('ball\ncube\n')


@pytest.mark.parametrize(
    'write',
    [
        _coco_beside_images,
        _coco_named_as_its_folder,
        _coco_images_in_a_split,
        _voc_with_lists,
        _voc_of_years,
        _voc_beside_images,
        _yolo_of_folders,
        _yolo_of_lists,
        _yolo_without_settings,
    ],
)
def test_layouts_in_use_are_read_and_repaired(write, tmp_path):
    root = tmp_path / 'mein Ördner'
    root.mkdir()
    write(root)
    data = check(root)
    assert {split.name: len(split.images) for split in data.splits} == {'train': 3, 'val': 3}
    assert not data.findings.of('error')
    check_repaired(data, tmp_path / 'fixed')


@pytest.mark.parametrize('root', ['images/project', 'project/images', 'a/Images/b/images/c'])
@pytest.mark.parametrize('write', [_yolo_of_folders, _yolo_of_lists, _yolo_without_settings])
def test_yolo_data_may_be_below_a_folder_called_images(root, write, tmp_path):
    (tmp_path / root).mkdir(parents=True)
    write(tmp_path / root)
    data = check(tmp_path / root)
    assert {split.name: len(split.annotations) for split in data.splits} == {'train': 6, 'val': 6}


@pytest.mark.parametrize('settings', [True, False])
def test_yolo_labels_outside_the_data_are_not_read(settings, tmp_path):
    """The path of the data itself has a part that is called images."""
    root, twin = tmp_path / 'images' / 'project', tmp_path / 'labels' / 'project'
    objects = draw_image(root / 'train' / '1.png', 1)
    draw_image(root / 'train' / '2.png', 2)
    (root / 'train' / '1.txt').write_text(yolo_lines(objects))
    (twin / 'train').mkdir(parents=True)
    for name in ('1', '2'):
        (twin / 'train' / f'{name}.txt').write_text('1 .5 .5 .1 .1\nsecret\n')
    if settings:
        (root / 'data.yaml').write_text('train: train\nnames: [a, b]\n')
    data = check(root)
    assert not data.findings.of('error')
    assert [a['bbox'] for a in data.splits[0].annotations] == [
        [x1, y1, x2 - x1, y2 - y1] for _, (x1, y1, x2, y2) in objects
    ]


def test_yolo_labels_without_an_image_are_reported_inside_the_data(tmp_path):
    root = tmp_path / 'labels' / 'project'
    _yolo_without_settings(root)
    (root / 'labels' / 'train' / 'gone.txt').write_text('0 .5 .5 .1 .1\n')
    (finding,) = check(root).findings.of('error')['missing-image']
    assert str(root / 'images' / 'train' / 'gone.jpg') in finding.message


def _replace(path, old, new):
    def damage(root):
        file = root / path
        content = file.read_text(encoding='utf-8')
        assert old in content
        file.write_text(content.replace(old, new, 1), encoding='utf-8')

    return damage


def _write(path, content):
    return lambda root: (root / path).write_bytes(content)


BOMB = (
    '<!DOCTYPE a [<!ENTITY a0 "ha">'
    + ''.join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12))
    + ']><annotation><filename>&a11;</filename></annotation>'
).encode()
OUTSIDE = b"""<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><object><name>&x;
</name></object></annotation>"""

XML = 'Annotations/2.xml'
VOC_FAULTS = {
    'not XML': (_write(XML, b'<annotation><size>'), 'bad-xml', XML),
    'empty': (_write(XML, b''), 'bad-xml', XML),
    'binary': (_write(XML, bytes(range(256))), 'bad-xml', XML),
    'encoding unknown': (
        _write(XML, b'<?xml version="1.0" encoding="none"?><annotation/>'),
        'bad-xml',
        XML,
    ),
    'entities that explode': (_write(XML, BOMB), 'bad-xml', XML),
    'entity of another file': (_write(XML, OUTSIDE), 'bad-xml', XML),
    'no name': (_replace(XML, 'ball', ' '), 'bad-entry', XML + ': object 1'),
    'no box': (_replace(XML, 'bndbox>', 'box>'), 'bad-xml', XML),
    'box of text': (_replace(XML, '<xmin>', '<xmin>x'), 'bad-entry', XML + ': object 1'),
    'box not finite': (_replace(XML, '<xmin>', '<xmin>nan</xmin><xmin>'), 'bad-box', XML),
    'box reversed': (_replace(XML, '<xmin>', '<xmin>60</xmin><xmin>'), 'reversed-box', XML),
    'box outside': (
        _replace(XML, '<xmin>', '<xmin>900</xmin><xmax>990</xmax><xmin>'),
        'outside-box',
        XML + ': object 1',
    ),
    'size wrong': (_replace(XML, '<width>64', '<width>90'), 'size-mismatch', XML),
    'size zero': (_replace(XML, '<width>64', '<width>0'), 'bad-size', XML),
    'size missing': (_replace(XML, '<size>', '<size/><no>'), 'bad-xml', XML),
    'image missing': (lambda r: (r / 'JPEGImages/2.jpg').unlink(), 'missing-image', XML),
    'image damaged': (_write('JPEGImages/2.jpg', b'\xff\xd8\xff'), 'unreadable-image', XML),
    'name leaves the root': (_replace(XML, '>2.jpg', '>../../2.jpg'), 'outside-root', XML),
}


@pytest.mark.parametrize('name', VOC_FAULTS)
def test_a_voc_fault_is_reported_and_repaired(name, tmp_path):
    damage, code, place = VOC_FAULTS[name]
    root = write_voc(tmp_path / 'a voc')
    damage(root)
    data = check(root)
    assert [f for f in data.findings.of('error')[code] if place in f.place]
    check_repaired(data, tmp_path / 'fixed')


LABEL = 'labels/train/2.txt'
YOLO_FAULTS = {
    'words': (_write(LABEL, b'0 a b c d\n'), 'bad-line', LABEL + ': line 1'),
    'nan': (_write(LABEL, b'0 nan 0 0.5 0.5\n'), 'bad-line', LABEL + ': line 1'),
    'four values': (_write(LABEL, b'\n0 0.5 0.5 0.5\n'), 'bad-line', LABEL + ': line 2'),
    'a score': (_write(LABEL, b'0 0.5 0.5 0.5 0.5 0.9\n'), 'bad-line', LABEL + ': line 1'),
    'odd polygon': (_write(LABEL, b'0 .1 .1 .2 .2 .3 .3 .4\n'), 'bad-line', LABEL + ': line 1'),
    'two points': (_write(LABEL, b'0 .1 .1 .2 .2 .3\n'), 'bad-line', LABEL),
    'class of minus one': (_write(LABEL, b'-1 .5 .5 .1 .1\n'), 'bad-line', LABEL + ': line 1'),
    'class unknown': (_write(LABEL, b'7 .5 .5 .1 .1\n'), 'unknown-category', LABEL + ': line 1'),
    'class a fraction': (_write(LABEL, b'0.5 .5 .5 .1 .1\n'), 'bad-line', LABEL + ': line 1'),
    'pixels': (_write(LABEL, b'0 300 200 20 20\n'), 'outside-box', LABEL + ': line 1'),
    'no width': (_write(LABEL, b'0 .5 .5 0 .1\n'), 'empty-box', LABEL + ': line 1'),
    'reversed': (_write(LABEL, b'0 .5 .5 -.1 .1\n'), 'reversed-box', LABEL + ': line 1'),
    'binary labels': (_write(LABEL, b'\xff\xfe\x00\x01'), 'bad-labels', LABEL),
    'image damaged': (_write('images/train/2.png', b''), 'unreadable-image', 'train/2.png'),
    'no images': (_replace('data.yaml', 'images/train', 'pictures'), 'bad-yaml', 'data.yaml'),
    'no names': (_replace('data.yaml', 'names', 'labels'), 'bad-yaml', 'data.yaml'),
    'names nested': (_replace('data.yaml', 'ball', '[a, b]'), 'bad-yaml', 'data.yaml'),
    'not YAML': (_write('data.yaml', b'train: [\n: :'), 'bad-yaml', 'data.yaml'),
    'YAML of a word': (_write('data.yaml', b'train'), 'bad-yaml', 'data.yaml'),
    'YAML that runs code': (
        _write('data.yaml', b'!!python/object/apply:os.system ["exit 1"]'),
        'bad-yaml',
        'data.yaml',
    ),
}


@pytest.mark.parametrize('name', YOLO_FAULTS)
def test_a_yolo_fault_is_reported_and_repaired(name, tmp_path):
    damage, code, place = YOLO_FAULTS[name]
    root = write_yolo(tmp_path / 'a yolo')
    damage(root)
    data = check(root / 'data.yaml')
    assert [f for f in data.findings.of('error')[code] if place in f.place]
    if any(split.annotations for split in data.splits):
        check_repaired(data, tmp_path / 'fixed')


def test_images_of_validation_are_removed_from_training(tmp_path):
    root = write_coco(tmp_path / 'data', train=4, val=2)
    shutil.copy(root / 'images' / 'im 5.png', root / 'images' / 'im 2.png')
    data = check(root)
    (finding,) = data.findings.of('error')['leakage']
    assert (
        'image 2 (im 2.png)' in finding.place and "'im 5.png' (image 5) of val" in finding.message
    )
    assert [len(split.images) for split in data.splits] == [3, 2]
    check_repaired(data, tmp_path / 'fixed')


def test_classes_that_differ_between_splits_are_joined(tmp_path):
    root = write_coco(tmp_path / 'data', train=4, val=2)
    content = coco_content(root / 'images', 2, first=5)
    content['categories'] = [dict(id=1, name=CLASSES[1]), dict(id=2, name=CLASSES[0])]
    write_json(root / 'annotations' / 'val.json', content)
    data = check(root)
    (finding,) = data.findings.of('error')['classes-differ']
    assert f'1 {CLASSES[1]}, 2 {CLASSES[0]}' in finding.message
    assert f'1 {CLASSES[0]}, 2 {CLASSES[1]}' in finding.message
    assert data.splits[0].categories == data.splits[1].categories
    assert data.splits[1].annotations[0]['category_id'] == 2
    check_repaired(data, tmp_path / 'fixed')


def test_paths_without_data_are_named(tmp_path):
    with pytest.raises(DataError, match='does not exist'):
        check(tmp_path / 'nowhere')
    with pytest.raises(DataError, match='no annotations in a known format'):
        check(tmp_path)
    with pytest.raises(DataError, match='set --images'):
        check(write_coco(tmp_path / 'data'), image_dir=str(tmp_path / 'pictures'))


def test_fix_never_writes_over_anything(tmp_path):
    data = check(write_coco(tmp_path / 'data'))
    with pytest.raises(DataError, match='not an empty folder'):
        write_repaired(data, str(tmp_path / 'data' / 'annotations'))
