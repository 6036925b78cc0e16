"""What mmengine logs: losses, validation metrics and times of a training, and times of a test."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Union

TAIL = 4096  # bytes that hold at least one whole entry

Curve = Dict[int, float]  # logged values by step


@dataclass
class TrainingLog:
    """Logged values, by name and step.

    Args:
        losses: Losses by iteration.
        metrics: Validation metrics by epoch or iteration.
        metrics_unit: ``'epoch'`` or ``'iteration'``.
    """

    losses: Dict[str, Curve] = field(default_factory=dict)
    metrics: Dict[str, Curve] = field(default_factory=dict)
    metrics_unit: str = 'iteration'


def read_training_log(work_dir: Union[str, Path]) -> Optional[TrainingLog]:
    """Read and join the logs of all runs in a work folder; return None if there are none.

    The values of a run that resumes or repeats an earlier one replace those of the earlier run
    from its first step on.
    """
    log, epochs = TrainingLog(), 0
    for path in _log_files(work_dir):
        losses, metrics = {}, {}
        for entry in _entries(path.read_text(encoding='utf-8')):
            step = entry.get('step')
            if not isinstance(step, int):
                continue
            epochs = max(epochs, entry.get('epoch', 0))
            for name, value in entry.items():
                if not isinstance(value, (int, float)):
                    continue
                if 'loss' in name:
                    losses.setdefault(name, {})[step] = value
                elif '/' in name:
                    metrics.setdefault(name, {})[step] = value
        _join(log.losses, losses)
        _join(log.metrics, metrics)
    steps = [step for values in log.metrics.values() for step in values]
    if steps and max(steps) <= epochs:
        log.metrics_unit = 'epoch'
    return log if log.losses or log.metrics else None


def read_last_loss(work_dir: Union[str, Path]) -> Optional[dict]:
    """Return the newest logged entry with a loss, from the end of the log; None if there is none.

    Besides ``loss`` it has ``step`` and, in trainings by epoch, ``epoch``.
    """
    for path in reversed(_log_files(work_dir)):
        with open(path, 'rb') as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            for entry in reversed(_entries(file.read().decode(errors='replace'))):
                if 'loss' in entry and 'step' in entry:
                    return entry
    return None


def read_iteration_seconds(work_dir: Union[str, Path]) -> List[float]:
    """Return the logged times of training iterations in seconds, each a mean since the last one."""
    return [e['time'] for e in _all_entries(work_dir) if 'loss' in e and 'time' in e]


def read_test_seconds(work_dir: Union[str, Path]) -> Optional[float]:
    """Return the mean time of an iteration of the newest test in seconds, without loading data.

    It includes everything from the images to boxes and encoded masks. None if there is no log.
    """
    for path in sorted(Path(work_dir).glob('*/*.json'), reverse=True):
        with suppress(ValueError):  # a file cut off when the run was killed
            logged = json.loads(path.read_text(encoding='utf-8'))
            if isinstance(logged, dict) and {'time', 'data_time'} <= logged.keys():
                return logged['time'] - logged['data_time']
    return None


def read_peak_memory(work_dir: Union[str, Path]) -> float:
    """Return the largest logged memory of a GPU in MiB, or 0 for a training on CPUs."""
    return max((e['memory'] for e in _all_entries(work_dir) if 'memory' in e), default=0)


def _log_files(work_dir: Union[str, Path]) -> List[Path]:
    return sorted(Path(work_dir).glob('*/vis_data/scalars.json'))


def _all_entries(work_dir: Union[str, Path]) -> Iterator[dict]:
    for path in _log_files(work_dir):
        yield from _entries(path.read_text(encoding='utf-8'))


def _entries(text: str) -> List[dict]:
    entries = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:  # a line cut off when the run was killed
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries


def _join(earlier: Dict[str, Curve], later: Dict[str, Curve]) -> None:
    if not later:
        return
    start = min(min(values) for values in later.values())
    for values in earlier.values():
        for step in [step for step in values if step >= start]:
            del values[step]
    for name, values in later.items():
        earlier.setdefault(name, {}).update(values)
