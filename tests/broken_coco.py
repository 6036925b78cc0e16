"""Faults of COCO data sets: how to make each, and the finding that must report it."""

import shutil
from pathlib import Path
from typing import Callable, Dict, NamedTuple, Tuple

from broken_images import png_claiming, save_as, save_turned, truncate


class Fault(NamedTuple):
    """One way to break a data set.

    Args:
        code: Kind of the finding.
        entry: Place that the finding must name.
        damage: Breaks the annotations (a dict, changed in place) or the files under the root.
        level: Level of the finding.
    """

    code: str
    entry: str
    damage: Callable[[Dict, Path], None]
    level: str = 'error'


def _set(kind: str, index: int, **values) -> Callable:
    def damage(content: Dict, root: Path) -> None:
        content[kind][index].update(values)

    return damage


def _drop(kind: str, index: int, key: str) -> Callable:
    def damage(content: Dict, root: Path) -> None:
        del content[kind][index][key]

    return damage


def _put(kind: str, index: int, value) -> Callable:
    def damage(content: Dict, root: Path) -> None:
        content[kind][index] = value

    return damage


def _image(action: Callable, number: int = 2) -> Callable:
    def damage(content: Dict, root: Path) -> None:
        action(root / 'images' / f'im {number}.png')

    return damage


def _box(*box) -> Callable:
    return _set('annotations', 2, bbox=list(box), segmentation=[])


def _mask(segmentation) -> Callable:
    return _set('annotations', 2, segmentation=segmentation)


def _use_jpeg(content: Dict, root: Path, save: Callable) -> None:
    save(root / 'images' / 'rotated.jpg')
    content['images'][1]['file_name'] = 'rotated.jpg'


def _same_file_twice(content: Dict, root: Path) -> None:
    content['images'].append(dict(content['images'][0], id=99))
    content['annotations'].append(dict(content['annotations'][0], id=990, image_id=99))


def _copy_image(content: Dict, root: Path) -> None:
    shutil.copy(root / 'images' / 'im 1.png', root / 'images' / 'copy.png')
    content['images'].append(dict(content['images'][0], id=99, file_name='copy.png'))


def _imbalance(content: Dict, root: Path) -> None:
    ball = content['annotations'][0]
    content['annotations'] += [dict(ball, id=1000 + i) for i in range(700)]


def _append_category(**values) -> Callable:
    return lambda content, root: content['categories'].append(values)


