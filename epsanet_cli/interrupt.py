"""Ctrl-C while Python imports packages.

An exception could be lost in the compiled code that is being loaded, so the process is ended.
:func:`epsanet_mmdet.utils.command_line.run_command` handles a later Ctrl-C.
"""

import os
import signal
from contextlib import contextmanager
from typing import Iterator


@contextmanager
def exit_on_interrupt() -> Iterator[None]:
    """End the process with one line and status 130 on Ctrl-C, unless it is ignored."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is not signal.default_int_handler:  # shells may ignore it
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _end(number, frame):
    os.write(2, b'interrupted\n')
    os._exit(130)
