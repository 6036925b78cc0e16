"""Ending a plan on signals, or after a time."""

import signal
from contextlib import contextmanager
from typing import Iterator, Optional

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """The plan was interrupted; finished jobs are kept."""


@contextmanager
def interruptible(minutes: Optional[float] = None) -> Iterator[None]:
    """Raise Interrupted on the signals that end a process, so that its jobs can be ended first.

    Args:
        minutes: Also raise it after this time.
    """

    def interrupt(number, frame):
        if minutes:
            signal.setitimer(signal.ITIMER_REAL, 0)  # the jobs are being ended already
        raise Interrupted

    # ignored ones stay ignored: SIGHUP after nohup, SIGINT in the background
    signals = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    if minutes:
        signals.append(signal.SIGALRM)
    earlier = {number: signal.signal(number, interrupt) for number in signals}
    try:
        if minutes:
            signal.setitimer(signal.ITIMER_REAL, 60 * minutes)
        yield
    finally:
        if minutes:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in earlier.items():
            signal.signal(number, handler)