# Image 2 has the annotations 20 and 21, at positions 2 and 3.
IMAGE, ANNOTATION = 'image 2 (im 2.png)', 'annotation 20'
FAULTS: Dict[str, Fault] = {
    'image missing': Fault('missing-image', IMAGE, _image(Path.unlink)),
    'image is a folder': Fault(
        'unreadable-image', IMAGE, _image(lambda path: (path.unlink(), path.mkdir()))
    ),
    'image of zero bytes': Fault('unreadable-image', IMAGE, _image(lambda p: p.write_bytes(b''))),
    'image is text': Fault('unreadable-image', IMAGE, _image(lambda p: p.write_text('no image'))),
    'image cut off': Fault('unreadable-image', IMAGE, _image(truncate)),
    'image claims 60000x60000': Fault(
        'unreadable-image', IMAGE, _image(lambda p: p.write_bytes(png_claiming(60000, 60000)))
    ),
    'image claims 10000x9999': Fault(
        'unreadable-image', IMAGE, _image(lambda p: p.write_bytes(png_claiming(10000, 9999)))
    ),
    'image is PostScript': Fault(
        'unreadable-image',
        IMAGE,
        _image(lambda p: p.write_bytes(b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n')),
    ),
    'image with alpha': Fault('image-mode', IMAGE, _image(lambda p: save_as(p, 'RGBA')), 'warning'),
    'image of 16 bits': Fault('image-mode', IMAGE, _image(lambda p: save_as(p, 'I;16')), 'warning'),
    'image in CMYK': Fault(
        'image-mode',
        'image 2 (rotated.jpg)',
        lambda c, root: _use_jpeg(c, root, lambda p: save_as(p, 'CMYK')),
        'warning',
    ),
    'image rotated by EXIF': Fault(
        'exif-rotated',
        'image 2 (rotated.jpg)',
        lambda c, root: _use_jpeg(c, root, lambda p: save_turned(p, 6)),
    ),
    'image upside down by EXIF': Fault(
        'exif-rotated',
        'image 2 (rotated.jpg)',
        lambda c, root: _use_jpeg(c, root, lambda p: save_turned(p, 3)),
        'warning',
    ),
    'image of another shape': Fault(
        'size-mismatch', IMAGE, _image(lambda p: save_as(p, 'RGB', (50, 50)))
    ),
    'image of half the size': Fault(
        'size-mismatch', IMAGE, _image(lambda p: save_as(p, 'RGB', (32, 24)))
    ),
    'name leaves the root': Fault(
        'outside-root',
        'image 2 (../../../etc/passwd)',
        _set('images', 1, file_name='../../../etc/passwd'),
    ),
    'name is absolute': Fault(
        'outside-root', 'image 2 (/etc/passwd)', _set('images', 1, file_name='/etc/passwd')
    ),
    'name has a drive': Fault(
        'outside-root', 'image 2 (C:\\a.png)', _set('images', 1, file_name='C:\\a.png')
    ),
    'name with a zero': Fault('outside-root', 'image 2', _set('images', 1, file_name='a\0.png')),
    'name is missing': Fault('bad-entry', 'image 2', _drop('images', 1, 'file_name')),
    'name is a number': Fault('bad-entry', 'image 2', _set('images', 1, file_name=7)),
    'image id missing': Fault('bad-entry', 'image without id', _drop('images', 1, 'id')),
    'image id is text': Fault('bad-entry', 'image 2 ', _set('images', 1, id='2')),
    'image id twice': Fault('duplicate-id', 'image 1 (im 2.png)', _set('images', 1, id=1)),
    'image file twice': Fault('duplicate-file', 'image 99 (im 1.png)', _same_file_twice),
    'image is no table': Fault('bad-entry', 'image 17', _put('images', 1, 17)),
    'image size missing': Fault('bad-size', IMAGE, _drop('images', 1, 'width')),
    'image size is text': Fault('bad-size', IMAGE, _set('images', 1, width='64')),
    'image size negative': Fault('bad-size', IMAGE, _set('images', 1, height=-48)),
    'identical images': Fault('duplicate-image', 'image 99 (copy.png)', _copy_image, 'warning'),
    'image without annotations': Fault(
        'no-annotations',
        IMAGE,
        lambda c, root: c.update(annotations=[a for a in c['annotations'] if a['image_id'] != 2]),
        'warning',
    ),
    'box outside': Fault('outside-box', ANNOTATION, _box(100, 10, 20, 20)),
    'box mostly outside': Fault('outside-box', ANNOTATION, _box(60, 10, 20, 20)),
    'box over the edge': Fault('box-over-edge', ANNOTATION, _box(50, 10, 20, 20), 'warning'),
    'box of no width': Fault('empty-box', ANNOTATION, _box(10, 10, 0, 20)),
    'box of no height': Fault('empty-box', ANNOTATION, _box(10, 10, 20, 0)),
    'box empty but mask good': Fault(
        'empty-box', ANNOTATION, _set('annotations', 2, bbox=[0, 0, 0, 0])
    ),
    'box reversed': Fault('reversed-box', ANNOTATION, _box(30, 30, -10, -10)),
    'box reversed and empty': Fault('empty-box', ANNOTATION, _box(30, 30, -10, 0)),
    'box under a pixel': Fault('tiny-box', ANNOTATION, _box(30, 30, 0.5, 10), 'warning'),
    'box of three numbers': Fault('bad-box', ANNOTATION, _box(1, 2, 3)),
    'box of text': Fault('bad-box', ANNOTATION, _box('1', '2', '3', '4')),
    'box not finite': Fault('bad-box', ANNOTATION, _box(1, float('nan'), 3, 4)),
    'box infinite': Fault('bad-box', ANNOTATION, _box(1, 2, float('inf'), 4)),
    'box enormous': Fault('bad-box', ANNOTATION, _box(1, 2, 10**400, 4)),
    'box missing': Fault('bad-box', ANNOTATION, _drop('annotations', 2, 'bbox')),
    'polygon of two points': Fault('bad-polygon', ANNOTATION, _mask([[1, 1, 9, 9]])),
    'polygon of one point': Fault('bad-polygon', ANNOTATION, _mask([[1, 1]])),
    'polygon empty': Fault('bad-polygon', ANNOTATION, _mask([[]])),
    'polygon odd': Fault('bad-polygon', ANNOTATION, _mask([[1, 1, 9, 1, 9, 9, 1]])),
    'polygon flat': Fault('bad-polygon', ANNOTATION, _mask([[1, 1, 5, 5, 9, 9]])),
    'polygon of text': Fault('bad-polygon', ANNOTATION, _mask([['a', 'b']])),
    'polygon not finite': Fault('bad-polygon', ANNOTATION, _mask([[1, 1, 9, float('nan'), 9, 9]])),
    'polygon outside': Fault(
        'outside-polygon', ANNOTATION, _mask([[100, 100, 120, 100, 120, 120]])
    ),
    'polygon over the edge': Fault(
        'polygon-over-edge', ANNOTATION, _mask([[5, 5, 90, 5, 90, 30]]), 'warning'
    ),
    'polygon without its list': Fault('bad-mask', ANNOTATION, _mask([1, 1, 9, 1, 9, 9])),
    'one polygon of two bad': Fault(
        'bad-polygon', ANNOTATION, _mask([[1, 1, 9, 1, 9, 9], [1, 1, 9, 9]])
    ),
    'mask of text': Fault('bad-mask', ANNOTATION, _mask('polygon')),
    'mask of another size': Fault(
        'bad-mask', ANNOTATION, _mask(dict(size=[10, 10], counts=[50, 50]))
    ),
    'mask runs too long': Fault(
        'bad-mask', ANNOTATION, _mask(dict(size=[48, 64], counts=[0, 10**9]))
    ),
    'mask runs backwards': Fault(
        'bad-mask', ANNOTATION, _mask(dict(size=[48, 64], counts=[3100, -28]))
    ),
    'mask of junk': Fault('bad-mask', ANNOTATION, _mask(dict(size=[48, 64], counts='\x7fxyz~~'))),
    'mask of endless digits': Fault(
        'bad-mask', ANNOTATION, _mask(dict(size=[48, 64], counts='o' * 5000 + '0'))
    ),
    'mask empty': Fault('bad-mask', ANNOTATION, _mask(dict(size=[48, 64], counts=[3072]))),
    'mask without counts': Fault('bad-mask', ANNOTATION, _mask(dict(size=[48, 64]))),
    'mask missing from one': Fault(
        'mixed-masks', '', _drop('annotations', 2, 'segmentation'), 'warning'
    ),
    'area missing': Fault('bad-area', ANNOTATION, _drop('annotations', 2, 'area')),
    'area zero': Fault('bad-area', ANNOTATION, _set('annotations', 2, area=0)),
    'iscrowd missing': Fault('bad-iscrowd', ANNOTATION, _drop('annotations', 2, 'iscrowd')),
    'iscrowd is text': Fault('bad-iscrowd', ANNOTATION, _set('annotations', 2, iscrowd='no')),
    'annotation id twice': Fault('duplicate-id', 'annotation 10', _set('annotations', 2, id=10)),
    'annotation id missing': Fault(
        'bad-entry', 'annotation without id', _drop('annotations', 2, 'id')
    ),
    'annotation id zero': Fault('id-zero', 'annotation 0', _set('annotations', 2, id=0), 'warning'),
    'annotation is no table': Fault('bad-entry', 'annotation None', _put('annotations', 2, None)),
    'image unknown': Fault('unknown-image', ANNOTATION, _set('annotations', 2, image_id=77)),
    'image id is a list': Fault('unknown-image', ANNOTATION, _set('annotations', 2, image_id=[1])),
    'category unknown': Fault(
        'unknown-category', ANNOTATION, _set('annotations', 2, category_id=77)
    ),
    'category missing': Fault(
        'unknown-category', ANNOTATION, _drop('annotations', 2, 'category_id')
    ),
    'category id twice': Fault('duplicate-id', 'category 1', _append_category(id=1, name='cube')),
    'category name twice': Fault(
        'duplicate-category', 'category 3', _append_category(id=3, name='ball')
    ),
    'category without a name': Fault('bad-entry', 'category 3', _append_category(id=3)),
    'category is no table': Fault('bad-entry', 'category', lambda c, r: c['categories'].append(3)),
    'category unused': Fault('unused-class', '', _append_category(id=3, name='cube'), 'warning'),
    'classes out of balance': Fault(
        'class-imbalance',
        '',
        _imbalance,
        'warning',
    ),
    'annotations missing': Fault('not-coco', '', lambda c, r: c.pop('annotations')),
    'categories no list': Fault('not-coco', '', lambda c, r: c.update(categories=dict(a=1))),
}

COMBINATIONS: Dict[str, Tuple[str, ...]] = {
    'boxes': ('box reversed', 'category unknown', 'category id twice'),
    'image and mask': ('image rotated by EXIF', 'polygon odd', 'area missing', 'iscrowd is text'),
    'ids': ('image id twice', 'annotation id missing', 'category name twice'),
    'hostile': ('mask runs too long', 'image claims 60000x60000', 'category is no table'),
    'sizes': ('image of half the size', 'box empty but mask good', 'iscrowd missing'),
}
