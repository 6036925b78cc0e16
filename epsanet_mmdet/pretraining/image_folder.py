"""Images in one folder per class, the layout that ImageNet is used in."""

import logging
import os
import os.path as osp
from typing import Dict, List

from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

from ..datasets.checks import find_bad_images
from ..errors import ConfigError, DataError
from ..utils.images import SUFFIXES, read_image


class BadImageError(DataError):
    """An image that cannot be read; its message stays one line on its way out of a data worker."""

    def __init__(self, message: str) -> None:
        last = message.strip().splitlines()[-1]  # torch puts the worker's traceback before it
        super().__init__(last.split(f'{type(self).__name__}: ')[-1])


@DATASETS.register_module()
class ImageFolder(BaseDataset):
    """``DATA_ROOT/SPLIT/CLASS/.../IMAGE``, with the classes numbered in sorted order.

    Args:
        data_root (str): Folder of the splits.
        split (str): Folder of the classes in ``data_root``.
        skip_bad_images (bool): Leave out damaged images, with a warning that names them, instead
            of stopping.
        **kwargs: As of mmengine's ``BaseDataset``.

    Raises:
        DataError: If there is no such folder, no class in it, no image in a class, or an image is
            damaged; it names them.
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
            if fault is None:  # not the image's fault
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
                f'{message}; mend them, or leave them out with --cfg-options skip_bad_images=True'
            )
        print_log(f'{message}; they are left out', logger='current', level=logging.WARNING)
        return [info for info in data_list if info['img_path'] not in bad]


def class_folders(folder: str) -> List[str]:
    """List the classes in a folder, sorted.

    Raises:
        DataError: If there is no such folder, or no class in it.
    """
    if not osp.isdir(folder):
        raise DataError(
            f"image folder '{folder}' does not exist; set the folder of train/ and val/ with "
            '--cfg-options data_root=PATH, or the environment variable IMAGENET_ROOT'
        )
    names = sorted(e.name for e in os.scandir(folder) if e.is_dir() and e.name[0] != '.')
    if not names:
        raise DataError(
            f"'{folder}' has no class folders; put each class's images in a folder of its own, "
            f'such as {osp.join(folder, "cat")}'
        )
    return names


def image_paths(folder: str) -> List[str]:
    """List the images in a folder and in folders below it, sorted."""
    return sorted(
        osp.join(parent, name)
        for parent, _, names in os.walk(folder, followlinks=True)
        for name in names
        if osp.splitext(name)[1].lower() in SUFFIXES
    )


def check_image_folders(config: Config) -> None:
    """Check that a pre-training's data sets have the same classes, as many as its model has.

    Raises:
        DataError: If a folder is missing, or the two have different classes.
        ConfigError: If the classifier has another number of classes, or there are fewer images than
            one batch takes.
    """
    classes = {}
    for section in ('train_dataloader', 'val_dataloader'):
        dataset = (config.get(section) or {}).get('dataset', {})
        if dataset.get('type') == 'ImageFolder':
            folder = osp.join(dataset.data_root, dataset.split)
            classes[folder] = class_folders(folder)
    if not classes:  # other data sets than ours
        return
    (first, names), *others = classes.items()
    for folder, other in others:
        for more, less, extra in (
            (first, folder, sorted(set(names) - set(other))),
            (folder, first, sorted(set(other) - set(names))),
        ):
            if extra:
                shown = ', '.join(extra[:5]) + (', ...' if len(extra) > 5 else '')
                raise DataError(
                    f"'{more}' has {len(extra)} classes that '{less}' lacks ({shown}); give both "
                    'the same class folders'
                )
    if config.model.num_classes != len(names):
        raise ConfigError(
            f"the classifier has {config.model.num_classes} classes, but '{first}' has "
            f'{len(names)}; set --cfg-options model.num_classes={len(names)}'
        )
    if config.train_dataloader.get('drop_last'):
        _check_a_batch(config.train_dataloader.batch_size, first, names)


def _check_a_batch(size: int, folder: str, classes: List[str]) -> None:
    images = 0
    for name in classes:
        images += len(image_paths(osp.join(folder, name)))
        if images >= size:
            return
    raise ConfigError(
        f"'{folder}' has {images} images, less than a batch of {size}; set --cfg-options "
        f'train_dataloader.batch_size={max(images // 2, 1)}'
    )
