"""COCO data sets that are checked before they are used."""

import logging
import os.path as osp
from functools import partial
from typing import Any, Dict, List, Optional

import torch
from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmdet.registry import DATASETS
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

from ..errors import BadImageError, DataError, UserError
from ..utils.files import is_inside
from ..utils.images import read_image
from ..utils.text import printable
from . import annotation_faults
from .checks import Expected, check_paths, find_bad_images, image_fault, read_annotations
from .skipped import Skipped

NAMED = 5  # faults named in a message; the report at the end names all
OUTSIDE = "its name leaves the data's folder"


@DATASETS.register_module()
class CheckedCocoDataset(CocoDataset):
    """mmdet's ``CocoDataset`` that finds faults when it is built.

    Paths, the annotation file, its categories, its annotations and the image files are checked at
    once, so that a fault does not surface hours into a training. Names in the annotations never
    make it read a file outside ``data_root`` and the image folder.

    Args:
        skip_bad_images (bool): Leave out missing and damaged images, and unusable annotations,
            with a warning that names them, instead of stopping. Images that go bad during a
            training are left out too. ``SkippedDataHook`` reports all of them when the run ends.
            An evaluation still stops at bad annotations, as the metric reads the file itself.
        class_subset (bool): Ignore categories of the file that are not in ``metainfo.classes``.
            Otherwise such a category is an error.
        *args, **kwargs: See mmdet's ``CocoDataset``.

    Attributes:
        skipped (Skipped): The images and annotations that were left out.
        annotated (bool): False for a file without annotations, as COCO provides for test images.

    Raises:
        DataError: Naming the file and the remedy in one line.
    """

    def __init__(
        self, *args, skip_bad_images: bool = False, class_subset: bool = False, **kwargs
    ) -> None:
        self.skip_bad_images = skip_bad_images
        self.class_subset = class_subset
        self.needs_mask = any(
            isinstance(step, dict) and step.get('with_mask') for step in kwargs.get('pipeline', ())
        )
        self.skipped = Skipped(kwargs.get('ann_file', ''))
        self.annotated = True
        self._bad: Optional[torch.Tensor] = None  # by index; shared with worker processes
        super().__init__(*args, **kwargs)

    def full_init(self) -> None:
        super().full_init()
        if self._bad is None:
            self._bad = torch.zeros(len(self), dtype=torch.bool).share_memory_()

    def went_bad(self) -> Dict[str, str]:
        """Return the faults of images that went bad after the data set was built, by path."""
        indices = [] if self._bad is None else self._bad.nonzero().flatten().tolist()
        paths = [self.get_data_info(i)['img_path'] for i in indices]
        return {path: f'went bad during the run: {_decoded_fault(path)}' for path in paths}

    def load_data_list(self) -> List[dict]:
        if '://' in self.ann_file:  # another storage backend: mmengine reads it
            return super().load_data_list()
        self.skipped = Skipped(self.ann_file)
        check_paths(self.ann_file, self.data_prefix['img'], self.data_root)
        content = read_annotations(
            self.ann_file, self.metainfo['classes'], self.class_subset, self.test_mode
        )
        self.annotated = 'annotations' in content
        self.COCOAPI = partial(_indexed, content)  # to parse COCO's again would take seconds
        try:
            data_list = super().load_data_list()
        except UserError:
            raise
        except Exception as error:  # of any type: the content is arbitrary
            reason = printable(f'{type(error).__name__}: {error}', 200)
            raise DataError(
                f"'{self.ann_file}' is not COCO annotations: an entry is malformed "
                f'({reason}); run epsanet check'
            ) from error
        finally:
            del self.COCOAPI
        del content  # a gigabyte of objects
        data_list = self._without_bad_images(data_list)
        self._stop_or_warn(len(data_list))
        return data_list

    def filter_data(self) -> List[dict]:
        kept = super().filter_data()
        if not kept and '://' not in self.ann_file:
            what = 'image' if self.test_mode else 'image with objects'
            raise DataError(f"'{self.ann_file}' has no usable {what}; see why with epsanet check")
        return kept

    def parse_data_info(self, raw_data_info: dict) -> dict:
        image, annotations = raw_data_info['raw_img_info'], raw_data_info['raw_ann_info']
        fault = annotation_faults.image_fault(image)
        kept = []
        for annotation in annotations if fault is None else ():
            why = annotation_faults.annotation_fault(
                annotation,
                image,
                self.coco.cats,
                self.needs_mask,
                evaluated=self.test_mode and self.needs_mask,
            )
            if why is None:
                kept.append(annotation)
            else:
                number, name = printable(annotation['id'], 40), printable(image['file_name'])
                self.skipped.annotations[f'annotation {number} of {name}'] = why
        if fault and self.test_mode:  # pycocotools would rasterise to that size
            self.skipped.annotations[f'the entry of {printable(image["file_name"])}'] = fault
        if fault:
            image = dict(image, width=1, height=1)
        data_info = super().parse_data_info(dict(raw_img_info=image, raw_ann_info=kept))
        data_info['fault'] = fault or self._name_fault(data_info['img_path'])
        has_rle = any(isinstance(a.get('segmentation'), dict) for a in kept)
        data_info['expected'] = Expected(
            (image['width'], image['height']) if has_rle else None,
            len(data_info['instances']) if self.needs_mask else 0,
        )
        return data_info

    def prepare_data(self, idx: int) -> Any:
        path = self.get_data_info(idx)['img_path']
        fault = None if '://' in self.ann_file else image_fault(path, decode=False)
        try:
            if fault is None:
                return super().prepare_data(idx)
        except Exception:
            fault = None if '://' in path else _decoded_fault(path)
            if fault is None:
                raise
        message = f"image '{printable(path, 300)}' went bad during the run: {fault}"
        if not self.skip_bad_images or self.test_mode:  # an evaluation without it would be wrong
            remedy = 'replace it and resume, or train with skip_bad_images=True'
            raise BadImageError(f'{message}; {remedy}')
        self._bad[idx] = True
        print_log(f'{message}; another one replaces it', logger='current', level=logging.WARNING)
        return None

    def _name_fault(self, path: str) -> Optional[str]:
        folders = [folder for folder in (self.data_prefix['img'], self.data_root) if folder]
        inside = '\0' not in path and any(is_inside(path, folder) for folder in folders)
        return None if inside else OUTSIDE

    def _without_bad_images(self, data_list: List[dict]) -> List[dict]:
        expected, kept = {}, []
        for info in data_list:
            fault, wanted = info.pop('fault'), info.pop('expected')
            if fault:
                self.skipped.images[info['img_path']] = fault
                continue
            info['img_path'] = osp.normpath(info['img_path'])
            expected[info['img_path']] = wanted
            kept.append(info)
        found = [find_bad_images(expected, expected) if is_main_process() else None]
        broadcast_object_list(found)
        self.skipped.images.update(found[0])
        return [info for info in kept if info['img_path'] not in found[0]]

    def _stop_or_warn(self, left: int) -> None:
        images, harmful = self.skipped.images, self.skipped.harmful
        if not images and not self.skipped.annotations:
            return
        faults = {printable(osp.basename(path)): why for path, why in images.items()}
        faults.update(harmful or self.skipped.annotations)
        listing = ', '.join(f'{name} ({why})' for name, why in list(faults.items())[:NAMED])
        listing += ', ...' if len(faults) > NAMED else ''
        counts = f'{len(images)} of {left + len(images)} images'
        if self.skipped.annotations:
            counts += f' and {len(self.skipped.annotations)} annotations'
        message = f'{counts} of {self.ann_file} are bad: {listing}'
        if harmful and self.test_mode:
            raise DataError(
                f'{message}; the evaluation reads this file as it is: list all with '
                'epsanet check, and repair them with its --fix'
            )
        if (images or harmful) and not self.skip_bad_images:
            raise DataError(
                f'{message}; list all with epsanet check and repair them, or leave them '
                'out with --cfg-options skip_bad_images=True'
            )
        if images and self.test_mode:
            message += '; evaluation still counts the objects on these images as false negatives'
        print_log(f'{message}; they are left out', logger='current', level=logging.WARNING)


def _indexed(content: Dict[str, Any], path: str) -> COCO:
    """Return what ``COCO(path)`` returns, from the content of the file.

    mmdet keeps the image of every object in ``cat_img_map``. As long as these numbers lie among
    the annotations, Python cannot free the memory of those: 2 GB for COCO, in every process. So
    the objects of an image share the number of the image.
    """
    shared = {image['id']: image['id'] for image in content['images']}
    for annotation in content.get('annotations', ()):
        annotation['image_id'] = shared.get(annotation['image_id'], annotation['image_id'])
    coco = COCO()
    coco.dataset = content
    coco.createIndex()
    coco.img_ann_map, coco.cat_img_map = coco.imgToAnns, coco.catToImgs
    return coco


def _decoded_fault(path: str) -> Optional[str]:
    return image_fault(path) or read_image(path).fault
