"""Running a plan: the training and test of every job that is not done yet."""

import time
from typing import Callable, List, Optional

from .interruption import interruptible
from .launch import queued, submit
from .local import PROGRESS, LocalRun
from .prepare import PreparedPlan
from .progress import duration, last_line
from .table import write_tables

SLURM_POLL = 15
Say = Callable[[str], None]


def run_plan(
    prepared: PreparedPlan, say: Say = print, minutes: Optional[float] = None
) -> List[str]:
    """Run every job that is not done, and write the tables after each.

    An interrupted job resumes from its last checkpoint. After a failed job the others still run,
    unless the disk is full.

    Args:
        prepared: The plan.
        say: Called with lines about the progress.
        minutes: End after this time, as on SIGTERM.

    Returns:
        A line about each job that failed.

    Raises:
        Interrupted: On SIGINT, SIGTERM and SIGHUP, and after the minutes; calling again continues.
        UserError: If something is wrong before a job starts, or the tables cannot be written.
    """
    prepared.check_start()
    write_tables(prepared)
    with interruptible(minutes):
        if prepared.plan.launcher.type == 'slurm':
            return _run_at_slurm(prepared, say)
        return LocalRun(prepared, say).run()


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
                reason = last_line(console) or 'no output'
                failures.append(f'{job.name} failed: {reason}; see {console}')
                say(failures[-1])
        if len(waiting) < before or time.monotonic() - reported > PROGRESS:
            reported = time.monotonic()
            done = sum(job.result is not None for job in prepared.jobs)
            say(
                f'{done} of {len(prepared.jobs)} jobs done, {len(waiting)} in Slurm, '
                f'{duration(reported - started)} elapsed'
            )
            write_tables(prepared)
        if waiting:
            time.sleep(SLURM_POLL)
    return failures
