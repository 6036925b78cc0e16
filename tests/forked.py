"""Functions that run in a process of their own, which may be killed or limited."""

import os
from typing import Callable


def fork(function: Callable[[], None]) -> int:
    """Run a function in a copy of this process, and return the status it ended with.

    Args:
        function: May leave what it did in files.

    Returns:
        0, 1 after an exception, or the negative number of the signal that ended it.
    """
    process = os.fork()
    if not process:
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
