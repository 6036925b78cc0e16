"""Running the jobs of a plan on this machine, several at a time."""

import errno
import os
import subprocess
import time
from dataclasses import dataclass
from typing import Callable, List

from .devices import job_environment, least_used, visible_gpus
from .interruption import Interrupted
from .job import LOCK_SECONDS, Job, Locked, lock
from .launch import PREEMPTED, start
from .prepare import PreparedPlan
from .progress import duration, last_line, position, remaining_seconds
from .table import write_tables

POLL = 0.2  # seconds between looks at the running processes
END_SECONDS = 100  # for jobs to save their states and end
PROGRESS = 60  # seconds between lines about a running job
DISK_FULL = tuple(map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)))


@dataclass
class RunningJob:
    """A job and its process.

    Args:
        title: Its number and name.
        job: The job.
        process: The process, which also holds the lock.
        lock: Descriptor of the lock of its folder.
        gpus: Its GPUs.
        reported: When a line about it was last written.
    """

    title: str
    job: Job
    process: subprocess.Popen
    lock: int
    gpus: List[str]
    reported: float


class LocalRun:
    """The jobs of a plan that wait and that run.

    Args:
        prepared: The plan.
        say: Called with lines about the progress.
    """

    def __init__(self, prepared: PreparedPlan, say: Callable[[str], None]) -> None:
        self.prepared, self.say, self.launcher = prepared, say, prepared.plan.launcher
        self.waiting = {
            f'job {i} of {len(prepared.jobs)} ({job.name})': job
            for i, job in enumerate(prepared.jobs, 1)
            if job.result is None
        }
        self.running: List[RunningJob] = []
        self.failures: List[str] = []
        self.gpus = visible_gpus()
        self.started = self.active = time.monotonic()

    def run(self) -> List[str]:
        """Run the jobs to their end; if this process is interrupted, end them first.

        Returns:
            A line about each job that failed.
        """
        try:
            while self.waiting or self.running:
                self._start_jobs()
                time.sleep(POLL)
                for running in list(self.running):
                    if running.process.poll() is not None:
                        self._finish(running)
                    elif time.monotonic() - running.reported > PROGRESS:
                        self._report_position(running)
        except BaseException:
            self._end_jobs()
            raise
        return self.failures

    def _start_jobs(self) -> None:
        """Start jobs while there is room, without those that another process is running."""
        for title, job in list(self.waiting.items()):
            if len(self.running) == self.launcher.jobs:
                break
            try:
                descriptor = lock(job.folder, seconds=0)
            except Locked:
                if time.monotonic() - self.active > LOCK_SECONDS:
                    raise
                continue
            del self.waiting[title]
            self.active = time.monotonic()
            if job.result is None:
                self._start(title, job, descriptor)
            else:  # another process was faster
                os.close(descriptor)
                self._report_done(title)
        if self.running:
            self.active = time.monotonic()

    def _start(self, title: str, job: Job, descriptor: int) -> None:
        try:
            job.prepare()
            begun = job.begun
            used = (gpu for running in self.running for gpu in running.gpus)
            gpus = least_used(self.gpus, used, self.launcher.gpus)
            process = start(job, self.launcher, descriptor, job_environment(self.launcher, gpus))
        except BaseException:
            os.close(descriptor)
            raise
        self.running.append(RunningJob(title, job, process, descriptor, gpus, time.monotonic()))
        where = f' on GPU {",".join(gpus)}' if gpus else ''
        self._report(title, f'{"resumes" if begun else "starts"}{where}')

    def _finish(self, running: RunningJob) -> None:
        self.running.remove(running)
        os.close(running.lock)
        status, job = running.process.returncode, running.job
        if status == PREEMPTED:
            raise Interrupted
        if status == 0 and job.result is not None:
            self._report_done(running.title)
            return
        console = job.folder / 'console.log'
        reason = last_line(console) or f'exit status {status}'
        self.failures.append(f'{running.title} failed: {reason}; see {console}')
        self.say(self.failures[-1])
        if any(words in reason for words in DISK_FULL):
            self.say('the disk is full; no other job is started')
            self.waiting.clear()

    def _end_jobs(self) -> None:
        for running in self.running:
            running.process.terminate()
        for running in self.running:
            self._report(running.title, 'ends and saves its state')
        deadline = time.monotonic() + END_SECONDS
        for running in self.running:
            try:
                running.process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()
            os.close(running.lock)

    def _report_position(self, running: RunningJob) -> None:
        running.reported, where = time.monotonic(), position(running.job)
        if 'test' in running.job.seconds:
            self._report(running.title, 'testing')
        elif where:
            self._report(running.title, where[0])

    def _report_done(self, title: str) -> None:
        self._report(title, 'done')
        write_tables(self.prepared)

    def _report(self, title: str, text: str) -> None:
        running = [running.job for running in self.running]
        left = remaining_seconds(self.prepared.jobs, running, self.launcher.jobs)
        expected = '' if left is None else f', about {duration(left)} remaining'
        elapsed = duration(time.monotonic() - self.started)
        self.say(f'{title}: {text}, {elapsed} elapsed{expected}')
