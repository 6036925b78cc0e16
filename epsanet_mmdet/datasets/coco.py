"""COCO data sets that are checked before they are used."""

import logging
import os.path as osp
from typing import List

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

from ..errors import DataError
from .checks import check_annotations, check_paths, find_bad_images


@DATASETS.register_module()
class CheckedCocoDataset(CocoDataset):
    """mmdet's ``CocoDataset`` that fails early and says why.

    Paths, the annotation file, its categories and the images' files are checked when the data
    set is built, so that a mistake does not surface hours into a training.

    Args:
        skip_bad_images (bool): Leave out images that are missing or damaged, with a warning
            that names them, instead of stopping.
        class_subset (bool): Use only those of the annotations' categories that are
            ``metainfo.classes``. Otherwise a category that is not among them is an error.
        *args, **kwargs: As of mmdet's ``CocoDataset``.

    Raises:
        DataError: One line that names the file and the remedy.
    """

    def __init__(
        self, *args, skip_bad_images: bool = False, class_subset: bool = False, **kwargs
    ) -> None:
        self.skip_bad_images = skip_bad_images
        self.class_subset = class_subset
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> List[dict]:
        if '://' in self.ann_file:  # another storage backend: mmengine reads it
            return super().load_data_list()
        check_paths(self.ann_file, self.data_prefix['img'], self.data_root)
        check_annotations(self.ann_file, self.metainfo['classes'], self.class_subset)
        try:
            data_list = super().load_data_list()
        except (AttributeError, KeyError, TypeError) as error:
            raise DataError(
                f"'{self.ann_file}' is not COCO annotations: an entry is not as it should "
                f'be ({type(error).__name__}: {error}); see tools/check_dataset.py'
            ) from error
        return self._without_bad_images(data_list)

    def _without_bad_images(self, data_list: List[dict]) -> List[dict]:
        found = [None]
        if is_main_process():
            found = [find_bad_images([info['img_path'] for info in data_list])]
        broadcast_object_list(found)
        bad = found[0]
        if not bad:
            return data_list
        listing = ', '.join(f'{osp.basename(path)} ({why})' for path, why in list(bad.items())[:5])
        listing += ', ...' if len(bad) > 5 else ''
        message = f'{len(bad)} of {len(data_list)} images of {self.ann_file} are bad: {listing}'
        if not self.skip_bad_images:
            raise DataError(
                f'{message}; mend them, or leave them out with --cfg-options skip_bad_images=True'
            )
        print_log(f'{message}; they are left out', logger='current', level=logging.WARNING)
        return [info for info in data_list if info['img_path'] not in bad]
