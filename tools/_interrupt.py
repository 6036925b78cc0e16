"""Ctrl-C while Python still loads packages, which takes seconds: one line and status 130.

Each tool imports this first. :func:`epsanet_mmdet.command_line.run_command` takes over then.
"""

import os
import signal


def end(number, frame):
    os.write(2, b'interrupted\n')
    os._exit(130)


if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # or a shell has it ignored
    signal.signal(signal.SIGINT, end)
