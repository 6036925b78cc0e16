"""Detecting from Python, and into a folder."""

import sys
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Union

import numpy as np
from tqdm import tqdm

from ..errors import ConfigError, DataError
from .detections import Detections
from .detector import Detector
from .outputs import ImageIds, OutputFolder
from .sources import Input, count_frames, find_sources, read_frames


def infer(
    inputs: Union[Input, Sequence[Input]],
    config: str,
    checkpoint: str,
    score_thr: float = 0.3,
    batch_size: int = 1,
    device: Optional[str] = None,
) -> List[Detections]:
    """Detect objects, and give them as plain arrays.

    Loading a model takes seconds: for many calls, make one
    :class:`epsanet_mmdet.inference.Detector` and use its ``stream``.

    Args:
        inputs: A file, folder, glob pattern or BGR picture (height, width, 3), or a list of them.
        config: Path or bare name of a config.
        checkpoint: File or URL of the weights.
        score_thr: Objects with a lower score are left out.
        batch_size: Pictures at a time.
        device: Such as ``'cpu'`` or ``'cuda:1'``; a GPU if there is one.

    Returns:
        One entry a picture or frame of a video; where a picture could not be read, ``fault``
        says why.

    Raises:
        UserError: One line that names what is missing or does not fit, and the remedy.
    """
    _check_options(score_thr, batch_size)
    if isinstance(inputs, (str, Path, np.ndarray)):
        inputs = [inputs]
    sources = find_sources(inputs)
    detector = Detector(config, checkpoint, device)
    stream = detector.stream(read_frames(sources), score_thr, batch_size)
    return [Detections.from_sample(*found, detector.classes) for found in stream]


def infer_to_folder(
    inputs: Sequence[str],
    config: str,
    checkpoint: str,
    out_dir: str,
    score_thr: float = 0.3,
    batch_size: int = 1,
    device: Optional[str] = None,
    ann_file: Optional[str] = None,
    options: Optional[Dict] = None,
) -> List[str]:
    """Detect objects, and write pictures, COCO results and CSV into a folder.

    Ctrl-C ends it, and keeps what was found until then: the way to end a webcam.

    Args:
        inputs: As in :func:`infer`, or indices of webcams.
        config: As in :func:`infer`.
        checkpoint: As in :func:`infer`.
        out_dir: See :class:`OutputFolder`.
        score_thr: As in :func:`infer`.
        batch_size: As in :func:`infer`.
        device: As in :func:`infer`.
        ann_file: COCO annotations whose image and category ids the results shall have.
        options: Overrides of the config, as of ``--cfg-options``.

    Returns:
        A line for each input that could not be read.

    Raises:
        UserError: One line that names what is missing or does not fit, and the remedy.
    """
    _check_options(score_thr, batch_size)
    sources = find_sources(inputs)
    ids = ImageIds(ann_file)
    ids.check(sources)
    detector = Detector(config, checkpoint, device, options)
    ids.set_classes(detector.classes)
    frames = tqdm(
        detector.stream(read_frames(sources), score_thr, batch_size),
        total=count_frames(sources),
        unit='picture',
        desc='Detecting',
    )
    try:
        return _write(OutputFolder(out_dir, ids), frames, detector.classes, detector.draw)
    except OSError as error:
        raise DataError(f"'{out_dir}' cannot be written: {error}; give another --out-dir")


def _write(folder: OutputFolder, frames: tqdm, classes: Sequence[str], draw: Callable) -> List[str]:
    faults, objects = [], 0
    try:
        for frame, sample in frames:
            if sample is None:
                faults.append(f'{frame.source.path or frame.name} {frame.fault}')
                frames.write(f'skipped: {faults[-1]}', file=sys.stderr)
                continue
            found = Detections.from_sample(frame, sample, classes)
            folder.add(frame, found, draw(frame, sample))
            objects += len(found)
            frames.set_postfix(objects=objects, refresh=False)
    except KeyboardInterrupt:
        frames.write('interrupted; writing what was found', file=sys.stderr)
    finally:
        frames.close()
        folder.close()
    return faults


def _check_options(score_thr: float, batch_size: int) -> None:
    if not 0 <= score_thr <= 1:
        raise ConfigError(f'the score threshold is {score_thr}; it must be from 0 to 1')
    if batch_size < 1:
        raise ConfigError(f'the batch size is {batch_size}; it must be at least 1')
