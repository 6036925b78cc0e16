"""Deferred handling of Ctrl-C and SIGTERM, so that the current work is finished."""

import signal
import sys
import threading
from contextlib import contextmanager
from typing import Iterator, List, NoReturn


@contextmanager
def deferred_signals() -> Iterator[List[int]]:
    """Record the first Ctrl-C or SIGTERM within a ``with`` block; the second acts as usual.

    Outside the main thread, where Python allows no signal handlers, nothing is recorded.

    Yields:
        A list to which the signal is appended.
    """
    received: List[int] = []
    handlers = {}

    def restore() -> None:
        while handlers:
            signal.signal(*handlers.popitem())

    def record(number: int, _) -> None:
        received.append(number)
        restore()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            handlers[number] = signal.signal(number, record)
    try:
        yield received
    finally:
        restore()


def end_by_signal(number: int, message: str) -> NoReturn:
    """End the program after a signal, once its results are written.

    Args:
        number: The signal.
        message: One line on what was done.

    Raises:
        KeyboardInterrupt: After Ctrl-C, with the message.
        SystemExit: After another signal, with status 128 + ``number``.
    """
    if number == signal.SIGINT:
        raise KeyboardInterrupt(message)
    print(message, file=sys.stderr)
    raise SystemExit(128 + number)
