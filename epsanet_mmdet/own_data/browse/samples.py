"""Images and annotations as the pipeline of a config returns them."""

import os.path as osp
from collections import Counter
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Sequence

import numpy as np
import torch
from mmdet.models.utils import mask2ndarray
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import BaseBoxes
from mmengine.config import Config
from mmengine.structures import InstanceData

from ...config.data import data_paths, find_datasets
from ...engine.seeding import DATA, IterationSeeds
from ...errors import ConfigError
from ...utils.command_line import step

ANNOTATED = "dict(type='LoadAnnotations', with_bbox=True)"


@dataclass
class Sample:
    """An image and its n objects, behind the pipeline.

    Args:
        name: File name of the image, or of the first of a mosaic.
        image: BGR image, uint8 of shape (height, width, 3).
        boxes: Left, top, right and bottom in pixels, of shape (n, 4).
        names: Class of each object.
        labels: Number of the class of each object.
        ignored: Whether each object is ignored, as crowds are.
        masks: bool of shape (n, height, width), or None.
    """

    name: str
    image: np.ndarray
    boxes: np.ndarray
    names: List[str]
    labels: np.ndarray
    ignored: np.ndarray
    masks: Optional[np.ndarray]

    @property
    def texts(self) -> List[str]:
        """The class of each object, and whether it is ignored."""
        return [n + ' (ignored)' * bool(hidden) for n, hidden in zip(self.names, self.ignored)]

    @property
    def caption(self) -> str:
        """The name and size of the image, and the number of objects of each class."""
        height, width = self.image.shape[:2]
        counts = Counter(self.texts)
        objects = ', '.join(f'{count} {text}' for text, count in counts.items()) or 'no objects'
        return f'{self.name}, {width}x{height}: {objects}'

    @property
    def large_first(self) -> List[int]:
        """The indices of the objects by the area of their boxes."""
        return np.argsort(-np.prod(self.boxes[:, 2:] - self.boxes[:, :2], 1)).tolist()


def build_dataset(config: Config, split: str) -> Any:
    """Build the data set of a split.

    Test pipelines load annotations last, in pixels of the file, since results are evaluated there.
    Here they are loaded first, so that they are resized together with the image.

    Args:
        config: The config; the pipelines of ``val`` and ``test`` are changed in place.
        split: ``'train'``, ``'val'`` or ``'test'``.

    Raises:
        ConfigError: If the config has no such data set.
        DataError: If it cannot be read.
    """
    section = f'{split}_dataloader'
    dataset = (config.get(section) or {}).get('dataset')
    if not dataset:
        raise ConfigError(
            f"config '{config.filename}' has no {section}.dataset; choose another --split, or pass "
            'the config of a detector'
        )
    sources = find_datasets(config, [section]).values()
    if split != 'train':
        for source in sources:
            source['pipeline'] = annotations_first(source.get('pipeline') or [])
    files = [data_paths(source).ann_file for source in sources]
    with step('building the data set of', ', '.join(filter(None, files)) or section):
        return DATASETS.build(dataset)


def annotations_first(pipeline: Sequence[Dict]) -> List[Dict]:
    """Return the transforms of a pipeline, those that load something first."""
    return sorted(pipeline, key=lambda transform: 'Load' not in str(transform.get('type')))


def draw_samples(dataset: Any, count: int, repeats: int, seed: int) -> Iterator[List[Sample]]:
    """Yield the samples of some random images, each with all of its augmentations.

    The random numbers of an augmentation depend on the seed, the image and the number of the
    augmentation alone.

    Args:
        dataset: A data set whose pipeline ends with mmdet's ``PackDetInputs``.
        count: Number of images; fewer if the data set has fewer.
        repeats: Number of augmentations of each image.
        seed: Seed of the choice and of the augmentations.

    Raises:
        ConfigError: If the pipeline returns no images or no boxes.
    """
    classes = _classes(dataset)
    for index in np.random.default_rng(seed).permutation(len(dataset))[:count].tolist():
        row = []
        for repeat in range(repeats):
            IterationSeeds(seed, repeat).start(DATA, index)
            with step(f'the pipeline on image {index}'):
                packed = dataset[index]
            row.append(read_sample(packed, classes, f'image {index}'))
        yield row


def read_sample(packed: Any, classes: Sequence[str], name: str) -> Sample:
    """Return what a pipeline has packed.

    Args:
        packed: ``inputs`` and ``data_samples``, see mmdet's ``PackDetInputs``.
        classes: Names of the classes.
        name: Name of an image whose path was not packed.

    Raises:
        ConfigError: If there is no image or there are no boxes, or if masks do not fit the image.
    """
    packed = packed if isinstance(packed, dict) else {}
    inputs, found = packed.get('inputs'), packed.get('data_samples')
    if not isinstance(inputs, torch.Tensor) or not isinstance(found, DetDataSample):
        raise ConfigError(
            "the pipeline returns no image with objects; end it with dict(type='PackDetInputs'), "
            'or pass the config of a detector'
        )
    objects = found.get('gt_instances', InstanceData())
    if 'bboxes' not in objects or 'labels' not in objects:
        raise ConfigError(f'the pipeline loads no boxes; add {ANNOTATED}')
    image = _image(inputs)
    parts = [objects]
    if 'bboxes' in found.get('ignored_instances', ()):
        parts.append(found.ignored_instances)
    labels = np.concatenate([np.asarray(part.labels, int) for part in parts])
    masks = [mask2ndarray(part.masks) > 0 for part in parts if 'masks' in part]
    for mask in masks:
        if mask.shape[1:] != image.shape[:2]:
            raise ConfigError(
                f'the pipeline returns masks of {mask.shape[2]}x{mask.shape[1]} pixels for an '
                f'image of {image.shape[1]}x{image.shape[0]}; load annotations before it is resized'
            )
    return Sample(
        osp.basename(found.get('img_path') or name),
        image,
        np.concatenate([_boxes(part.bboxes) for part in parts]),
        [classes[i] if 0 <= i < len(classes) else f'class {i}' for i in labels.tolist()],
        labels,
        np.repeat([part is not objects for part in parts], [len(p) for p in parts]),
        np.concatenate(masks) if masks else None,
    )


def _classes(dataset: Any) -> Sequence[str]:
    metainfo = dataset.metainfo  # a list if joined data sets differ
    return metainfo.get('classes') or () if isinstance(metainfo, dict) else ()


def _image(inputs: torch.Tensor) -> np.ndarray:
    """Return an image (channels, height, width) as BGR; colour jitter can leave the range."""
    image = inputs.numpy().transpose(1, 2, 0)
    image = np.repeat(image, 3, 2) if image.shape[2] == 1 else image[:, :, :3]
    if image.dtype != np.uint8:
        image = image.clip(0, 255).round().astype(np.uint8)
    return np.ascontiguousarray(image)


def _boxes(boxes: Any) -> np.ndarray:
    if isinstance(boxes, BaseBoxes):
        boxes = boxes.convert_to('hbox').tensor
    return np.asarray(boxes, np.float32).reshape(-1, 4)
