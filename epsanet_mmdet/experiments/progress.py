"""How far the jobs of a plan are, and how long they will still take."""

import heapq
import math
from datetime import timedelta
from pathlib import Path
from statistics import mean
from typing import Optional, Sequence, Tuple

from ..evaluation.training_log import read_last_loss
from .job import Job


def position(job: Job) -> Optional[Tuple[str, float]]:
    """Return the epoch or iteration of a training, and its share of the whole; None before any."""
    entry = read_last_loss(job.folder / 'train')
    epochs, iterations = (job.config.train_cfg.get(key) for key in ('max_epochs', 'max_iters'))
    if entry and iterations:
        return f'iteration {entry["step"]} of {iterations}', entry['step'] / iterations
    if not entry or not epochs or 'epoch' not in entry:
        return None
    loader, images = job.config.train_dataloader, job.settings['data']['train']['images']
    per_epoch = math.ceil(images / (loader.get('batch_size', 1) * job.settings['processes']))
    share = min(1, entry['step'] / (epochs * per_epoch))
    return f'epoch {entry["epoch"]} of {epochs}, loss {entry["loss"]:.2f}', share


def remaining_seconds(
    jobs: Sequence[Job], running: Sequence[Job] = (), slots: int = 1
) -> Optional[float]:
    """Estimate the time that jobs still need.

    Running jobs are extrapolated from their positions; others take the mean time of finished ones.

    Args:
        jobs: All jobs of the plan.
        running: Those that are running now.
        slots: How many run at a time.

    Returns:
        Seconds, or None while no job has a known time.
    """
    unfinished = [job for job in jobs if not job.result]
    spent = {job.name: sum(job.seconds.values()) for job in jobs}
    names = {job.name for job in unfinished}
    expected = {}
    for job in running:
        _, share = position(job) or ('', 0)
        if share > 0.02 and spent[job.name]:
            expected[job.name] = spent[job.name] / share
    known = [spent[job.name] for job in jobs if job.name not in names] or list(expected.values())
    if not known:
        return None
    left = {
        name: max(0, expected.get(name, mean(known)) - spent[name])
        for name in (job.name for job in unfinished)
    }
    ends = [left.pop(job.name, 0) for job in running]  # when each slot becomes free
    ends += [0] * (slots - len(ends))
    heapq.heapify(ends)
    for seconds in left.values():
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends)


def duration(seconds: float) -> str:
    """Return a time as hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))


def last_line(path: Path) -> str:
    """Return the last line of a text file that is not empty, or ``''``."""
    try:
        lines = path.read_text(encoding='utf-8', errors='replace').splitlines()
    except OSError:
        return ''
    return next((line.strip() for line in reversed(lines) if line.strip()), '')
