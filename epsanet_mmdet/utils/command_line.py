"""The edge of every command: whatever goes wrong ends in one line, the traceback with --debug."""

import os.path as osp
import signal
import sys
from argparse import SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional

from ..errors import UserError
from .storage import WRITING_ONLY, storage_error
from .terminal import guard_terminal
from .text import printable

INTERRUPTED = 130  # 128 + SIGINT, as shells report it
DEBUG = '--debug'
LONGEST = 1000  # characters of a message


class CommandParser(ArgumentParser):
    """An argument parser that lists ``--debug``, which :func:`run_command` reads."""

    def __init__(self, **kwargs) -> None:
        super().__init__(formatter_class=RawDescriptionHelpFormatter, **kwargs)
        self.add_argument(
            DEBUG, action='store_true', default=SUPPRESS, help='show the traceback of an error'
        )

    def parse_known_args(self, *args, **kwargs):
        with step('reading the command line'):
            return super().parse_known_args(*args, **kwargs)


def run_command(main: Callable, *args, **kwargs) -> Any:
    """Run a command to its end; what it prints cannot steer the terminal.

    Args:
        main: The command. It parses the command line without ``--debug``.
        *args: Passed to ``main``.
        **kwargs: Passed to ``main``.

    Returns:
        What ``main`` returns.

    Raises:
        SystemExit: With one line and status 1 on an error, and with status 130 on Ctrl-C. With
            ``--debug`` on the command line, exceptions are raised as they are.
    """
    debug = DEBUG in sys.argv[1:]
    sys.argv[1:] = [argument for argument in sys.argv[1:] if argument != DEBUG]
    _take_over_interrupts()
    guard_terminal()
    try:
        return main(*args, **kwargs)
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            raise
        if isinstance(error, KeyboardInterrupt):
            print(str(error) or 'interrupted', file=sys.stderr)
            sys.exit(INTERRUPTED)
        sys.exit(f'error: {printable(describe(error), LONGEST)}')


def _take_over_interrupts() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again, which ``tools/_interrupt.py`` prevents."""
    if getattr(signal.getsignal(signal.SIGINT), '__module__', None) == '_interrupt':
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def step(what: str, file: Optional[str] = None) -> Iterator[None]:
    """Name what is being done, for the line of an error in it.

    The innermost step is named. Errors keep their type.

    Args:
        what: Such as ``'loading'``.
        file: The file that it is done with, if it is one.
    """
    try:
        yield
    except Exception as error:
        if not hasattr(error, 'step'):
            error.step = what if file is None else f"{what} '{file}'"
            error.file = file
        raise


def describe(error: Exception) -> str:
    """Describe an error in one line that names the file, or else the step."""
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
