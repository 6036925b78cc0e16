"""Exit with one line and status 130 on Ctrl-C while Python is still importing packages.

Imports take seconds, so each tool imports this module first.
:func:`epsanet_mmdet.utils.command_line.run_command` handles a later Ctrl-C.
"""

import os
import signal


def end(number, frame):
    os.write(2, b'interrupted\n')
    os._exit(130)


if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # shells may ignore it
    signal.signal(signal.SIGINT, end)
