"""A detector with its weights: mmdet's inferencer applied to a stream of frames."""

import itertools
import warnings
from typing import Callable, Dict, Iterable, Iterator, Optional, Sequence, Tuple

import cv2
import numpy as np
from mmdet.apis import DetInferencer
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from torch import nn

from ..checkpoint.fit import class_counts, require_fit
from ..checkpoint.weight_files import check_checkpoint_path
from ..config.load import load_config
from ..errors import CheckpointError, ConfigError
from ..utils.device import usable_device
from ..utils.drawing import draw_objects
from ..utils.text import listing
from .sources import Frame


class Detector(DetInferencer):
    """A model with its weights, ready to detect.

    Args:
        config: Path or bare name of a config.
        checkpoint: File or URL of the weights.
        device: Device such as ``'cpu'`` or ``'cuda:1'``. Default: a GPU if there is one.
        options: Overrides of the config, see ``--cfg-options``.

    Raises:
        ConfigError: If the config or the device does not exist, or the config has no test set.
        CheckpointError: If the checkpoint does not exist, or has another architecture or other
            classes.
    """

    def __init__(
        self,
        config: str,
        checkpoint: str,
        device: Optional[str] = None,
        options: Optional[Dict] = None,
    ) -> None:
        cfg = load_config(config, options)
        check_checkpoint_path(checkpoint)
        if not cfg.get('model') or not cfg.get('test_dataloader'):
            raise ConfigError(f"config '{config}' has no model and test_dataloader; use another")
        cfg.visualizer = dict(type='mmdet.DetLocalVisualizer')  # logs nowhere
        device = str(usable_device(device or get_device()))
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # about palettes and visualizer backends
            super().__init__(cfg, str(checkpoint), device, show_progress=False)

    @property
    def classes(self) -> Sequence[str]:
        """Class names from the checkpoint, or from the config if the checkpoint has none."""
        return self.model.dataset_meta['classes']

    def stream(
        self, frames: Iterable[Frame], score_thr: float = 0.3, batch_size: int = 1
    ) -> Iterator[Tuple[Frame, Optional[DetDataSample]]]:
        """Detect objects in frames as they arrive.

        Args:
            frames: Images, see :func:`epsanet_mmdet.inference.sources.read_frames`.
            score_thr: Leave out detections with a lower score.
            batch_size: Images per batch.

        Yields:
            Each frame with the output of the model, or with None if the frame has a fault.
        """
        frames = iter(frames)
        while batch := list(itertools.islice(frames, batch_size)):
            prepared = [self.prepare(frame) for frame in batch]
            good = [data for data in prepared if data is not None]
            samples = iter(self.forward(self.collate_fn(good)) if good else [])
            for frame, data in zip(batch, prepared):
                sample = None if data is None else next(samples)
                if sample is not None:
                    instances = sample.pred_instances
                    sample.pred_instances = instances[instances.scores >= score_thr]
                yield frame, sample

    def draw(self, frame: Frame, sample: DetDataSample) -> np.ndarray:
        """Return a BGR copy of the image of a frame with its boxes and masks drawn."""
        instances = sample.pred_instances.cpu().numpy()
        texts = [f'{self.classes[i]} {s:.2f}' for i, s in zip(instances.labels, instances.scores)]
        masks = instances.masks if 'masks' in instances else None
        return draw_objects(frame.image, instances.bboxes, instances.labels, texts, masks)

    def prepare(self, frame: Frame) -> Optional[dict]:
        """Return the input of ``collate_fn`` for a frame; None, and its fault, if it has one."""
        if frame.fault:
            return None
        try:
            return self.pipeline(dict(img=frame.image, img_id=0))
        except cv2.error:  # a side of 0 pixels
            frame.fault = "cannot be resized to the config's image scale"
            return None

    def _init_collate(self, cfg: Config) -> Callable:
        if 'collate_fn' in cfg.test_dataloader:
            return super()._init_collate(cfg)
        return pseudo_collate  # the default, for which mmengine logs a warning

    def _load_weights_to_model(
        self, model: nn.Module, checkpoint: Optional[dict], cfg: Config
    ) -> None:
        require_fit(model, checkpoint)
        meta = checkpoint.setdefault('meta', {})
        if not {'dataset_meta', 'CLASSES'} & set(meta):
            dataset = DATASETS.build({**cfg.test_dataloader.dataset, 'lazy_init': True})
            meta['dataset_meta'] = dict(dataset.metainfo)
        super()._load_weights_to_model(model, checkpoint, cfg)
        classes, palette = model.dataset_meta['classes'], model.dataset_meta['palette']
        if isinstance(palette, (list, tuple)) and len(palette) < len(classes):
            model.dataset_meta['palette'] = 'random'
        counts = class_counts(model)
        if counts - {len(classes)}:
            raise CheckpointError(
                f'the model detects {min(counts)} classes, but the checkpoint or config names '
                f'{listing(classes)}; set num_classes and metainfo.classes to the same'
            )


def check_threshold(score_thr: float, least: float = 0) -> None:
    """Raise a ConfigError if a threshold of scores is not from ``least`` to 1."""
    if not least <= score_thr <= 1:
        raise ConfigError(f'the score threshold is {score_thr}; it must be from {least} to 1')
