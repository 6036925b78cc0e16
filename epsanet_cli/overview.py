"""What ``epsanet`` answers without a command: help, version, completion and suggestions."""

import runpy
import sys
from argparse import Action
from difflib import get_close_matches
from typing import Optional

from .commands import COMMANDS
from .completion import SHELLS, complete, package, shell_code
from .parser import CommandParser


class Print(Action):
    """Print the text that a function returns for the value, and exit."""

    def __init__(self, *args, text, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.text = text

    def __call__(self, parser, namespace, value, option_string=None):
        print(self.text(value))
        parser.exit()


def answer(word: Optional[str]) -> None:
    """Answer a command line that begins with no command, and exit.

    Args:
        word: Its first argument, if any.
    """
    parser = overview()
    complete(parser)
    if word is None:
        parser.print_help(sys.stderr)
        sys.exit(2)
    if word.startswith('-'):
        parser.parse_args()
        parser.error('the command comes first')
    close = get_close_matches(word, COMMANDS, n=1)
    hint = f'did you mean {close[0]!r}?' if close else f'choose one of {", ".join(COMMANDS)}'
    parser.exit(2, f'error: there is no command {word!r}; {hint}\n')


def overview() -> CommandParser:
    """Return a parser of all commands, for help and completion."""
    parser = CommandParser(
        prog='epsanet',
        description='Train, test, use and compare EPSANet and other attention networks.',
        epilog='epsanet COMMAND --help lists the options of a command.',
    )
    parser.add_argument(
        '--version',
        action=Print,
        nargs=0,
        text=lambda _: f'epsanet_mmdet {version()}',
        help='show the version and exit',
    )
    parser.add_argument(
        '--completion',
        action=Print,
        choices=SHELLS,
        text=shell_code,
        help='print the code that completes commands in a shell',
    )
    commands = parser.add_subparsers(title='commands', metavar='COMMAND')
    for name, command in COMMANDS.items():
        summary = command.__doc__.partition('\n')[0].rstrip('.')
        command.add_arguments(commands.add_parser(name, help=summary))
    return parser


def version() -> str:
    """Return the version of ``epsanet_mmdet``."""
    return runpy.run_path(str(package() / 'version.py'))['__version__']
