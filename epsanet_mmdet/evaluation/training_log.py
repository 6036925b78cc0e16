"""What mmengine logged during a training."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional


@dataclass
class TrainingLog:
    """Logged values, by name and then by step.

    Args:
        losses: By iteration.
        metrics: Validation metrics, by epoch or iteration.
        metrics_unit: Which of the two.
    """

    losses: Dict[str, Dict[int, float]] = field(default_factory=dict)
    metrics: Dict[str, Dict[int, float]] = field(default_factory=dict)
    metrics_unit: str = 'iteration'


def read_training_log(work_dir: str) -> Optional[TrainingLog]:
    """Read ``scalars.json`` of all runs in a work folder; None if there are none.

    Where a run resumes or repeats an earlier one, its values replace the earlier from there on.
    """
    log, epochs = TrainingLog(), 0
    for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        losses, metrics = {}, {}
        for entry in _entries(path):
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
        _continue(log.losses, losses)
        _continue(log.metrics, metrics)
    steps = [step for values in log.metrics.values() for step in values]
    if steps and max(steps) <= epochs:
        log.metrics_unit = 'epoch'
    return log if log.losses or log.metrics else None


def _entries(path: Path) -> List[dict]:
    entries = []
    for line in path.read_text(encoding='utf-8').splitlines():
        try:
            entry = json.loads(line)
        except ValueError:  # the last line of a run that was killed
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries


def _continue(earlier: Dict[str, Dict[int, float]], later: Dict[str, Dict[int, float]]) -> None:
    if not later:
        return
    start = min(min(values) for values in later.values())
    for values in earlier.values():
        for step in [step for step in values if step >= start]:
            del values[step]
    for name, values in later.items():
        earlier.setdefault(name, {}).update(values)
