"""Ground truth and COCO results, loaded so that pycocotools can compare them."""

import contextlib
import io
import json
import os.path as osp
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from pycocotools.coco import COCO

from ..datasets.annotation_faults import image_fault, mask_fault
from ..datasets.checks import check_annotations
from ..errors import DataError
from ..utils.text import printable


def load_truth(ann_file: str, classes: Optional[Sequence[str]] = None) -> COCO:
    """Load COCO annotations, and fix what pycocotools stumbles over.

    It takes an annotation with id 0 for none, and needs ``iscrowd`` and ``area``.

    Args:
        ann_file: COCO annotations.
        classes: Leave out the other categories.

    Raises:
        DataError: If the file does not exist, is not COCO, or lacks one of the classes.
    """
    if not osp.isfile(ann_file):
        raise DataError(f"annotation file '{ann_file}' does not exist; set --ann-file")
    check_annotations(ann_file, (), subset=True)
    content = json.loads(Path(ann_file).read_text(encoding='utf-8'))
    try:
        images = {image['id']: image for image in content['images']}
        used = {key: image for key, image in images.items() if image_fault(image) is None}
        _check_masks(content['annotations'], used, ann_file)
        _fix(content, classes)
    except (KeyError, IndexError, TypeError, OverflowError) as error:
        raise DataError(
            f"'{ann_file}' has broken entries ({_named(error)}); find them with "
            'tools/check_dataset.py'
        )
    missing = set(classes or ()) - {category['name'] for category in content['categories']}
    if missing:
        listing = ', '.join(printable(name, 40) for name in sorted(missing, key=str))
        raise DataError(f"'{ann_file}' has no categories {listing}")
    return _index(content)


def _check_masks(entries: List[dict], images: Dict, path: str) -> None:
    """Keep from pycocotools what it would crash on, or take all memory for."""
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


def _fix(content: dict, classes: Optional[Sequence[str]]) -> None:
    names = [category['name'] for category in content['categories']]
    content['categories'] = [
        category
        for name, category in zip(names, content['categories'])
        if classes is None or name in classes
    ]
    known = {
        image['id']
        for image in content['images']
        if image['file_name'] and image['width'] and image['height'] and image_fault(image) is None
    }
    kept = {category['id'] for category in content['categories']}
    content['annotations'] = [
        {
            **annotation,
            'id': i,
            'iscrowd': annotation.get('iscrowd', 0),
            'area': annotation.get('area', annotation['bbox'][2] * annotation['bbox'][3]),
        }
        for i, annotation in enumerate(content['annotations'], 1)
        if annotation['category_id'] in kept and annotation['image_id'] in known
    ]


def load_results(truth: COCO, files: Sequence[str]) -> Dict[str, COCO]:
    """Load COCO results.

    Args:
        truth: The ground truth they belong to.
        files: Results with boxes, masks or both, as of mmdet's ``outfile_prefix``.

    Returns:
        Results by kind, ``'bbox'`` and ``'segm'``. Masks come only with masks in the truth.

    Raises:
        DataError: If a file does not exist, is not COCO results, or is of other images or
            categories.
    """
    found: Dict[str, List[dict]] = {}
    for path in files:
        entries = _read_entries(truth, path)
        has_masks = any('segmentation' in entry for entry in entries)
        if has_masks or (not entries and 'segm' in osp.basename(path)):
            found['segm'] = [_only(entry, 'segmentation') for entry in entries]
        if any('bbox' in entry for entry in entries) or not (entries or found):
            if 'bbox' not in found or not has_masks:
                found['bbox'] = [_only(entry, 'bbox') for entry in entries]
    if not all(annotation.get('segmentation') for annotation in truth.anns.values()):
        if found.pop('segm', None) is not None and not found:
            raise DataError('the annotations have no masks to compare the results with')
    return {kind: _load(truth, found[kind]) for kind in ('bbox', 'segm') if kind in found}


def _read_entries(truth: COCO, path: str) -> List[dict]:
    if not osp.isfile(path):
        raise DataError(f"results file '{path}' does not exist; set --results")
    try:
        entries = json.loads(Path(path).read_text(encoding='utf-8'))
        for entry in entries:
            if not {'image_id', 'category_id', 'score'} <= set(entry):
                raise TypeError
            if not {'bbox', 'segmentation'} & set(entry):
                raise TypeError
    except (ValueError, TypeError, RecursionError):
        raise DataError(
            f"'{path}' is not COCO results (a JSON list of image_id, category_id, score, and "
            'bbox or segmentation); write it with tools/infer.py or outfile_prefix'
        )
    for key, known in (('image_id', truth.imgs), ('category_id', truth.cats)):
        unknown = sorted({entry[key] for entry in entries} - set(known), key=str)
        if unknown:
            raise DataError(
                f"'{path}' has {len(unknown)} {key}s that the annotations lack, such as "
                f'{printable(unknown[0], 40)}; use the annotations of the images that were tested'
            )
    _check_masks(entries, truth.imgs, path)
    return entries


def _only(entry: dict, key: str) -> dict:
    return {k: entry[k] for k in ('image_id', 'category_id', 'score', key)}


def _load(truth: COCO, entries: List[dict]) -> COCO:
    if not entries:
        return _index({**truth.dataset, 'annotations': []})
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return truth.loadRes(entries)
    except Exception as error:  # pycocotools raises whatever wrong entries lead to
        raise DataError(f'the results cannot be read: {_named(error)}')


def _named(error: Exception) -> str:
    return printable(f'{type(error).__name__}: {error}', 200)


def _index(content: dict) -> COCO:
    coco = COCO()
    coco.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco
