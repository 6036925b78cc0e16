"""Recorded attention of several images, layer by layer."""

import csv
import io
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Sequence, Tuple

import numpy as np

from ..utils.text import csv_row
from .recording import Gate, Record

WHOLE = 'whole image'
SIZES = {'small': 32**2, 'medium': 96**2, 'large': float('inf')}  # COCO's, in pixels of the image
GROUPS = (WHOLE, *SIZES)
COLUMNS = ('layer', 'kernel_size', 'branch', 'pooled_over', 'count', 'mean_weight', 'deviation')

Scale = Tuple[str, Tuple[int, ...]]  # a layer and the kernel sizes of its branches


def object_size(box: Sequence[float]) -> str:
    """Return COCO's size of an object by the area of its box: left, top, right and bottom."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    return next(name for name, limit in SIZES.items() if area < limit)


@dataclass
class Summary:
    """Attention of images, collected with :meth:`add`.

    Args:
        scales: Weights of the scales by PSA module and group, a row per image or object.
        channels: Weights of the channels of each layer, a row per image.
        gates: A record of each of these layers, for its name and kind.
    """

    scales: Dict[Scale, Dict[str, List[np.ndarray]]] = field(default_factory=dict)
    channels: Dict[str, List[np.ndarray]] = field(default_factory=dict)
    gates: Dict[str, Gate] = field(default_factory=dict)

    def add(self, record: Record, sizes: Sequence[str]) -> None:
        """Add an image.

        Args:
            record: What its layers computed.
            sizes: Size of each of its objects, in the order of the record.
        """
        for scales in record.scales:
            groups = self.scales.setdefault((scales.layer, scales.kernel_sizes), {})
            for group, weights in zip((WHOLE, *sizes), (scales.image, *scales.objects)):
                groups.setdefault(group, []).append(weights.numpy())
        for gate in record.gates:
            if gate.channels is not None:
                self.gates[gate.layer] = gate
                self.channels.setdefault(gate.layer, []).append(gate.channels.numpy())

    def counts(self) -> Dict[str, int]:
        """Return the number of images, and of objects of each size that occurs."""
        groups = next(iter(self.scales.values()), {})
        return {group: len(groups[group]) for group in GROUPS if group in groups}

    def means(self, kernel_sizes: Tuple[int, ...]) -> Dict[str, Dict[str, np.ndarray]]:
        """Return the mean weights, (branches,), by group and layer, of the modules of one kind."""
        return {
            group: {
                layer: np.mean(groups[group], axis=0)
                for (layer, sizes), groups in self.scales.items()
                if sizes == kernel_sizes
            }
            for group in self.counts()
        }

    def csv(self) -> str:
        """Return a table of the weights of the scales: mean and sample deviation."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator='\n')
        writer.writerow(COLUMNS)
        for row in self._rows():
            writer.writerow(csv_row(row))
        return text.getvalue()

    def _rows(self) -> Iterator[tuple]:
        for (layer, sizes), groups in self.scales.items():
            for group in filter(groups.get, GROUPS):
                rows = np.array(groups[group])
                for branch, size in enumerate(sizes):
                    own = rows[:, branch]
                    spread = f'{own.std(ddof=1):.5f}' if len(own) > 1 else ''
                    yield layer, size, branch + 1, group, len(own), f'{own.mean():.5f}', spread


def short_names(names: Sequence[str]) -> List[str]:
    """Return dotted names without the parts that all of them begin or end with."""
    parts = [name.split('.') for name in names]
    shortest = min(map(len, parts), default=0)
    begin = end = 0
    if len(set(names)) > 1:
        while begin < shortest - 1 and len({part[begin] for part in parts}) == 1:
            begin += 1
        while end < shortest - begin - 1 and len({part[-1 - end] for part in parts}) == 1:
            end += 1
    return ['.'.join(part[begin : len(part) - end]) for part in parts]
