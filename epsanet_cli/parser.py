"""The parser of every command."""

import sys
from argparse import SUPPRESS, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from typing import Callable, Optional, Sequence

from .completion import configs

DEBUG = '--debug'


class CommandParser(ArgumentParser):
    """An argument parser that accepts ``--debug`` anywhere, which ``run_command`` reads.

    Attributes:
        check: Returns what is wrong with the arguments as a whole, or None.
    """

    check: Optional[Callable[[Namespace], Optional[str]]] = None

    def __init__(self, **kwargs) -> None:
        super().__init__(formatter_class=RawDescriptionHelpFormatter, **kwargs)
        self.add_argument(
            DEBUG, action='store_true', default=SUPPRESS, help='show the traceback of an error'
        )

    def add_detector(self) -> None:
        """Add the config and the checkpoint of a detector."""
        config = self.add_argument('config', help='config of the detector, by path or bare name')
        config.completer = configs
        self.add_argument('checkpoint', help='checkpoint of the detector, file or URL')

    def add_device(self) -> None:
        """Add ``--device``."""
        self.add_argument(
            '--device', help='device such as cpu or cuda:1 (default: a GPU if there is one)'
        )

    def add_config_options(self, where: str = 'the config') -> None:
        """Add ``--cfg-options``, for :func:`epsanet_mmdet.config.key_values.read_key_values`."""
        self.add_argument(
            '--cfg-options',
            nargs='+',
            action='extend',
            dest='options',
            metavar='KEY=VALUE',
            help=f'settings to change in {where}',
        )

    def parse_args(self, args=None, namespace=None) -> Namespace:
        """Return the values of the arguments."""
        args = sys.argv[1:] if args is None else args
        args = [argument for argument in args if argument != DEBUG]
        namespace = super().parse_args(args, namespace)
        fault = self.check and self.check(namespace)
        if fault:
            self.error(fault)
        return namespace

    def error(self, message: str) -> None:
        """Exit with status 2 and a message, whose control characters are escaped."""
        super().error(''.join(c if c.isprintable() else repr(c)[1:-1] for c in message))


def end(out_dir: str, faults: Sequence[str]) -> None:
    """Print where results are, and exit with status 1 and a note if inputs were skipped."""
    print(f'Written to {out_dir}')
    if faults:
        sys.exit(f'note: {len(faults)} skipped: ' + '; '.join(faults[:5]))
