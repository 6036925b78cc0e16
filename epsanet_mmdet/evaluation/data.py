"""COCO annotations and results, checked before pycocotools reads them."""

import contextlib
import io
import json
import math
import os.path as osp
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

from pycocotools.coco import COCO

from ..datasets.annotation_faults import image_fault, mask_fault
from ..datasets.checks import read_annotations
from ..errors import DataError
from ..moved import renamed
from ..utils.text import printable


def load_ground_truth(ann_file: str, classes: Optional[Sequence[str]] = None) -> COCO:
    """Load COCO annotations, renumbered from 1 and with ``iscrowd`` and ``area`` filled in.

    pycocotools treats an annotation with id 0 as no match.

    Args:
        ann_file: COCO annotations.
        classes: Names of the categories to keep; None for all.

    Raises:
        DataError: If the file does not exist, is not COCO, or lacks one of the classes.
    """
    if not osp.isfile(ann_file):
        raise DataError(f"annotation file '{ann_file}' does not exist; set --ann-file")
    content = read_annotations(ann_file, (), subset=True)
    try:
        images = {
            image['id']: image
            for image in content['images']
            if image['file_name'] and image['width'] and image['height'] and not image_fault(image)
        }
        _check_masks(content['annotations'], images, ann_file)
        _fix(content, classes, images)
    except (KeyError, IndexError, TypeError, OverflowError) as error:
        raise DataError(
            f"'{ann_file}' has broken entries ({_named(error)}); find them with epsanet check"
        )
    missing = set(classes or ()) - {category['name'] for category in content['categories']}
    if missing:
        listing = ', '.join(printable(name, 40) for name in sorted(missing, key=str))
        raise DataError(f"'{ann_file}' has no categories {listing}")
    return _index(content)


def _check_masks(entries: List[dict], images: Dict, path: str) -> None:
    """Raise DataError for masks that would crash pycocotools or exhaust the memory."""
    for entry in entries:
        segmentation, image = entry.get('segmentation'), images.get(entry['image_id'])
        if segmentation and image is not None:
            fault = image_fault(image) or mask_fault(segmentation, image, evaluated=True)
            if fault:
                number = printable(entry['image_id'])
                raise DataError(
                    f"'{path}' cannot be read: a mask on image {number} is bad: {fault}; export it "
                    'again'
                )


def _fix(content: dict, classes: Optional[Sequence[str]], images: Dict) -> None:
    names = [category['name'] for category in content['categories']]
    kept = names if classes is None else classes
    content['categories'] = [c for c in content['categories'] if c['name'] in kept]
    categories = {category['id'] for category in content['categories']}
    content['annotations'] = [
        {
            **annotation,
            'id': i,
            'iscrowd': annotation.get('iscrowd', 0),
            'area': annotation.get('area', annotation['bbox'][2] * annotation['bbox'][3]),
        }
        for i, annotation in enumerate(content['annotations'], 1)
        if annotation['category_id'] in categories and annotation['image_id'] in images
    ]


def load_results(gt: COCO, files: Sequence[str]) -> Dict[str, COCO]:
    """Load COCO results.

    Args:
        gt: Ground truth.
        files: Results with boxes, masks or both, such as mmdet writes with ``outfile_prefix``.

    Returns:
        Detections by IoU type: ``'bbox'``, and ``'segm'`` if the ground truth has masks.

    Raises:
        DataError: If a file does not exist, does not contain COCO results, or belongs to other
            images or categories.
    """
    loaded: Dict[str, List[dict]] = {}
    for path in files:
        entries = _read_entries(gt, path)
        has_masks = any('segmentation' in entry for entry in entries)
        if has_masks or (not entries and 'segm' in osp.basename(path)):
            loaded['segm'] = _only(entries, 'segmentation')
        if any('bbox' in entry for entry in entries) or not (entries or loaded):
            if 'bbox' not in loaded or not has_masks:
                loaded['bbox'] = _only(entries, 'bbox')
    if not all(annotation.get('segmentation') for annotation in gt.anns.values()):
        if loaded.pop('segm', None) is not None and not loaded:
            raise DataError('the annotations have no masks to compare the results with')
    return {key: _load(gt, loaded[key]) for key in ('bbox', 'segm') if key in loaded}


def _read_entries(gt: COCO, path: str) -> List[dict]:
    if not osp.isfile(path):
        raise DataError(f"results file '{path}' does not exist; set --results")
    try:
        entries = json.loads(Path(path).read_text(encoding='utf-8'))
        for entry in entries:
            if not {'image_id', 'category_id', 'score'} <= set(entry):
                raise TypeError
            if not {'bbox', 'segmentation'} & set(entry) or not math.isfinite(entry['score']):
                raise TypeError
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise DataError(
            f"'{path}' is not COCO results (a JSON list of image_id, category_id, score, and "
            'bbox or segmentation); write it with epsanet infer or outfile_prefix'
        )
    for key, known in (('image_id', gt.imgs), ('category_id', gt.cats)):
        unknown = sorted({entry[key] for entry in entries} - set(known), key=str)
        if unknown:
            raise DataError(
                f"'{path}' has {len(unknown)} {key}s that the annotations lack, such as "
                f'{printable(unknown[0], 40)}; use the annotations of the images that were tested'
            )
    _check_masks(entries, gt.imgs, path)
    return entries


def _only(entries: List[dict], key: str) -> List[dict]:
    kept = ('image_id', 'category_id', 'score', key)
    return [{k: entry[k] for k in kept} for entry in entries if key in entry]


def _load(gt: COCO, entries: List[dict]) -> COCO:
    if not entries:
        return _index({**gt.dataset, 'annotations': []})
    try:
        return silenced(gt.loadRes, entries)
    except Exception as error:  # pycocotools raises many types for broken entries
        raise DataError(f'the results cannot be read: {_named(error)}')


def _named(error: Exception) -> str:
    return printable(f'{type(error).__name__}: {error}', 200)


def _index(content: dict) -> COCO:
    coco = COCO()
    coco.dataset = content
    silenced(coco.createIndex)
    return coco


def silenced(function: Callable, *args) -> Any:
    """Call a function of pycocotools without what it prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*args)


__getattr__ = renamed(__name__, load_truth='load_ground_truth')
