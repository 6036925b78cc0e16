"""Building the report of one test run."""

import os
import platform
from datetime import datetime
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import mmcv
import mmdet
import mmengine
import torch

from ..errors import DataError
from ..inference.output_paths import check_inputs_stay
from ..utils.storage import check_file_writable, write_whole
from ..version import __version__
from .data import load_results, load_truth
from .gallery import worst_pictures
from .matching import IOU_THRESHOLD, match
from .metrics import KIND_NAMES, evaluate
from .page import render_page
from .sections import (
    classes_section,
    confusion_section,
    facts_section,
    gallery_section,
    precision_recall_section,
    summary_section,
    training_section,
)
from .testing import run_test
from .training_log import read_training_log

Facts = List[Tuple[str, str]]


def report_test(
    config: str,
    checkpoint: str,
    out: str,
    work_dir: Optional[str] = None,
    options: Optional[Dict] = None,
    **choices,
) -> None:
    """Test a model, and write a page about it.

    Args:
        config: Path or bare name of a config.
        checkpoint: File or URL of the weights.
        out: The page to write; the COCO results go beside it.
        work_dir: Folder of the training, the checkpoint's if not given.
        options: Overrides of the config, as of ``--cfg-options``.
        **choices: ``score_thr`` and ``pictures``, as in :func:`report_results`.

    Raises:
        UserError: One line that names the thing that is missing or does not fit, and the remedy.
    """
    path = _page_path(out)
    check_inputs_stay([path], [config, checkpoint], '--out')
    run = run_test(config, checkpoint, str(path.with_suffix('')), options)
    if work_dir is None and read_training_log(os.path.dirname(checkpoint)):
        work_dir = os.path.dirname(checkpoint)
    report_results(
        run.ann_file,
        run.image_dir,
        run.results,
        out,
        work_dir,
        classes=run.classes,
        facts=[('config', config), ('checkpoint', checkpoint)],
        config_text=run.config.pretty_text,
        **choices,
    )


def report_results(
    ann_file: str,
    image_dir: str,
    results: Sequence[str],
    out: str,
    work_dir: Optional[str] = None,
    score_thr: float = 0.3,
    pictures: int = 24,
    classes: Optional[Sequence[str]] = None,
    facts: Facts = (),
    config_text: str = '',
) -> None:
    """Write a page about COCO results.

    Args:
        ann_file: COCO annotations of the tested images.
        image_dir: Their folder.
        results: COCO results of boxes, masks or both.
        out: The page to write.
        work_dir: Folder of the training, for its curves.
        score_thr: Lower scores do not count as found or false; the metrics use all.
        pictures: How many to show.
        classes: The classes to report, if not all of the annotations.
        facts: Names and values to add to those of the run.
        config_text: The config, to be shown in full.

    Raises:
        DataError: If something cannot be read, or the page not be written.
    """
    path = _page_path(out)
    log = read_training_log(work_dir) if work_dir else None
    if work_dir and log is None:
        raise DataError(f"there is no training log in '{work_dir}'; set --work-dir to one that has")
    truth = load_truth(ann_file, classes)
    if not os.path.isdir(image_dir):
        raise DataError(f"image folder '{image_dir}' does not exist; set --images")
    check_inputs_stay([path], [ann_file, *results], '--out')
    found = load_results(truth, results)
    evaluations = [evaluate(truth, found[kind], kind) for kind in found]
    kind = list(found)[-1]  # masks if there are some
    pairs = match(truth, found[kind], kind, score_thr)
    any_class = match(truth, found[kind], kind, score_thr, by_class=False)
    criterion = f'{KIND_NAMES[kind]} IoU {IOU_THRESHOLD}, with scores from {score_thr}'
    worst = worst_pictures(truth, found[kind], pairs, image_dir, pictures)
    facts = [*facts, ('annotations', ann_file), ('results', ', '.join(map(str, results)))]
    if work_dir:
        facts.append(('training', work_dir))
    sections = [
        summary_section(evaluations, truth),
        classes_section(evaluations, truth, pairs, criterion),
        precision_recall_section(evaluations),
        confusion_section(truth, any_class, criterion),
        *([training_section(log)] if log else []),
        gallery_section(worst, len(truth.imgs), criterion),
        facts_section([*facts, *versions()], config_text),
    ]
    write_whole(render_page(f'Test report: {Path(ann_file).stem}', sections), path)


def versions() -> Facts:
    """Name the software, the machine and the time."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'
    packages = {'epsanet_mmdet': __version__, 'torch': torch.__version__}
    packages.update({m.__name__: m.__version__ for m in (mmengine, mmcv, mmdet)})
    return [
        ('versions', ', '.join(f'{name} {version}' for name, version in packages.items())),
        ('machine', f'{device}, Python {platform.python_version()}, {platform.system()}'),
        ('written', datetime.now().strftime('%Y-%m-%d %H:%M')),
    ]


def _page_path(out: str) -> Path:
    path = Path(out)
    if path.is_dir():
        raise DataError(f"'{out}' is a folder; name the page's file")
    check_file_writable(path)
    return path
