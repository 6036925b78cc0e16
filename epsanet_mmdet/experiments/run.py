"""Running a plan: the training and test of every job that is not done yet."""

import errno
import math
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import mean
from typing import Callable, Iterator, List, Optional, Sequence, Tuple

from ..evaluation.training_log import read_last_loss
from .job import Job, lock
from .launch import PREEMPTED, queued, start, submit
from .plan import Launcher
from .prepare import PreparedPlan
from .table import write_tables

POLL = 0.2  # seconds between looks at a running process
SLURM_POLL = 15
END_SECONDS = 100  # for a job to save its state and end
PROGRESS = 60  # seconds between lines about a running job
SIGNALS = (signal.SIGTERM, signal.SIGHUP)
DISK_FULL = tuple(map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)))
Say = Callable[[str], None]


class Interrupted(Exception):
    """The plan was interrupted; finished jobs are kept."""


def run_plan(prepared: PreparedPlan, say: Say = print) -> List[str]:
    """Run every job that is not done, and write the tables after each.

    An interrupted job resumes from its last checkpoint. After a failed job the others still run,
    unless the disk is full.

    Args:
        prepared: The plan.
        say: Called with lines about the progress.

    Returns:
        A line about each job that failed.

    Raises:
        Interrupted: On SIGINT, SIGTERM and SIGHUP; calling again continues.
        UserError: If something is wrong before a job starts, or the tables cannot be written.
    """
    prepared.check_start()
    write_tables(prepared)
    with _signals_interrupt():
        if prepared.plan.launcher.type == 'slurm':
            return _run_at_slurm(prepared, say)
        return _run_here(prepared, say)


def _run_here(prepared: PreparedPlan, say: Say) -> List[str]:
    failures, started = [], time.monotonic()
    for i, job in enumerate(prepared.jobs, 1):
        if job.result is not None:
            continue
        title = f'job {i} of {len(prepared.jobs)} ({job.name})'

        def report(text: str, running: Optional[Job] = None, title=title) -> None:
            left = remaining_seconds(prepared.jobs, running)
            expected = '' if left is None else f', about {_duration(left)} remaining'
            say(f'{title}: {text}, {_duration(time.monotonic() - started)} elapsed{expected}')

        failure = _run_one(job, prepared.plan.launcher, report)
        if failure is None:
            report('done')
            write_tables(prepared)
            continue
        failures.append(f'{title} failed: {failure}; see {job.folder / "console.log"}')
        say(failures[-1])
        if any(words in failure for words in DISK_FULL):
            say('the disk is full; no other job is started')
            break
    return failures


def _run_one(job: Job, launcher: Launcher, report: Callable) -> Optional[str]:
    """Run a job to its end. Return the last line of its log if it fails, else None."""
    descriptor = lock(job.folder)
    try:
        if job.result is not None:  # another process was faster
            return None
        job.prepare()
        report('resumes' if job.begun else 'starts', job)
        status = _wait(start(job, launcher, descriptor), job, report)
    finally:
        os.close(descriptor)
    if status == 0 and job.result is not None:
        return None
    if status == PREEMPTED:
        raise Interrupted
    return _last_line(job.folder / 'console.log') or f'exit status {status}'


def _wait(process: subprocess.Popen, job: Job, report: Callable) -> int:
    """Return the exit status of a process; if this one is interrupted, end it first."""
    reported = time.monotonic()
    try:
        while process.poll() is None:
            time.sleep(POLL)
            if time.monotonic() - reported > PROGRESS:
                reported, where = time.monotonic(), _position(job)
                if 'test' in job.seconds:
                    report('testing', job)
                elif where:
                    report(where[0], job)
        return process.returncode
    except BaseException:
        process.terminate()
        report('ends and saves its state')
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


def _run_at_slurm(prepared: PreparedPlan, say: Say) -> List[str]:
    waiting = prepared.pending
    for job in waiting:
        if not queued(job):
            job.prepare()
        say(f'{job.name}: Slurm job {submit(job, prepared.plan.launcher)}')
    if waiting:
        say('waiting for the jobs; they continue without this command, which you can repeat')
    failures, started, reported = [], time.monotonic(), 0.0
    while waiting:
        before = len(waiting)
        for job in [job for job in waiting if not queued(job)]:
            waiting.remove(job)
            if job.result is None:
                console = job.folder / 'console.log'
                reason = _last_line(console) or 'no output'
                failures.append(f'{job.name} failed: {reason}; see {console}')
                say(failures[-1])
        if len(waiting) < before or time.monotonic() - reported > PROGRESS:
            reported = time.monotonic()
            done = sum(job.result is not None for job in prepared.jobs)
            say(
                f'{done} of {len(prepared.jobs)} jobs done, {len(waiting)} in Slurm, '
                f'{_duration(reported - started)} elapsed'
            )
            write_tables(prepared)
        if waiting:
            time.sleep(SLURM_POLL)
    return failures


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding='utf-8', errors='replace').splitlines()
    except OSError:
        return ''
    return next((line.strip() for line in reversed(lines) if line.strip()), '')


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Raise Interrupted on the signals that end a process, so that its job can be ended first."""

    def interrupt(number, frame):
        raise Interrupted

    earlier = {number: signal.signal(number, interrupt) for number in SIGNALS}
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _position(job: Job) -> Optional[Tuple[str, float]]:
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


def remaining_seconds(jobs: Sequence[Job], running: Optional[Job] = None) -> Optional[float]:
    """Estimate the time that jobs still need, one after another.

    The running job is extrapolated from its position; others take the mean time of finished ones.

    Args:
        jobs: All jobs of the plan.
        running: The one that is training now.

    Returns:
        Seconds, or None while neither is known.
    """
    spent = {job.name: sum(job.seconds.values()) for job in jobs}
    finished = [spent[job.name] for job in jobs if job.result]
    expected = {}
    if running:
        _, share = _position(running) or ('', 0)
        if share > 0.02 and spent[running.name]:
            expected[running.name] = spent[running.name] / share
    known = finished or list(expected.values())
    if not known:
        return None
    left = (expected.get(j.name, mean(known)) - spent[j.name] for j in jobs if not j.result)
    return sum(max(0, seconds) for seconds in left)


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
