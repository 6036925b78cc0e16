"""The parser of every command."""

import sys
from argparse import SUPPRESS, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from typing import Callable, Optional

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
