"""The measured results of a plan as entries of a ``metafile.yml``, to be sent back."""

from pathlib import Path
from typing import Any, Dict, Optional

import yaml
from mmdet.datasets import CocoDataset

from ..config.load import configs_dir, find_config
from ..evaluation.metrics import IOU_TYPES
from ..evaluation.training_log import read_peak_memory
from ..utils.storage import write_whole
from .job import Job
from .prepare import PreparedPlan

TASKS = {'bbox': 'Object Detection', 'segm': 'Instance Segmentation'}
VAL2017 = 5000  # images
HEAD = '# Measured with epsanet reproduce; to be merged into the metafile.yml of each config.\n'


def write_metafile(prepared: PreparedPlan, summary: Dict[str, Any]) -> None:
    """Write ``metafile.yml`` to the output folder, if a job is done and was tested on COCO.

    The data count as COCO val2017 if they have its classes and its number of images.

    Args:
        prepared: The plan.
        summary: See :func:`epsanet_mmdet.experiments.table.summarise`.

    Raises:
        StorageError: If it cannot be written.
    """
    if not _is_coco(prepared.jobs[0]):  # all jobs have the same data
        return
    rows = [row for comparison in summary['comparisons'] for row in comparison['rows']]
    models = [_entry(prepared, row) for row in rows if row['seeds']]
    if models:
        text = yaml.safe_dump({'Models': models}, sort_keys=False, allow_unicode=True)
        write_whole(HEAD + text, prepared.work_dir / 'metafile.yml')


def _is_coco(job: Job) -> bool:
    metainfo = job.config.test_dataloader.dataset.get('metainfo') or {}
    classes = metainfo.get('classes', CocoDataset.METAINFO['classes'])
    images = job.settings['data']['test']['images']
    return tuple(classes) == CocoDataset.METAINFO['classes'] and images == VAL2017


def _entry(prepared: PreparedPlan, row: Dict[str, Any]) -> Dict[str, Any]:
    jobs = [job for job in prepared.jobs if job.variant.name == row['name'] and job.result]
    results = [job.result for job in jobs]
    memory = max((read_peak_memory(job.folder / 'train') for job in jobs), default=0)
    hardware = dict.fromkeys(f'{r["processes"]}x {r["hardware"]}' for r in results)
    metadata = {
        'Training Resources': ', '.join(hardware),
        'Training Memory (GB)': round(memory / 1024, 1) or None,  # logged only of GPUs
        'Epochs': prepared.configs[row['name']].train_cfg.get('max_epochs'),
        'Parameters (M)': round(row['parameters'] / 1e6, 2),
        'Seeds': row['seeds'],
    }
    path = Path(find_config(row['config'])).resolve()
    collection = _collection(path)
    shipped = configs_dir().resolve().parent
    return {
        'Name': path.stem,
        **({'In Collection': collection} if collection else {}),
        'Config': str(path.relative_to(shipped) if path.is_relative_to(shipped) else path.name),
        'Metadata': {key: value for key, value in metadata.items() if value is not None},
        'Results': [
            {
                'Task': TASKS[iou_type],
                'Dataset': 'COCO',
                'Metrics': {f'{name} AP': round(100 * row['figures'][iou_type]['AP']['mean'], 1)},
            }
            for iou_type, name in IOU_TYPES.items()
            if (row['figures'].get(iou_type) or {}).get('AP')
        ],
    }


def _collection(config: Path) -> Optional[str]:
    """Return the collection of a shipped config, from the metafile beside it."""
    path = config.parent / 'metafile.yml'
    if not path.is_file():
        return None
    models = yaml.safe_load(path.read_text(encoding='utf-8')).get('Models', ())
    return next((m.get('In Collection') for m in models if m['Name'] == config.stem), None)
