"""Functions run in a forked process, which may be killed or limited."""

import os
from typing import Callable


def fork(function: Callable[[], None]) -> int:
    """Run a function in a copy of this process, and return its exit code.

    Args:
        function: The function; its results can only be files.

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
