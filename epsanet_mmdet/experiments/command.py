"""The command ``epsanet reproduce``."""

import functools
from typing import Any, Dict, Optional, Sequence

from ..config.data import data_paths
from .fingerprint import short_hash
from .interruption import Interrupted
from .launch import PREEMPTED
from .metafile import write_metafile
from .pages import write_page
from .prepare import PreparedPlan, disk_needed, prepare_plan
from .run import run_plan
from .table import to_markdown, write_tables

say = functools.partial(print, flush=True)


def reproduce(
    name: str,
    work_dir: Optional[str] = None,
    changes: Optional[Dict[str, Any]] = None,
    options: Optional[Dict[str, Any]] = None,
    dry_run: bool = False,
    report_only: bool = False,
    minutes: Optional[float] = None,
    only: Optional[Sequence[str]] = None,
) -> int:
    """Run a plan, and write its tables and page.

    Args:
        name: Path, or bare name of a shipped plan.
        work_dir: Output folder.
        changes: Values by dotted key that replace the plan's.
        options: Values of every config by dotted key, like ``--cfg-options``.
        dry_run: Check everything, and list the data and the jobs, without running any.
        report_only: Write the tables and the page of finished jobs, without running any.
        minutes: End after this time, as on SIGTERM.
        only: Names of the variants to train and compare. Default: all.

    Returns:
        The exit status: 0, 1 if a job failed, 75 after an interruption.

    Raises:
        UserError: One line that names what is wrong, and the remedy.
    """
    prepared = prepare_plan(name, work_dir, changes, options, only)
    if dry_run:
        prepared.check_start()
        _describe(prepared)
        return 0
    failures = []
    if not report_only:
        try:
            failures = run_plan(prepared, say, minutes)
        except Interrupted:
            say('interrupted; finished work is kept, and the same command continues')
            return PREEMPTED
    summary = write_tables(prepared)
    write_metafile(prepared, summary)
    write_page(prepared, summary)
    say(f'\n{to_markdown(summary)}')
    say(f'Written to {prepared.work_dir}')
    for failure in failures:
        say(failure)
    return 1 if failures else 0


def _describe(prepared: PreparedPlan) -> None:
    job = prepared.jobs[0]
    for name, described in job.settings['data'].items():
        ann_file = data_paths(job.config[f'{name}_dataloader'].dataset).ann_file
        say(f'{name} data: {described["images"]} images of {ann_file}')
    for i, job in enumerate(prepared.jobs, 1):
        state = 'done' if job.result else 'resumes' if job.begun else 'to do'
        settings = f'settings {short_hash(job.settings)}'
        say(f'job {i} of {len(prepared.jobs)} ({job.name}): {state}, {settings}, {job.folder}')
    needed = disk_needed(prepared.pending, prepared.costs)
    say(f'checkpoints of the jobs to do: about {needed / 1e9:.1f} GB')
