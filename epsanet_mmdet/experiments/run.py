"""Running a plan: every training and test that is not done yet."""

import errno
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

from mmengine.config import Config

from ..config.python_text import check_names
from .checks import RowCosts, check_disk, check_launcher, check_row, check_weights, row_costs
from .comparison import check_equal
from .fingerprint import describe_data, settings_of
from .job import Job, lock
from .launch import PREEMPTED, queued, start, submit
from .plan import Launcher, Plan
from .plan_file import read_plan
from .progress import duration, position, remaining_seconds
from .settings import resolve_row
from .table import write_tables

POLL = 0.2  # seconds between looks at a running process
SLURM_POLL = 15
END_SECONDS = 100  # for a job that is told to end and saves its state
PROGRESS = 60  # seconds between lines about a running job
CHECKPOINTS = {'default_hooks.checkpoint.max_keep_ckpts': 2}
SIGNALS = (signal.SIGTERM, signal.SIGHUP)

DISK_FULL = tuple(map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)))
Say = Callable[[str], None]


class Interrupted(Exception):
    """The plan was told to end; what is finished is kept."""


class PreparedPlan:
    """A plan with everything read and checked, ready to run.

    Args:
        plan: The plan.
        work_dir: Folder of everything it writes.
        options: Overrides of every config, as of ``--cfg-options``.

    Raises:
        UserError: One line that names what is wrong; nothing was started or written.
    """

    def __init__(
        self, plan: Plan, work_dir: Path, options: Optional[Dict[str, Any]] = None
    ) -> None:
        self.plan, self.work_dir = plan, work_dir
        check_names(str(work_dir.absolute()), '--work-dir')
        self.configs: Dict[str, Config] = {}
        for row in plan.rows:
            config = resolve_row(plan, row, {**CHECKPOINTS, **(options or {})})
            check_row(config)
            self.configs[row.name] = config
        self.notes = {c.name: check_equal(c, self.configs) for c in plan.comparisons}
        self.costs: Dict[str, RowCosts] = {n: row_costs(c) for n, c in self.configs.items()}
        self.jobs = [self._job(row, seed) for seed in plan.seeds for row in plan.rows]
        for job in self.jobs:
            job.check_settings()

    def _job(self, row, seed: int) -> Job:
        config = Config(self.configs[row.name].to_dict())
        data = describe_data(config)
        config.randomness = {**(config.get('randomness') or {}), 'seed': seed}
        settings = settings_of(config, seed, self.plan.launcher.gpus, data)
        return Job(row, seed, self.work_dir / row.name / f'seed{seed}', config, settings)

    @property
    def pending(self) -> List[Job]:
        return [job for job in self.jobs if job.result is None]

    def check_start(self) -> None:
        """Check weights, launcher and disk, which only jobs to come need.

        Raises:
            UserError: One line that names what is missing.
        """
        pending = self.pending
        if not pending:
            return
        check_launcher(self.plan.launcher)
        for name in dict.fromkeys(job.row.name for job in pending):
            check_weights(self.configs[name])
        check_disk(self.work_dir, pending, self.costs)


def prepare_plan(
    name: str,
    work_dir: Optional[str] = None,
    changes: Optional[Dict[str, Any]] = None,
    options: Optional[Dict[str, Any]] = None,
) -> PreparedPlan:
    """Read and check a plan.

    Args:
        name: Path, or bare name of a shipped plan.
        work_dir: Folder of everything it writes; ``work_dirs/`` and the plan's name if not given.
        changes: Values by dotted key, such as ``data.root``, that replace the file's.
        options: Overrides of every config, as of ``--cfg-options``.

    Raises:
        UserError: One line that names what is wrong, and the remedy.
    """
    plan = read_plan(name, changes)
    return PreparedPlan(plan, Path(work_dir or f'work_dirs/{plan.name}'), options)


def run_plan(prepared: PreparedPlan, say: Say = print) -> List[str]:
    """Do every job that is not done, and write the tables after each.

    A job that was interrupted resumes from its last checkpoint. A job that fails does not keep
    the others from running, but for a full disk.

    Args:
        prepared: The plan.
        say: Called with lines about the progress.

    Returns:
        A line about each job that failed.

    Raises:
        Interrupted: On SIGINT, SIGTERM and SIGHUP; calling again continues.
        UserError: If something was wrong before a job started, or the tables cannot be written.
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
        title = f'job {i} of {len(prepared.jobs)} ({job.name})'
        if job.result is not None:
            continue

        def tell(text: str, running=(), title=title) -> None:
            left = remaining_seconds(prepared.jobs, running)
            expected = '' if left is None else f', about {duration(left)} remaining'
            say(f'{title}: {text}, {duration(time.monotonic() - started)} elapsed{expected}')

        failure = _run_one(job, prepared.plan.launcher, tell)
        if failure is not None:
            failures.append(f'{title} failed: {failure}; see {job.folder / "console.log"}')
            say(failures[-1])
            if any(words in failure for words in DISK_FULL):
                say('the disk is full, so that no other job is started')
                break
        else:
            tell('done')
            write_tables(prepared)
    return failures


def _run_one(job: Job, launcher: Launcher, tell: Callable) -> Optional[str]:
    """Run a job to its end; give the last line of its log if it fails."""
    taken = lock(job.folder)
    try:
        if job.result is not None:  # another call was faster
            return None
        job.prepare()
        tell('resumes' if job.begun else 'starts', (job,))
        process = start(job, launcher, taken)
        status = _wait(process, job, tell)
    finally:
        os.close(taken)
    if status == 0 and job.result is not None:
        return None
    if status == PREEMPTED:
        raise Interrupted
    return _last_line(job.folder / 'console.log') or f'exit status {status}'


def _tell_position(job: Job, tell: Callable) -> None:
    where = position(job)
    if 'test' in job.seconds():
        tell('testing', (job,))
    elif where:
        tell(where.text, (job,))


def _wait(process: subprocess.Popen, job: Job, tell: Callable) -> int:
    """Wait for a process; when this one is interrupted, end it and wait until it has."""
    told = time.monotonic()
    try:
        while process.poll() is None:
            time.sleep(POLL)
            if time.monotonic() - told > PROGRESS:
                told = time.monotonic()
                _tell_position(job, tell)
        return process.returncode
    except BaseException:
        process.terminate()
        tell('ends and saves its state')
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
        number = submit(job, prepared.plan.launcher)
        say(f'{job.name}: Slurm job {number}')
    if waiting:
        say('waiting for them; they continue when this is ended, and the same command waits again')
    failures, started, told = [], time.monotonic(), 0.0
    while waiting:
        before = len(waiting)
        for job in [job for job in waiting if not queued(job)]:
            waiting.remove(job)
            if job.result is None:
                log = job.folder / 'console.log'
                failures.append(f'{job.name} failed: {_last_line(log) or "no output"}; see {log}')
                say(failures[-1])
        if len(waiting) < before or time.monotonic() - told > PROGRESS:
            told = time.monotonic()
            done = sum(job.result is not None for job in prepared.jobs)
            say(
                f'{done} of {len(prepared.jobs)} jobs done, {len(waiting)} at Slurm, '
                f'{duration(told - started)} elapsed'
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
    """Turn the signals that end a process into an exception, so that jobs are ended first."""

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
