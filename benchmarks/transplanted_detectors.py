"""AP of detectors whose ResNet-50 was replaced by an EPSANet, without further training."""

import hashlib
import tempfile
from functools import partial
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence

from mmengine.config import Config
from stored import stored

from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.engine.runner import BriefRunner
from epsanet_mmdet.evaluation.metrics import IOU_TYPES
from epsanet_mmdet.evaluation.seeds import paired_difference, spread
from epsanet_mmdet.experiments.job import last_checkpoint, read_json
from epsanet_mmdet.experiments.worker import measure
from epsanet_mmdet.utils.images import images_below
from epsanet_mmdet.utils.page import percent
from epsanet_mmdet.weight_transfer import METHODS, run_transplant

TEACHER = 'resnet50'
STUDENTS = {'small': 'epsanet50-s', 'large': 'epsanet50-l'}
Metrics = Dict[str, Dict[str, Optional[float]]]  # by IoU type and name


def measure_transplants(
    study: str,
    images: str,
    work_dir: str,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    archs: Sequence[str] = tuple(STUDENTS),
    methods: Sequence[str] = METHODS,
    image_size: int = 224,
    progress: Callable[[str], None] = print,
) -> Dict[str, Dict[int, Metrics]]:
    """Transplant the ResNet-50 detectors of a plan by each method, and test them.

    Results are kept in ``work_dir`` and reused for equal settings.

    Args:
        study: Work folder of the plan ``small-data``, or of its ResNet-50 alone.
        images: Folder of images to fit on, such as the training images.
        work_dir: Folder for checkpoints and results.
        seeds: Trainings of the plan.
        archs: Variants of EPSANet.
        methods: Some of :data:`METHODS`.
        image_size: Height and width of the views to fit on, pixels.
        progress: Called with a line after every detector.

    Returns:
        Metrics on the plan's test images, by name of the detector and seed.
    """
    found: Dict[str, Dict[int, Metrics]] = {TEACHER: {}}
    fitted_on = _digest(images)
    for seed in seeds:
        teacher = Path(study, TEACHER, f'seed{seed}')
        trained = read_json(teacher / 'result.json')
        found[TEACHER][seed] = trained['metrics']
        for arch in archs:
            for method in methods:
                name = f'{STUDENTS[arch]}-{method}'
                folder = Path(work_dir, name, f'seed{seed}')
                settings = dict(trained=trained, images=fitted_on, image_size=image_size)
                fit = dict(images=images, image_size=image_size) if method == 'fit' else {}
                found.setdefault(name, {})[seed] = stored(
                    folder / 'result.json',
                    settings,
                    'metrics',
                    partial(_transplant_and_test, teacher, folder, arch, method, fit),
                )
                progress(f'{name}, seed {seed}: {_ap(found[name][seed])}')
    return found


def _digest(folder: str) -> str:
    digest = hashlib.sha256()
    for path in images_below(Path(folder)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _transplant_and_test(teacher: Path, folder: Path, arch: str, method: str, fit: Dict) -> Metrics:
    checkpoint = str(folder / 'detector.pth')
    run_transplant(
        last_checkpoint(teacher), checkpoint, arch, method=method, detector=True,
        progress=lambda line: None, **fit,
    )  # fmt: skip
    cfg = Config.fromfile(teacher / 'test_config.py')
    cfg.model.backbone = load_config(f'mask-rcnn_{STUDENTS[arch]}_fpn_small-data').model.backbone
    cfg.load_from = checkpoint
    cfg.test_evaluator.outfile_prefix = str(folder / 'results')
    with tempfile.TemporaryDirectory() as cfg.work_dir:
        BriefRunner.from_cfg(cfg).test()
    return measure(cfg, folder)


def _ap(metrics: Metrics) -> str:
    return ', '.join(f'{IOU_TYPES[t]} AP {percent(found["AP"])}' for t, found in metrics.items())


def transplant_table(found: Dict[str, Dict[int, Metrics]]) -> str:
    """Return a Markdown table: AP over seeds, and the paired difference to the ResNet."""
    lines: List[str] = []
    for iou_type in next(iter(found[TEACHER].values())):
        lines += [f'| | {IOU_TYPES[iou_type]} AP | to ResNet-50 |', '| --- | --- | --- |']
        ap = {
            name: {seed: metrics[iou_type]['AP'] for seed, metrics in seeds.items()}
            for name, seeds in found.items()
        }
        for name, values in ap.items():
            difference = None if name == TEACHER else paired_difference(values, ap[TEACHER])
            cells = percent(spread(list(values.values()))), percent(difference, signed=True)
            lines.append(f'| {name} | {" | ".join(cells)} |')
        lines.append('')
    return '\n'.join(lines)
