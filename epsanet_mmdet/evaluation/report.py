"""The report of a test: a verdict, metrics, curves, confusions and the worst images on one page."""

import os
import platform
import tempfile
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader, Runner

from ..checkpoint.fit import require_fit
from ..checkpoint.weight_files import check_checkpoint_path
from ..config.data import data_paths
from ..config.load import load_config
from ..engine.mmdet_tools import check_data
from ..errors import ConfigError, DataError
from ..inference.output_paths import check_inputs_stay
from ..utils.environment import versions
from ..utils.page import render_page
from ..utils.storage import check_file_writable, write_whole
from .bootstrap import bootstrap_ap
from .data import load_ground_truth, load_results
from .gallery import worst_pictures
from .matching import at_score, match
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
from .thresholds import score_curve
from .training_log import TrainingLog, read_training_log
from .verdict import threshold_section, verdict_section

SCORE_THR = 0.3  # where no score can be recommended
Facts = List[Tuple[str, str]]
Folders = Union[None, str, Sequence[str]]


def report_test(
    config: str,
    checkpoint: str,
    out: str,
    work_dir: Folders = None,
    options: Optional[Dict] = None,
    more_seeds: Sequence[str] = (),
    **choices,
) -> None:
    """Test a model on the test set of its config, and write a report.

    Args:
        config: Path or bare name of a config.
        checkpoint: File or URL of the weights.
        out: HTML file to write; the COCO results are written beside it.
        work_dir: Work folder of the training, or of each seed's. Default: the folders of the
            checkpoints.
        options: Overrides of the config, see ``--cfg-options``.
        more_seeds: Checkpoints of the same training with other seeds.
        **choices: ``score_thr`` and ``pictures`` of :func:`report_results`.

    Raises:
        ConfigError: If the config does not exist or does not test on COCO annotations.
        CheckpointError: If the checkpoint does not exist or does not fit.
        DataError: If the data set cannot be read.
    """
    path, checkpoints = _page_path(out), [checkpoint, *more_seeds]
    check_inputs_stay([path], [config, *checkpoints], '--out')
    cfg = load_config(config, options)
    for name in checkpoints:
        check_checkpoint_path(name)
    data, evaluator = (cfg.get('test_dataloader') or {}).get('dataset'), cfg.get('test_evaluator')
    if not data or 'ann_file' not in data or (evaluator or {}).get('type') != 'CocoMetric':
        raise ConfigError(f"config '{config}' does not test one data set by CocoMetric")
    check_data(cfg, ('test_dataloader',))
    _, ann_file, images = data_paths(data)
    metrics = evaluator.get('metric', 'bbox')
    metrics = [m for m in ([metrics] if isinstance(metrics, str) else metrics) if m in IOU_TYPES]
    if not metrics:
        raise ConfigError(f"config '{config}' tests neither boxes (bbox) nor masks (segm)")
    stems = [path.stem, *(f'{path.stem}-{i}' for i in range(2, len(checkpoints) + 1))]
    results = [[str(path.with_name(f'{stem}.{name}.json')) for name in metrics] for stem in stems]
    check_inputs_stay(map(Path, chain(*results)), [ann_file, *checkpoints, config], '--out')
    for name, stem in zip(checkpoints, stems):
        evaluator.outfile_prefix = str(path.with_name(stem))
        classes = _test(cfg.copy(), name)
    if work_dir is None:
        folders = [os.path.dirname(name) for name in checkpoints]
        work_dir = [folder for folder in folders if read_training_log(folder)]
    report_results(
        ann_file,
        images,
        results[0],
        out,
        work_dir,
        classes=classes,
        facts=[('config', config), *(('checkpoint', name) for name in checkpoints)],
        config_text=cfg.pretty_text,
        more_seeds=results[1:],
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
    work_dir: Folders = None,
    score_thr: Optional[float] = None,
    pictures: int = 24,
    classes: Optional[Sequence[str]] = None,
    facts: Facts = (),
    config_text: str = '',
    more_seeds: Sequence[Sequence[str]] = (),
) -> None:
    """Write a report of COCO results.

    Args:
        ann_file: COCO annotations of the tested images.
        image_dir: Folder of the tested images.
        results: COCO results of boxes, masks or both.
        out: HTML file to write.
        work_dir: Work folder of the training, or of each seed's, to plot its curves.
        score_thr: Count only detections with at least this score as TP or FP, and show only
            those in images at first. AP and AR use all detections. Default: the recommended one,
            or 0.3 if nothing is hit.
        pictures: Number of images to show.
        classes: Classes to report. Default: all of the annotations.
        facts: Names and values to add to those of the run.
        config_text: Text of the config, shown in full.
        more_seeds: Results of the same training with other seeds, of the same kinds.

    Raises:
        DataError: If an input cannot be read.
        StorageError: If the page cannot be written.
    """
    path = _page_path(out)
    work_dirs = [work_dir] if isinstance(work_dir, str) else list(work_dir or ())
    logs = [_read_log(folder) for folder in work_dirs]
    gt = load_ground_truth(ann_file, classes)
    if not os.path.isdir(image_dir):
        raise DataError(f"image folder '{image_dir}' does not exist; set --images")
    files = [results, *more_seeds]
    check_inputs_stay([path], [ann_file, *chain(*files)], '--out')
    seeds = [load_results(gt, names) for names in files]
    if any(seed.keys() != seeds[0].keys() for seed in seeds):
        raise DataError('the seeds differ in whether they have boxes or masks; test them alike')
    by_type = {iou_type: [seed[iou_type] for seed in seeds] for iou_type in seeds[0]}
    evaluations = {t: [evaluate(gt, dt, t) for dt in found] for t, found in by_type.items()}
    intervals = {t: bootstrap_ap(gt, found, t) for t, found in by_type.items()}
    iou_type, found = list(by_type.items())[-1]  # masks if there are some
    matches = [match(gt, dt, iou_type) for dt in found]
    curve = score_curve(chain(*(chain(*seed.values()) for seed in matches)))
    if score_thr is None:
        score_thr = SCORE_THR if curve.recommended is None else curve.recommended
    counted = {i: at_score(pairs, score_thr) for i, pairs in matches[0].items()}
    of_any_class = match(gt, found[0], iou_type, by_class=False)
    of_any_class = {i: at_score(pairs, score_thr) for i, pairs in of_any_class.items()}
    models = {'detections': (found[0], matches[0])}
    words = criterion(iou_type, score_thr)
    facts = [*facts, ('annotations', ann_file)]
    facts += [('results', ', '.join(map(str, names))) for names in files]
    facts += [('training', folder) for folder in work_dirs]
    sections = [
        verdict_section(evaluations, intervals, curve, gt),
        threshold_section(curve, iou_type),
        classes_section(evaluations, gt, counted, words),
        gallery_section(
            worst_pictures(gt, models, image_dir, pictures, score_thr), len(gt.imgs), words
        ),
        confusion_section(gt, of_any_class, words),
        precision_recall_section(evaluations),
        *([training_section(*logs)] if logs else []),
        summary_section(evaluations),
        facts_section([*facts, *_environment_facts()], config_text),
    ]
    write_whole(render_page(f'Test report: {Path(ann_file).stem}', sections), path)


def _read_log(work_dir: str) -> TrainingLog:
    log = read_training_log(work_dir)
    if log is None:
        raise DataError(f"there is no training log in '{work_dir}'; set --work-dir to one that has")
    return log


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
