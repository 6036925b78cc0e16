"""The published figures, with their sources."""

import functools
import json
from pathlib import Path
from typing import Dict, List

from ..errors import ConfigError
from ..utils.text import suggestion

FILE = Path(__file__).with_name('published.json')
FIGURES = {
    'AP': 'ap',
    'AP50': 'ap50',
    'AP75': 'ap75',
    'AP small': 'aps',
    'AP medium': 'apm',
    'AP large': 'apl',
}


@functools.lru_cache
def published() -> Dict:
    """Read all figures: AP in percent, parameters in millions, FLOPs in 10^9."""
    return json.loads(FILE.read_text(encoding='utf-8'))


def published_keys() -> List[str]:
    """List the keys of the COCO rows, such as ``mask-rcnn/senet50``."""
    return [_key(row) for row in published()['coco_box']]


def published_row(key: str) -> Dict:
    """Return a row of the published COCO tables.

    Args:
        key: Detector and backbone, such as ``mask-rcnn/senet50``.

    Returns:
        ``params``, ``flops`` and ``source``, and under ``bbox`` and ``segm`` the AP by the names
        that :mod:`epsanet_mmdet.evaluation.metrics` uses, 0 to 1; None where not published.

    Raises:
        ConfigError: If there is none; it names the closest ones.
    """
    boxes = {_key(row): row for row in published()['coco_box']}
    masks = {_key(row): row for row in published()['coco_mask']}
    if key not in boxes:
        raise ConfigError(f"nothing is published as '{key}'; {suggestion(key, boxes, most=3)}")
    found = {'params': boxes[key]['params'], 'flops': boxes[key]['flops']}
    found['source'] = '; '.join(
        published()['sources'][name] for name in boxes[key]['source'].split(', ')
    )
    for kind, rows in (('bbox', boxes), ('segm', masks)):
        if key in rows:
            found[kind] = {name: _share(rows[key][column]) for name, column in FIGURES.items()}
    return found


def _key(row: Dict) -> str:
    return f'{row["detector"]}/{row["backbone"]}'


def _share(percent):
    return None if percent is None else percent / 100
