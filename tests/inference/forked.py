"""Functions that run in a process of their own, which may be killed or limited."""

import os
from typing import Callable, Optional


def fork(function: Callable[[], None], meanwhile: Optional[Callable[[int], None]] = None) -> int:
    """Run a function in a copy of this process, and return the status it ended with.

    Args:
        function: May leave what it did in files.
        meanwhile: Called here with the other process's id.

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
    if meanwhile is not None:
        meanwhile(process)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
