"""Running what may take all memory, or crash, in a process of its own."""

import multiprocessing
import os
import resource
from typing import Any, Callable

MEBIBYTE = 2**20


def run_limited(function: Callable, *args, mebibytes: int = 1536) -> Any:
    """Call a function in a forked process that may take some more memory than this one.

    Args:
        function: The function.
        *args: Its arguments.
        mebibytes: How much more.

    Returns:
        What the function returns.

    Raises:
        Exception: What the function raises.
        AssertionError: If the process dies.
    """
    context = multiprocessing.get_context('fork')
    ours, theirs = context.Pipe(duplex=False)

    def run() -> None:
        with open('/proc/self/statm') as file:
            held = int(file.read().split()[0]) * os.sysconf('SC_PAGE_SIZE')
        limit = held + mebibytes * MEBIBYTE
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            theirs.send((True, function(*args)))
        except Exception as error:
            theirs.send((False, error))

    process = context.Process(target=run)
    process.start()
    theirs.close()
    try:
        good, value = ours.recv()
    except EOFError:
        process.join()
        raise AssertionError(f'the process died with status {process.exitcode}') from None
    process.join()
    if not good:
        raise value
    return value
