"""The entry point of every command: errors are printed as one line, with --debug as a traceback."""

import atexit
import os
import os.path as osp
import sys
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional

from torch import distributed

from ..errors import UserError
from .storage import WRITING_ONLY, storage_error
from .terminal import guard_terminal
from .text import printable

INTERRUPTED = 130  # 128 + SIGINT, the status that shells report
DEBUG = '--debug'
LONGEST = 1000  # characters of a message


def run_command(main: Callable, *args, **kwargs) -> Any:
    """Run a command, and escape control characters in its output.

    Args:
        main: The command. ``--debug`` is removed from the command line that it parses.
        *args: Passed to ``main``.
        **kwargs: Passed to ``main``.

    Returns:
        The result of ``main``.

    Raises:
        SystemExit: With one line and status 1 after an error, and with status 130 after Ctrl-C.
            With ``--debug`` the exceptions themselves are raised.
    """
    debug = DEBUG in sys.argv[1:]
    sys.argv[1:] = [argument for argument in sys.argv[1:] if argument != DEBUG]
    guard_terminal()
    try:
        with _exit_of_gloo():
            return main(*args, **kwargs)
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            raise
        if isinstance(error, KeyboardInterrupt):
            print(str(error) or 'interrupted', file=sys.stderr)
            sys.exit(INTERRUPTED)
        sys.exit(f'error: {printable(describe(error), LONGEST)}')


@contextmanager
def _exit_of_gloo() -> Iterator[None]:
    """End a process of a gloo group with its status, where Python's shutdown would often abort it.

    In torch 2.13, threads that still run then end one of four such processes with SIGABRT, so that
    launchers report a failure.
    """
    status = 0
    try:
        yield
    except SystemExit as error:
        status = error.code or 0
        if not isinstance(status, int) or not _is_in_gloo_group():
            raise
    if _is_in_gloo_group():
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _is_in_gloo_group() -> bool:
    return distributed.is_initialized() and distributed.get_backend() == 'gloo'


@contextmanager
def step(what: str, file: Optional[str] = None) -> Iterator[None]:
    """Name the current step in the line of an error that is raised in it.

    Of nested steps the innermost is named. The error keeps its type.

    Args:
        what: The step, such as ``'loading'``.
        file: The file of this step, if any.
    """
    try:
        yield
    except Exception as error:
        if not hasattr(error, 'step'):
            error.step = what if file is None else f"{what} '{file}'"
            error.file = file
        raise


def describe(error: Exception) -> str:
    """Return one line on an error, which names the file or else the step."""
    if isinstance(error, UserError):
        file = getattr(error, 'file', None)
        return str(error) if file is None or file in str(error) else f'{error.step}: {error}'
    if isinstance(error, OSError):
        if error.errno in WRITING_ONLY:
            return str(storage_error(error))
        if error.filename and error.strerror:
            return f"'{error.filename}': {error.strerror}; check the path and its permissions"
    what = getattr(error, 'step', osp.basename(sys.argv[0]))
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), '')
    name = type(error).__name__
    return (
        f'{what} failed: {name}{": " if reason else ""}{reason}; '
        f'run again with {DEBUG} for the traceback'
    )
