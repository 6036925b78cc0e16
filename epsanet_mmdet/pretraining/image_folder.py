"""Data sets of images in one folder per class, such as ImageNet."""

import logging
import os
import os.path as osp
from typing import Dict, List

from mmdet.registry import DATASETS
from mmengine.dataset import BaseDataset
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

from ..datasets.checks import find_bad_images
from ..errors import BadImageError, DataError
from ..utils.images import SUFFIXES, read_image


@DATASETS.register_module()
class ImageFolder(BaseDataset):
    """Images at ``DATA_ROOT/SPLIT/CLASS/.../IMAGE``, with labels in the sorted order of classes.

    Args:
        data_root (str): Folder of the splits.
        split (str): Folder of the classes in ``data_root``.
        skip_bad_images (bool): Leave damaged images out and name them in a warning. Without it
            they are an error.
        **kwargs: See mmengine's ``BaseDataset``.

    Raises:
        DataError: If the folder does not exist or has no classes, a class has no images, or an
            image is damaged.
    """

    def __init__(
        self, data_root: str = '', split: str = 'train', skip_bad_images: bool = False, **kwargs
    ) -> None:
        self.split = split
        self.skip_bad_images = skip_bad_images
        super().__init__(data_root=data_root, **kwargs)

    def load_data_list(self) -> List[dict]:
        folder = osp.join(self.data_root, self.split)
        classes = class_folders(folder)
        self._metainfo['classes'] = tuple(classes)
        data_list = []
        for label, name in enumerate(classes):
            paths = image_paths(osp.join(folder, name))
            if not paths:
                raise DataError(
                    f"class folder '{osp.join(folder, name)}' has no image "
                    f'({", ".join(sorted(SUFFIXES))}); fill it or remove it'
                )
            data_list += [dict(img_path=path, gt_label=label) for path in paths]
        return self._without_bad_images(data_list, folder)

    def prepare_data(self, idx: int) -> dict:
        try:
            return super().prepare_data(idx)
        except Exception:
            path = self.get_data_info(idx)['img_path']
            fault = read_image(path).fault
            if fault is None:
                raise
        raise BadImageError(f"image '{path}' cannot be read ({fault}); replace or remove it")

    def _without_bad_images(self, data_list: List[dict], folder: str) -> List[dict]:
        found = [None]
        if is_main_process():
            found = [find_bad_images([info['img_path'] for info in data_list])]
        broadcast_object_list(found)
        bad: Dict[str, str] = found[0]
        if not bad:
            return data_list
        listing = ', '.join(f'{path} ({why})' for path, why in list(bad.items())[:5])
        listing += ', ...' if len(bad) > 5 else ''
        message = f'{len(bad)} of {len(data_list)} images of {folder} are bad: {listing}'
        if not self.skip_bad_images:
            raise DataError(
                f'{message}; replace them, or leave them out with --cfg-options '
                'skip_bad_images=True'
            )
        print_log(f'{message}; they are left out', logger='current', level=logging.WARNING)
        return [info for info in data_list if info['img_path'] not in bad]


def class_folders(folder: str) -> List[str]:
    """Return the sorted names of the classes in a folder.

    Raises:
        DataError: If the folder does not exist or has no classes.
    """
    if not osp.isdir(folder):
        raise DataError(
            f"image folder '{folder}' does not exist; set the folder of train/ and val/ with "
            '--cfg-options data_root=PATH, or the environment variable IMAGENET_ROOT'
        )
    names = sorted(e.name for e in os.scandir(folder) if e.is_dir() and e.name[0] != '.')
    if not names:
        raise DataError(
            f"'{folder}' has no class folders; put the images of each class into a separate "
            f'folder, such as {osp.join(folder, "cat")}'
        )
    return names


def image_paths(folder: str) -> List[str]:
    """Return the sorted paths of the images in a folder and its subfolders."""
    return sorted(
        osp.join(parent, name)
        for parent, _, names in os.walk(folder, followlinks=True)
        for name in names
        if osp.splitext(name)[1].lower() in SUFFIXES
    )
