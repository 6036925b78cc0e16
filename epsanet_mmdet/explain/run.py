"""Explaining images from the command line: what is read, printed and written."""

import itertools
import os.path as osp
import sys
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import cv2
from tqdm import tqdm

from ..errors import ConfigError, DataError
from ..inference.detector import Detector, check_threshold
from ..inference.interruption import deferred_signals, end_by_signal
from ..inference.output_paths import picture_paths
from ..inference.sources import Frame, Source, find_sources, read_frames
from ..utils.drawing import draw_objects
from ..utils.files import is_inside
from ..utils.storage import check_file_writable, write_whole
from ..utils.text import counted, printable
from .grad_cam import BACKBONE
from .heatmap import draw_heat
from .images import Explained, explain_image
from .page import ExplainedPage
from .summary import Summary, object_size

PAGE, TABLE = 'index.html', 'scales.csv'
METHODS = {
    'hirescam': 'HiResCAM (Grad-CAM with a gradient for each position)',
    'grad-cam': 'Grad-CAM',
}


def explain_to_folder(
    inputs: Sequence[str],
    config: str,
    checkpoint: str,
    out_dir: str,
    score_thr: float = 0.3,
    objects: int = 5,
    pictures: int = 12,
    method: str = 'hirescam',
    layer: str = BACKBONE,
    device: Optional[str] = None,
    options: Optional[Dict] = None,
) -> List[str]:
    """Write heat maps of detected objects, and the attention behind them, into a folder.

    ``index.html`` shows both, ``pictures/`` contains the heat maps in the size of the images, and
    ``scales.csv`` the weights of the scales if the detector has PSA.

    Args:
        inputs: Image files, folders or glob patterns.
        config: Path or bare name of a config.
        checkpoint: File or URL of the weights.
        out_dir: Output folder; files of an earlier run are replaced.
        score_thr: Leave out objects with a lower score.
        objects: Maximum number of heat maps of an image, those of the highest scores.
        pictures: Maximum number of images with heat maps. Attention is averaged over all images.
        method: ``'hirescam'`` or ``'grad-cam'``, see
            :func:`epsanet_mmdet.explain.grad_cam.detect_with_cams`.
        layer: Layer that the heat maps belong to, by its name in the model.
        device: Device such as ``'cpu'`` or ``'cuda:1'``. Default: a GPU if there is one.
        options: Overrides of the config, see ``--cfg-options``.

    Returns:
        A line for each image that could not be read.

    Raises:
        UserError: If an input, the config, the checkpoint or an option is wrong.
        KeyboardInterrupt: After Ctrl-C, when the page is written.
        SystemExit: After SIGTERM with status 143, when the page is written.
    """
    check_threshold(score_thr)
    if min(objects, pictures) < 1:
        raise ConfigError(
            f'objects and pictures must be at least 1, but got objects={objects}, '
            f'pictures={pictures}'
        )
    if method not in METHODS:
        raise ConfigError(f'there is no method {method!r}; choose one of {", ".join(METHODS)}')
    sources = find_sources(inputs)
    _check_sources(sources, out_dir)
    folder = Path(out_dir)
    paths = picture_paths(folder, sources)
    detector = Detector(config, checkpoint, device, options)
    check_file_writable(folder / PAGE)
    page, summary = ExplainedPage(detector.classes, METHODS[method], layer), Summary()
    faults: List[str] = []
    with deferred_signals() as received, tqdm(total=len(sources), unit='image') as progress:
        progress.set_description('Explaining')
        for frame in itertools.takewhile(lambda _: not received, read_frames(sources)):
            data = detector.prepare(frame)
            if data is None:
                faults.append(f'{printable(frame.source.path or frame.name, 300)}: {frame.fault}')
                progress.write(f'skipped: {faults[-1]}', file=sys.stderr)
            else:
                count = objects if len(page.objects) < pictures else 0
                hires = method == 'hirescam'
                explained = explain_image(detector, frame, data, count, score_thr, layer, hires)
                summary.add(explained.record, [object_size(box) for box in explained.boxes])
                if count:
                    page.add(explained)
                    _write_pictures(explained, detector.classes, paths[frame.source.key])
            progress.update()
    if not page.objects:
        raise DataError(f'no image could be explained: {faults[0] if faults else "interrupted"}')
    done = counted(progress.n - len(faults), 'image')
    facts = f'{config} with {checkpoint}: {done}, objects with a score of {score_thr} or more'
    if summary.scales:
        write_whole(summary.csv(), folder / TABLE)
    write_whole(page.render(facts, summary), folder / PAGE)
    if received:
        message = f"interrupted after {progress.n} images; the page in '{out_dir}' has them"
        end_by_signal(received[0], message)
    return faults


def _check_sources(sources: Sequence[Source], out_dir: str) -> None:
    for source in sources:
        shown = printable(source.path, 300)
        if source.is_video:
            raise DataError(f"'{shown}' is a video; pass images, such as some of its frames")
        if is_inside(osp.realpath(source.path), osp.realpath(out_dir)):
            raise DataError(f"input '{shown}' is in the output folder; choose another --out-dir")
    if not osp.isdir(out_dir) and osp.exists(out_dir):
        raise DataError(f"'{printable(out_dir, 300)}' is not a folder; choose another --out-dir")


def _write_pictures(explained: Explained, classes: Sequence[str], folder: Path) -> None:
    """Write each heat map, with the box and name of its object, into a folder of the image."""
    frame: Frame = explained.frame
    captions, labels = explained.captions(classes), explained.objects.labels.tolist()
    for i, cam in enumerate(explained.cams):
        heat = draw_heat(frame.image, cam.heat.numpy(), fading=True)
        drawn = draw_objects(heat, explained.boxes[[i]], [labels[i]], [captions[i]])
        content = cv2.imencode('.jpg', drawn)[1].tobytes()
        write_whole(content, folder / f'object-{i + 1}.jpg')
