"""Start commands: ``epsanet COMMAND``, or a script of ``tools``."""

import gc
import os.path as osp
import sys
import warnings
from contextlib import contextmanager, nullcontext
from typing import Callable, Iterator

from .commands import COMMANDS
from .interrupt import exit_on_interrupt
from .parser import DEBUG, CommandParser


def main() -> None:
    """Run the command that the arguments of this process begin with."""
    with exit_on_interrupt():
        name = next((word for word in sys.argv[1:] if word != DEBUG), None)
        if name not in COMMANDS:
            from .overview import answer

            answer(name)
        del sys.argv[sys.argv.index(name, 1)]
        sys.argv[0] = f'epsanet {name}'
    run(name)


def run(name: str) -> None:
    """Run a command with the arguments of this process.

    Raises:
        SystemExit: With status 2 if the arguments are wrong, with status 1 if a package is missing,
            and as ``run_command`` does.
    """
    command = COMMANDS[name]
    with exit_on_interrupt():
        parser = CommandParser(prog=osp.basename(sys.argv[0]), description=command.__doc__)
        command.add_arguments(parser)
        args = parser.parse_args()
        run_command = import_package()
    run_command(command.main, args)


def import_package() -> Callable:
    """Import ``epsanet_mmdet`` and return its ``run_command``."""
    warnings.filterwarnings('error', 'mmengine, mmcv and mmdet are not installed')
    try:
        with lasting_objects() if 'epsanet_mmdet' not in sys.modules else nullcontext():
            from epsanet_mmdet.utils.command_line import run_command
    except (ImportError, UserWarning) as error:
        if DEBUG in sys.argv:
            raise
        sys.exit(f'error: {" ".join(str(error).split())}')
    return run_command


@contextmanager
def lasting_objects() -> Iterator[None]:
    """Let garbage collection ignore what an import creates, which lasts as long as the process.

    Examining it takes a third of the time in which a command starts and ends.
    """
    gc.disable()
    try:
        yield
        if 'triton' not in sys.modules:  # at the exit, nanobind would print that it leaks
            gc.freeze()
    finally:
        gc.enable()
