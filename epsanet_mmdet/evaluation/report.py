"""The report of one test: metrics, curves, confusions and the worst images in an HTML page."""

import os
import platform
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader, Runner

from ..checkpoint.weight_files import check_checkpoint_path
from ..config.data import data_paths
from ..config.load import load_config
from ..engine.mmdet_tools import check_data
from ..errors import ConfigError, DataError
from ..inference.detector import require_fit
from ..inference.output_paths import check_inputs_stay
from ..utils.environment import versions
from ..utils.page import render_page
from ..utils.storage import check_file_writable, write_whole
from .data import load_ground_truth, load_results
from .gallery import worst_pictures
from .matching import match
from .metrics import IOU_TYPES, evaluate
from .sections import (
    classes_section,
    confusion_section,
    criterion,
    facts_section,
    gallery_section,
    precision_recall_section,
    summary_section,
    training_section,
)
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
    """Test a model on the test set of its config, and write a report.

    Args:
        config: Path or bare name of a config.
        checkpoint: File or URL of the weights.
        out: HTML file to write; the COCO results are written beside it.
        work_dir: Work folder of the training. Default: the folder of the checkpoint.
        options: Overrides of the config, see ``--cfg-options``.
        **choices: ``score_thr`` and ``pictures`` of :func:`report_results`.

    Raises:
        ConfigError: If the config does not exist or does not test on COCO annotations.
        CheckpointError: If the checkpoint does not exist or does not fit.
        DataError: If the data set cannot be read.
    """
    path = _page_path(out)
    check_inputs_stay([path], [config, checkpoint], '--out')
    cfg = load_config(config, options)
    check_checkpoint_path(checkpoint)
    data, evaluator = (cfg.get('test_dataloader') or {}).get('dataset'), cfg.get('test_evaluator')
    if not data or 'ann_file' not in data or (evaluator or {}).get('type') != 'CocoMetric':
        raise ConfigError(f"config '{config}' does not test one data set by CocoMetric")
    check_data(cfg, ('test_dataloader',))
    _, ann_file, images = data_paths(data)
    metrics = evaluator.get('metric', 'bbox')
    metrics = [metrics] if isinstance(metrics, str) else metrics
    results = [str(path.with_suffix(f'.{name}.json')) for name in metrics if name in IOU_TYPES]
    check_inputs_stay(map(Path, results), [ann_file, checkpoint, config], '--out')
    evaluator.outfile_prefix = str(path.with_suffix(''))
    classes = _test(cfg, checkpoint)
    if work_dir is None and read_training_log(os.path.dirname(checkpoint)):
        work_dir = os.path.dirname(checkpoint)
    report_results(
        ann_file,
        images,
        results,
        out,
        work_dir,
        classes=classes,
        facts=[('config', config), ('checkpoint', checkpoint)],
        config_text=cfg.pretty_text,
        **choices,
    )


def _test(config: Config, checkpoint: str) -> Sequence[str]:
    """Test a model and return the names of its classes."""
    config.load_from = checkpoint
    config.launcher = 'none'  # a training in several processes leaves theirs in its config
    with tempfile.TemporaryDirectory() as work_dir:  # for the log of the test
        config.work_dir = work_dir
        config.visualizer = dict(type='mmdet.DetLocalVisualizer', name=work_dir)  # logs nowhere
        runner = Runner.from_cfg(config)
        require_fit(runner.model, CheckpointLoader.load_checkpoint(checkpoint, 'cpu'))
        runner.test()
    return runner.test_dataloader.dataset.metainfo['classes']


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
    """Write a report of COCO results.

    Args:
        ann_file: COCO annotations of the tested images.
        image_dir: Folder of the tested images.
        results: COCO results of boxes, masks or both.
        out: HTML file to write.
        work_dir: Work folder of the training, to plot its curves.
        score_thr: Count only detections with at least this score as TP or FP, and show only
            those in images. AP and AR use all detections.
        pictures: Number of images to show.
        classes: Classes to report. Default: all of the annotations.
        facts: Names and values to add to those of the run.
        config_text: Text of the config, shown in full.

    Raises:
        DataError: If an input cannot be read.
        StorageError: If the page cannot be written.
    """
    path = _page_path(out)
    log = read_training_log(work_dir) if work_dir else None
    if work_dir and log is None:
        raise DataError(f"there is no training log in '{work_dir}'; set --work-dir to one that has")
    gt = load_ground_truth(ann_file, classes)
    if not os.path.isdir(image_dir):
        raise DataError(f"image folder '{image_dir}' does not exist; set --images")
    check_inputs_stay([path], [ann_file, *results], '--out')
    detections = load_results(gt, results)
    evaluations = [evaluate(gt, dt, iou_type) for iou_type, dt in detections.items()]
    iou_type, dt = list(detections.items())[-1]  # masks if there are some
    matches = match(gt, dt, iou_type, score_thr)
    matches_of_any_class = match(gt, dt, iou_type, score_thr, by_class=False)
    counted = criterion(iou_type, score_thr)
    worst = worst_pictures(gt, {'detections': (dt, matches)}, image_dir, pictures)
    facts = [*facts, ('annotations', ann_file), ('results', ', '.join(map(str, results)))]
    if work_dir:
        facts.append(('training', work_dir))
    sections = [
        summary_section(evaluations, gt),
        classes_section(evaluations, gt, matches, counted),
        precision_recall_section(evaluations),
        confusion_section(gt, matches_of_any_class, counted),
        *([training_section(log)] if log else []),
        gallery_section(worst, len(gt.imgs), counted),
        facts_section([*facts, *_environment_facts()], config_text),
    ]
    write_whole(render_page(f'Test report: {Path(ann_file).stem}', sections), path)


def _environment_facts() -> Facts:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'
    return [
        ('versions', ', '.join(f'{name} {version}' for name, version in versions().items())),
        ('machine', f'{device}, Python {platform.python_version()}, {platform.system()}'),
        ('written', datetime.now().strftime('%Y-%m-%d %H:%M')),
    ]


def _page_path(out: str) -> Path:
    path = Path(out)
    if path.is_dir():
        raise DataError(f"'{out}' is a folder; name the page's file")
    check_file_writable(path)
    return path
