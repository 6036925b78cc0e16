"""Detection from Python, and into a folder."""

import contextlib
import itertools
import sys
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Union

import numpy as np
from tqdm import tqdm

from ..errors import ConfigError, DataError
from ..utils.text import printable
from .detections import Detections
from .detector import Detector, check_threshold
from .image_ids import ImageIds
from .interruption import deferred_signals, end_by_signal
from .labels import IMAGE_URL, check_label_options
from .outputs import OutputFolder
from .sources import Input, count_frames, find_sources, read_frames
from .videos import WITHOUT_AV, av


def infer(
    inputs: Union[Input, Sequence[Input]],
    config: str,
    checkpoint: str,
    score_thr: float = 0.3,
    batch_size: int = 1,
    device: Optional[str] = None,
) -> List[Detections]:
    """Detect objects and return them as plain arrays.

    Loading a model takes seconds. For many calls, create one
    :class:`epsanet_mmdet.inference.Detector` and use its ``stream``.

    Args:
        inputs: File, folder, glob pattern or BGR image of shape (height, width, 3), or a list of
            these.
        config: Path or bare name of a config.
        checkpoint: File or URL of the weights.
        score_thr: Leave out detections with a lower score.
        batch_size: Images per batch.
        device: Device such as ``'cpu'`` or ``'cuda:1'``. Default: a GPU if there is one.

    Returns:
        One entry per image or video frame. The entry of an image that cannot be read has a
        ``fault`` and no detections.

    Raises:
        UserError: If an input, the config, the checkpoint or an option is wrong.
    """
    _check_options(score_thr, batch_size)
    if isinstance(inputs, (str, Path, np.ndarray)):
        inputs = [inputs]
    sources = find_sources(inputs)
    detector = Detector(config, checkpoint, device)
    stream = detector.stream(read_frames(sources), score_thr, batch_size)
    return [Detections.from_sample(*output, detector.classes) for output in stream]


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
    pictures: bool = True,
    labels: Sequence[str] = (),
    image_url: str = IMAGE_URL,
) -> List[str]:
    """Detect objects and write drawn images, COCO results and CSV into a folder.

    Results are written after each image. Ctrl-C (the way to stop a webcam) and SIGTERM let the
    current batch finish.

    Args:
        inputs: Files, folders, glob patterns or indices of webcams.
        config: See :func:`infer`.
        checkpoint: See :func:`infer`.
        out_dir: See :class:`epsanet_mmdet.inference.outputs.OutputFolder`.
        score_thr: See :func:`infer`.
        batch_size: See :func:`infer`.
        device: See :func:`infer`.
        ann_file: COCO annotations to take image and category ids from.
        options: Overrides of the config, see ``--cfg-options``.
        pictures: Draw images and videos.
        labels: Annotation tools to write labels for: ``'cvat'``, ``'label-studio'`` and
            ``'ultralytics'``.
        image_url: Text before the names of images for Label Studio; empty for plain names.

    Returns:
        A line for each input that could not be read.

    Raises:
        UserError: If an input, the config, the checkpoint or an option is wrong.
        KeyboardInterrupt: After Ctrl-C, when the results are written.
        SystemExit: After SIGTERM with status 143, when the results are written.
    """
    _check_options(score_thr, batch_size)
    sources = find_sources(inputs)
    check_label_options(labels, out_dir, sources)
    ids = ImageIds(ann_file)
    ids.check(sources)
    detector = Detector(config, checkpoint, device, options)
    ids.set_classes(detector.classes)
    inputs = [path for path in (config, checkpoint, ann_file) if path]
    try:
        folder = OutputFolder(out_dir, ids, sources, inputs, labels, image_url)
        if pictures and av is None and any(source.is_video for source in sources):
            print(f'note: {WITHOUT_AV}', file=sys.stderr)
        with deferred_signals() as received, contextlib.closing(folder):
            frames = itertools.takewhile(lambda _: not received, read_frames(sources))
            results = tqdm(
                detector.stream(frames, score_thr, batch_size),
                total=count_frames(sources),
                unit='image',
                desc='Detecting',
            )
            faults = _write(folder, results, detector, pictures)
    except OSError as error:
        raise DataError(f"'{out_dir}' cannot be written: {error}; choose another --out-dir")
    if received:
        message = f"interrupted after {results.n} images; their results are in '{out_dir}'"
        end_by_signal(received[0], message)
    return faults


def _write(folder: OutputFolder, results: tqdm, detector: Detector, pictures: bool) -> List[str]:
    faults, objects = [], 0
    with results:
        for frame, sample in results:
            if sample is None:
                faults.append(f'{printable(frame.source.path or frame.name, 300)}: {frame.fault}')
                results.write(f'skipped: {faults[-1]}', file=sys.stderr)
                continue
            detections = Detections.from_sample(frame, sample, detector.classes)
            folder.add(frame, detections, detector.draw(frame, sample) if pictures else None)
            objects += len(detections)
            results.set_postfix(objects=objects, refresh=False)
    return faults


def _check_options(score_thr: float, batch_size: int) -> None:
    check_threshold(score_thr)
    if batch_size < 1:
        raise ConfigError(f'the batch size is {batch_size}; it must be at least 1')
