"""Running code that may exhaust memory or crash in its own process."""

import multiprocessing
import os
import resource
from typing import Any, Callable

MEBIBYTE = 2**20


def run_limited(function: Callable, *args, mebibytes: int = 1536) -> Any:
    """Call a function in a fork of this process with limited memory.

    Args:
        function: The function.
        *args: Its arguments.
        mebibytes: Memory that it may take.

    Returns:
        The result of the function.

    Raises:
        Exception: Any error of the function.
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
