"""A detector with its weights: mmdet's inferencer, fed a stream of frames."""

import itertools
import os.path as osp
import warnings
from typing import Dict, Iterable, Iterator, Optional, Sequence, Tuple

import cv2
import numpy as np
from mmdet.apis import DetInferencer
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.device import get_device
from torch import nn

from ..checkpoint import require_match
from ..checkpoint.compare import compare
from ..config.load import load_config
from ..errors import CheckpointError, ConfigError
from ..utils.device import usable_device
from ..utils.drawing import draw_objects
from ..utils.text import printable
from .sources import Frame


class Detector(DetInferencer):
    """A model with its weights, ready to detect.

    Args:
        config: Path or bare name of a config.
        checkpoint: File or URL of the weights.
        device: Such as ``'cpu'`` or ``'cuda:1'``; a GPU if there is one.
        options: Overrides of the config, as of ``--cfg-options``.

    Raises:
        ConfigError: If there is no such config or device, or the config cannot test.
        CheckpointError: If there is no such checkpoint, or it is of another architecture or of
            other classes.
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
        cfg.visualizer = dict(type='mmdet.DetLocalVisualizer')  # logs to nowhere
        device = str(usable_device(device or get_device()))
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # about palettes and visualizer backends
            super().__init__(cfg, str(checkpoint), device, show_progress=False)

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes, from the checkpoint, or else from the config."""
        return self.model.dataset_meta['classes']

    def stream(
        self, frames: Iterable[Frame], score_thr: float = 0.3, batch_size: int = 1
    ) -> Iterator[Tuple[Frame, Optional[DetDataSample]]]:
        """Detect on frames as they come.

        Args:
            frames: Pictures.
            score_thr: Objects with a lower score are left out.
            batch_size: Pictures at a time.

        Yields:
            Each frame, and the model's output, or None if the frame has a fault.
        """
        frames = iter(frames)
        while batch := list(itertools.islice(frames, batch_size)):
            prepared = [self._prepare(frame) for frame in batch]
            good = [data for data in prepared if data is not None]
            samples = iter(self.forward(self.collate_fn(good)) if good else [])
            for frame, data in zip(batch, prepared):
                sample = None if data is None else next(samples)
                if sample is not None:
                    found = sample.pred_instances
                    sample.pred_instances = found[found.scores >= score_thr]
                yield frame, sample

    def draw(self, frame: Frame, sample: DetDataSample) -> np.ndarray:
        """Draw boxes and masks into a frame: BGR, of the size that the detector saw."""
        found = sample.pred_instances.cpu().numpy()
        texts = [f'{self.classes[i]} {s:.2f}' for i, s in zip(found.labels, found.scores)]
        masks = found.masks if 'masks' in found else None
        return draw_objects(frame.image, found.bboxes, found.labels, texts, masks)

    def _prepare(self, frame: Frame) -> Optional[dict]:
        if frame.fault:
            return None
        try:
            return self.pipeline(dict(img=frame.image, img_id=0))
        except cv2.error:  # a side that becomes 0 pixels
            frame.fault = "cannot be resized to the config's image scale"
            return None

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
                f'{_listing(classes)}; set num_classes and metainfo.classes to the same'
            )


def check_checkpoint_path(checkpoint: str) -> None:
    """Check that a checkpoint exists, if it is a file.

    Raises:
        CheckpointError: If not.
    """
    if '://' not in str(checkpoint) and not osp.isfile(checkpoint):
        raise CheckpointError(
            f"checkpoint '{checkpoint}' does not exist; name the .pth file of a training"
        )


def class_counts(model: nn.Module) -> set:
    """Collect the numbers of classes of a detector's heads."""
    return {
        module.num_classes
        for name, module in model.named_modules()
        if hasattr(module, 'num_classes') and not name.endswith('rpn_head')
    }


def require_fit(model: nn.Module, checkpoint: dict) -> None:
    """Refuse a checkpoint that would leave part of the model random, such as its head.

    Fine-tuning wants such a checkpoint, detection never does.

    Raises:
        CheckpointError: It names the tensors, or the classes if these are the reason.
    """
    require_match(model)  # another architecture is refused, with its own words, on loading
    given = checkpoint.get('state_dict', checkpoint)
    given = {name.removeprefix('module.'): value for name, value in given.items()}
    found = compare(given, model.state_dict())
    unfilled = found.missing + found.reshaped
    if not unfilled or len(unfilled) > found.wanted // 4:
        return
    classes = checkpoint.get('meta', {}).get('dataset_meta', {}).get('classes')
    counts = class_counts(model)
    if classes is not None and counts - {len(classes)}:
        raise CheckpointError(
            f'the config detects {min(counts)} classes, but the checkpoint was trained on '
            f'{_listing(classes)}; use the config it was trained with, which lies beside it'
        )
    raise CheckpointError(
        f"the checkpoint leaves {len(unfilled)} of the model's {found.wanted} tensors unfilled, "
        f'such as {unfilled[0]}; use the config it was trained with, which lies beside it'
    )


def _listing(names: Sequence[str], limit: int = 10) -> str:
    shown = ', '.join(printable(name, 40) for name in names[:limit])
    return f'{len(names)} ({shown}{", ..." if len(names) > limit else ""})'
