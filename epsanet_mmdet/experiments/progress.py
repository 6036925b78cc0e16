"""How far a training is, from what it logs."""

import math
from typing import List, NamedTuple, Optional, Sequence

from ..evaluation.training_log import read_last_loss
from .job import Job


class Position(NamedTuple):
    """Where a training is: its epoch or iteration, and the share of all."""

    text: str
    share: float


def position(job: Job) -> Optional[Position]:
    """Return how far a job's training is; None before it logged anything."""
    entry = read_last_loss(job.folder / 'train')
    return _position(entry, job) if entry else None


def _position(entry: dict, job: Job) -> Optional[Position]:
    epochs, iterations = (job.config.train_cfg.get(key) for key in ('max_epochs', 'max_iters'))
    if iterations:
        return Position(f'iteration {entry["step"]} of {iterations}', entry['step'] / iterations)
    if not epochs or 'epoch' not in entry:
        return None
    loader, images = job.config.train_dataloader, job.settings['data']['train']['images']
    an_epoch = math.ceil(images / (loader.get('batch_size', 1) * job.settings['processes']))
    share = min(1, entry['step'] / (epochs * an_epoch))
    return Position(f'epoch {entry["epoch"]} of {epochs}, loss {entry["loss"]:.2f}', share)


def remaining_seconds(jobs: Sequence[Job], running: Sequence[Job] = ()) -> Optional[float]:
    """Estimate what jobs still need, each as long as the mean of those that are known.

    Returns:
        Seconds if they run one after another; None while nothing is known.
    """
    spent = {job.folder: sum(job.seconds().values()) for job in jobs}
    whole: List[float] = [spent[job.folder] for job in jobs if job.result]
    expected = {}
    for job in running:
        where = position(job)
        if where and where.share > 0.02 and spent[job.folder]:
            expected[job.folder] = spent[job.folder] / where.share
    known = whole or list(expected.values())
    if not known:
        return None
    mean = sum(known) / len(known)
    return sum(
        max(0, expected.get(job.folder, mean) - spent[job.folder]) for job in jobs if not job.result
    )


def duration(seconds: float) -> str:
    """Write a time as hours, minutes and seconds."""
    seconds = round(seconds)
    return f'{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}'
