"""The published results on COCO, with their sources."""

import functools
import json
from pathlib import Path
from typing import Dict

from ..errors import ConfigError
from ..utils.text import suggestion

FILE = Path(__file__).with_name('published.json')
COLUMNS = {
    'AP': 'ap',
    'AP50': 'ap50',
    'AP75': 'ap75',
    'AP small': 'aps',
    'AP medium': 'apm',
    'AP large': 'apl',
}


@functools.lru_cache
def read_published() -> Dict[str, Dict]:
    """Read all published results by detector and backbone, such as ``mask-rcnn/senet50``.

    Returns:
        For each key ``params`` (in millions), ``flops`` (in 10^9) and ``source``, and under
        ``bbox`` and ``segm`` the AP from 0 to 1 by the names that
        :mod:`epsanet_mmdet.evaluation.metrics` uses; None where not published.
    """
    content = json.loads(FILE.read_text(encoding='utf-8'))
    results: Dict[str, Dict] = {}
    for iou_type, rows in (('bbox', content['coco_box']), ('segm', content['coco_mask'])):
        for row in rows:
            entry = results.setdefault(f'{row["detector"]}/{row["backbone"]}', {})
            if iou_type == 'bbox':
                sources = (content['sources'][name] for name in row['source'].split(', '))
                entry.update(params=row['params'], flops=row['flops'], source='; '.join(sources))
            entry[iou_type] = {
                name: None if row[column] is None else row[column] / 100
                for name, column in COLUMNS.items()
            }
    return results


def published_results(key: str) -> Dict:
    """Return the published results of a detector and backbone; see :func:`read_published`.

    Raises:
        ConfigError: If there are none; it names the closest ones.
    """
    results = read_published()
    if key not in results:
        raise ConfigError(f"nothing is published as '{key}'; {suggestion(key, results, most=3)}")
    return results[key]
